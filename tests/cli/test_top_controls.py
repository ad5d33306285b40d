"""The keys of ``coordination top``, and its screen at 80 by 24: what is drawn is read as text, without a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from coordinator import Client
from coordinator.cli.top.board import Board, Seen
from coordinator.cli.top.controls import LISTS, Controls, read_keys
from coordinator.cli.top.screen import screen
from coordinator.clock import boot_seconds
from tests.conftest import RunningCoordinator

HOSTILE = "\x1b[31mred\x07 [bold]x[/bold] \u202egnp.exe\u2066 \u200b end"


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1bOB\x1b[6~", ["up", "down", "page down"]),
        (b"\t\x1b[Z\r\x7f\x1b", ["next", "back", "enter", "rub", "escape"]),
        ("ä€".encode(), ["ä", "€"]),
        # What is no key, or half a character, is nothing; what follows it counts.
        (b"\x1b[200~q\xffq\x00q", ["q", "q", "q"]),
        (b"", []),
    ],
)
def test_keys_are_read(typed: bytes, keys: list[str]) -> None:
    assert read_keys(typed) == keys


def press(controls: Controls, *keys: str) -> list[bool]:
    return [controls.press(key) for key in keys]


def test_it_scrolls_no_further_than_there_is_something() -> None:
    controls = Controls()
    assert controls.fit(1000, 10) == 0
    press(controls, "up")
    assert controls.offset == 0
    press(controls, "down", "j", "page down")
    assert controls.offset == 11
    press(controls, "end")
    assert controls.offset == 990
    # What is there has become less, or a screen larger.
    assert controls.fit(20, 15) == 5
    assert controls.fit(3, 15) == 0
    press(controls, "end", "page down")
    assert controls.offset == 0


def test_a_filter_takes_every_character_until_it_is_kept() -> None:
    controls = Controls()
    assert press(controls, "/", "q", "s", "1", " ", "x", "rub", "rub", "enter") == [False] * 9
    assert (controls.filter, controls.typing, controls.order, controls.list) == ("qs1", False, 0, 0)
    assert controls.passes("task:QS1")
    assert controls.passes(None, "qs1")
    assert not controls.passes("task:q", None)
    assert press(controls, "escape", "q") == [False, True]
    assert controls.filter == ""
    press(controls, "/", *("x" * 500), "escape")
    assert controls.filter == ""


def test_lists_and_orders_go_round() -> None:
    controls = Controls()
    press(controls, "back")
    assert LISTS[controls.list] == "fought over"
    press(controls, "next", "3", "9")
    assert LISTS[controls.list] == "loose ends"
    press(controls, "s", "s", "s")
    assert controls.order == 0


@pytest.fixture
def board(coordinator: RunningCoordinator, fleet: str) -> Board:
    """Thirty claims, a loose end and work that has failed; with hostile reasons."""
    with Client(coordinator.endpoint, fleet=fleet, instance="") as client:
        client.claim_many("agent-1", [f"task:piece-{number:02}" for number in range(30)])
        client.claim("agent-2", "task:left")
        client.release("agent-2", "task:left", reason=HOSTILE)
        client.submit("planner", "task:broken")
        for number in range(3):
            client.claim(f"agent-{number}", "task:broken")
            client.release(f"agent-{number}", "task:broken", reason="exit 1", failed=True)
        failed = client.pool_page(states=["failed"]).entries
        status = client.status(progress=True)
        return Board(fleet, Seen(client.briefing(max_characters=50_000), client.hot(), status, boot_seconds(), failed))


def drawn(board: Board, controls: Controls, width: int = 80, height: int = 24) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, height=height).print(screen(board, controls, height, width))
    lines = file.getvalue().splitlines()
    assert (len(lines), max(map(len, lines)) <= width) == (height, True)
    return lines


def test_at_80_columns_work_stands_first_and_what_needs_a_look_is_there(board: Board) -> None:
    controls = Controls()
    lines = drawn(board, controls)
    assert lines[3].split() == ["work", "held", "by", "left"]
    claims = [line for line in lines if line.startswith("task:piece-")]
    assert len(claims) == controls.room > 10
    assert any(line.startswith("failed  task:broken") and '3 attempts: "exit 1"' in line for line in lines)
    assert any(line.startswith("left    task:left") for line in lines)
    assert lines[-1].startswith(f"1-{controls.room} of 30   q quits")
    press(controls, "end")
    assert any(line.startswith("task:piece-29") for line in drawn(board, controls))
    press(controls, "s", "/", *"piece-07", "enter")
    claims = [line for line in drawn(board, controls) if line.startswith("task:piece-")]
    assert [line.split()[0] for line in claims] == ["task:piece-07"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 8), (200, 60), (100, 12)])
def test_every_list_fits_every_screen_and_steers_no_terminal(board: Board, width: int, height: int) -> None:
    board.rates.extend([0.5] * 100)
    for number in range(len(LISTS)):
        text = "\n".join(drawn(board, Controls(list=number), width, height))
        assert not {"\x1b", "\x07", "\u202e", "\u2066", "\u200b"} & {*text}
        if width >= 120:
            assert "[bold]" in text


def test_a_fleet_of_a_thousand_claims_is_scrolled_through(board: Board) -> None:
    assert board.seen is not None
    claims = board.seen.briefing.taken
    many = tuple(claim._replace(work_key=f"task:piece-{number:04}") for number in range(1000) for claim in claims[:1])
    board.seen = board.seen._replace(briefing=board.seen.briefing._replace(taken=many))
    controls = Controls(order=1)
    drawn(board, controls)
    press(controls, "end")
    assert any(line.startswith("task:piece-0999") for line in drawn(board, controls))
