"""``coordination demo``: its figures fit together, and it leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMAND


class Demo:
    """A run of the demo, all processes of which carry a mark in their environment."""

    def __init__(self, tmp_path: Path, *arguments: str, **environment: str) -> None:
        self._mark = f"DEMO_TEST_MARK={uuid.uuid4().hex}"
        self._home = tmp_path
        name, _, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            [COMMAND, "demo", *arguments],
            cwd=tmp_path.parent,
            env={key: found for key, found in os.environ.items() if not key.startswith("COORDINATION_")}
            | {name: value, "TMPDIR": str(tmp_path)}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self) -> list[int]:
        """The processes of the demo that there are now."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue  # it has ended meanwhile, or is another's
        return found

    def left_behind(self) -> list[object]:
        """What is there of it after its end: processes and files."""
        return [*self.processes(), *self._home.iterdir()]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    demo = Demo(tmp_path_factory.mktemp("demo"), "--json")
    out, err = demo.process.communicate(timeout=120)
    assert (demo.process.returncode, err) == (0, "")
    assert demo.left_behind() == []
    found: dict[str, Any] = json.loads(out)
    assert (found["ok"], found["problems"]) == (True, [])
    return found


@pytest.mark.parametrize("name", ["with_claims", "with_next", "without_claims"])
def test_the_figures_are_counted_from_what_was_done(answer: dict[str, Any], name: str) -> None:
    fleet = answer[name]
    done = Counter(entry["work_key"] for entry in fleet["done"])
    assert (fleet["sessions"], fleet["killed"], len(fleet["first_picks"])) == (10, 1, 10)
    assert fleet["calls"] == fleet["grants"] + fleet["denials"]
    assert fleet["pieces_done"] == done.total()
    assert fleet["distinct_pieces"] == len(done)
    assert fleet["duplicated_pieces"] == done.total() - len(done)
    assert fleet["pieces_untouched"] == answer["pieces"] - len(done)


@pytest.mark.parametrize("name", ["with_claims", "with_next"])
def test_with_claims_all_is_done_once_and_the_coordinator_counts_the_same(answer: dict[str, Any], name: str) -> None:
    fleet, books = answer[name], answer["coordinator" if name == "with_claims" else "coordinator_with_next"]
    assert (fleet["duplicated_pieces"], fleet["distinct_pieces"]) == (0, answer["pieces"])
    assert fleet["grants"] == answer["pieces"] + 1  # the killed session had one and did not finish it
    assert (books["granted"], books["denied"]) == (fleet["grants"], fleet["denials"])
    assert (books["completed"], books["live_claims"], books["loose_ends"]) == (answer["pieces"], 0, 0)


def test_with_next_a_call_gets_a_piece_and_passing_over_is_no_denial(answer: dict[str, Any]) -> None:
    fleet = answer["with_next"]
    picks = fleet["first_picks"]
    assert len({pick["work_key"] for pick in picks}) == 10
    assert [pick["denials"] for pick in picks] == [[]] * 10
    # Nine sessions ask twice, the killed one once, and one more call takes over what that has left.
    assert (fleet["calls"], fleet["denials"]) == (20, 7)
    assert fleet["calls"] < answer["with_claims"]["calls"] / 5


def test_the_readme_has_these_figures(answer: dict[str, Any]) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    claims, asking = (answer[name] for name in ("with_claims", "with_next"))
    for row in (
        f"| calls made to get work | none | {claims['calls']} | {asking['calls']} |",
        f"| {claims['pieces_done']} | {asking['pieces_done']} |",
        f"| {claims['duplicated_pieces']} | {asking['duplicated_pieces']} |",
    ):
        assert f"{row}\n" in readme
    assert f"ranked list of {answer['pieces']} pieces of work" in readme


def test_each_denial_names_the_session_that_got_that_piece(answer: dict[str, Any]) -> None:
    picks = answer["with_claims"]["first_picks"]
    got = {pick["work_key"]: pick["session"] for pick in picks}
    assert len(got) == 10
    denials = [denial for pick in picks for denial in pick["denials"]]
    assert denials
    assert [denial["by"] for denial in denials] == [got[denial["work_key"]] for denial in denials]


def test_without_claims_all_ten_pick_the_same(answer: dict[str, Any]) -> None:
    fleet = answer["without_claims"]
    assert {pick["item"] for pick in fleet["first_picks"]} == {answer["items"][0]}
    assert fleet["duplicated_pieces"] >= 8  # nine of them did it; what they did next depends on the moment


def test_what_the_killed_session_left_behind_is_taken_over(answer: dict[str, Any]) -> None:
    killed, takeover = answer["killed"], answer["takeover"]
    assert takeover["attempt"] == 2
    assert takeover["previous"] == {
        "attempt": 1,
        "session": killed["session"],
        "cause": "expired",
        "note": killed["note"],
    }
    for name, taken in (("with_claims", takeover), ("with_next", answer["takeover_with_next"])):
        assert killed["note"] in taken["answer"]
        assert taken["attempt"] == 2
        assert taken["session"] in {entry["session"] for entry in answer[name]["done"]} - {killed["session"]}
    by = {entry["work_key"]: entry["session"] for entry in answer["with_claims"]["done"]}
    assert by[killed["work_key"]] == takeover["session"]


def test_the_latecomer_learns_that_it_is_done(answer: dict[str, Any]) -> None:
    late = answer["latecomer"]
    by = {entry["work_key"]: entry["session"] for entry in answer["with_claims"]["done"]}
    assert late["exit_code"] == 1
    assert f"DENIED: already completed by {by['github:gptme/gptme#2880']} (" in late["answer"]


@pytest.mark.long_but_for("2")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path)
    assert demo.process.stdout is not None
    while "All ten pick at once" not in (line := demo.process.stdout.readline()):
        assert line, demo.process.communicate()
    assert len(demo.processes()) >= 12  # itself, the coordinator, etcd, and nine sessions or more
    demo.process.send_signal(number)
    _, err = demo.process.communicate(timeout=60)
    assert (demo.process.returncode, err) == (130, "")
    assert demo.left_behind() == []


def test_a_demo_that_cannot_be_played_says_why(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--json", COORDINATION_ETCD="/nowhere/etcd")
    out, err = demo.process.communicate(timeout=60)
    found = json.loads(out)
    assert (demo.process.returncode, found["ok"]) == (1, False)
    assert [f"the demo failed: {problem}" for problem in found["problems"]] == err.splitlines()
    assert "/nowhere/etcd" in err
    assert demo.left_behind() == []
