"""Floods write a bounded number of lines (46)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from coordinator.logs import format as log_format
from coordinator.logs.audit import Audit
from coordinator.logs.format import _Outsiders
from coordinator.logs.line_limit import LineLimit
from coordinator.security.redaction import without_tokens

TOKEN = "coordination-GdaYZ2kIwwaIDnQwKpvAUtbPywMRDwYIRiCpaRi-muw"  # noqa: S105  # as `coordination token` makes them


class _World:
    def __init__(self) -> None:
        self.now = 0.0
        self.reported: list[tuple[str, int]] = []
        self.limit = LineLimit(
            3, 10.0, lambda reason, count: self.reported.append((reason, count)), clock=lambda: self.now
        )


def test_so_many_lines_of_a_reason_and_the_number_of_the_rest() -> None:
    world = _World()
    assert [world.limit.lets_through("a") for _ in range(1000)].count(True) == 3
    assert world.limit.lets_through("b"), "another reason has its own lines"
    world.now = 10.0
    assert world.limit.lets_through("a")
    assert world.reported == [("a", 997)]


async def test_the_number_is_reported_when_the_time_is_over_though_nothing_more_comes() -> None:
    reported = asyncio.Queue[tuple[str, int]]()
    limit = LineLimit(1, 0.05, lambda reason, count: reported.put_nowait((reason, count)))
    for _ in range(5):
        limit.lets_through("a")
    assert await asyncio.wait_for(reported.get(), 30) == ("a", 4)


def test_reasons_that_are_made_up_are_bounded_too() -> None:
    world = _World()
    written = sum(world.limit.lets_through(f"reason {number}") for number in range(100_000))
    assert written <= 256 + 3


@pytest.mark.parametrize(
    "shape",
    [
        "Bearer {}",
        "bearer\xa0{}",
        "BEARER   {}\u2003",
        "{}\xa0",
        "x{}x",
        "authorization=Bearer%20{}",
        "t={}; path=/",
        "b'Bearer {}\\xa0'",
        "(\u2003{}\u2003)",
    ],
)
@pytest.mark.parametrize("cut", [0, 4, 20], ids=["whole", "truncated", "half"])
def test_a_token_is_masked_in_any_shape(shape: str, cut: int) -> None:
    token = TOKEN[: len(TOKEN) - cut]
    masked = without_tokens(shape.format(token))
    assert token[13:25] not in masked, masked
    assert "…" in masked


@pytest.mark.parametrize(
    "hyphen",
    ["_", "\u2010", "\u00ad-", "\\u2010", "\\xad", "\\u00ad-", "%E2%80%90", " -", "- ", "--", "\\u002d", "\xad"],
)
@pytest.mark.parametrize("prefix", ["coordination", "Coordination", "COORDINATION"])
def test_46_a_token_with_another_hyphen_is_masked(prefix: str, hyphen: str) -> None:
    masked = without_tokens(f'session="{TOKEN.replace("coordination-", f"{prefix}{hyphen}", 1)}"')
    assert TOKEN[13:25] not in masked, masked


@pytest.mark.parametrize("end", ["\n", "\t", "\\n", "\\r\\n"])
@pytest.mark.parametrize("at", [1, 7, 20])
def test_46_a_token_that_was_wrapped_is_masked(end: str, at: int) -> None:
    masked = without_tokens(f'note="{TOKEN[: 13 + at]}{end}{TOKEN[13 + at :]}"')
    assert TOKEN[13 + at :] not in masked, masked


def test_a_token_with_an_escaped_hyphen_and_one_of_another_maker_are_masked() -> None:
    assert "GdaYZ2k" not in without_tokens(TOKEN.replace("-", "%2D"))
    assert "abcdef123456" not in without_tokens("Bearer abcdef123456")


@pytest.mark.parametrize(
    "name",
    [
        "task:coordination-of-many-agents-in-large-fleets",
        "task:coordination MeetingOfTheLeads",
        "/srv/coordination/NightlyDeployment1",
        "COORDINATION_TOKEN_FILE",
        "a bearer of news",
        "github:x/y#1",
    ],
)
def test_names_of_people_stay_as_they_are(name: str) -> None:
    assert without_tokens(name) == name


def test_what_grpc_logs_of_headers_holds_nothing_of_them_and_is_bounded() -> None:
    outsiders = _Outsiders()
    written = []
    for number in range(1000):
        record = logging.LogRecord(
            "grpc._cython.cygrpc",
            logging.ERROR,
            "",
            0,
            "Invalid encoding on %s",
            (f"{TOKEN}{number} Basic c2VjcmV0".encode(),),
            None,
        )
        if outsiders.filter(record):
            written.append(log_format.LineFormatter().format(record))
    assert 0 < len(written) <= 10
    assert not any("Gda" in line or "c2VjcmV0" in line for line in written)
    ours = logging.LogRecord("coordinator.server", logging.INFO, "", 0, "started", (), None)
    assert all(outsiders.filter(ours) for _ in range(1000))


def test_refusals_cannot_rotate_the_audit_log_away(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit")
    audit.write("did", credential="olga", method="Revoke")
    for number in range(100_000):
        if audit.takes_refusal("UNAUTHENTICATED"):
            audit.write("refused", code="UNAUTHENTICATED", number=number)
    audit.close()
    lines = (tmp_path / "audit").read_text().splitlines()
    assert "method=Revoke" in lines[0]
    assert len(lines) == 5
    assert "count=99997" in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["audit"]


def test_a_line_of_the_log_holds_no_token() -> None:
    line = log_format.LineFormatter().line(
        0.0, "info", "granted", {"work_key": f"task:{TOKEN}", "session": f"x{TOKEN}"}
    )
    assert "Gda" not in line
    assert "granted" in line
