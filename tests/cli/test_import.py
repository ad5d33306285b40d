"""``import gptme-coordination``: what a database of that package becomes, and what is said of what it cannot become."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator import Claim, Client, Denial, ForeignWork, Imported, ImportOutcome, LimitExceeded, State
from coordinator.cli import progress_line
from coordinator.cli.imports.gptme_database import WorkRow
from coordinator.cli.imports.plan import import_rows
from coordinator.engine.import_work import ImportCommand, import_work
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import Put, RangeReply, Txn, TxnReply
from coordinator.keys import WorkKey
from tests.cli.gptme_databases import make_database, moment
from tests.conftest import Coordination, RunningCoordinator


def every_kind() -> list[dict[str, Any]]:
    """One of every kind: live, finished, expired, given back, submitted, and finished longer ago than is remembered."""
    return [
        {
            "task_id": "gptme/gptme#2880",
            "claimer": "session-7f8b",
            "epoch": 2,
            "claimed_at": moment(-18),
            "expires_at": moment(42),
            "status": "claimed",
            "metadata": "fix the bug",
        },
        {
            "task_id": "task-123",
            "claimer": "alice",
            "epoch": 1,
            "claimed_at": moment(-100),
            "expires_at": moment(-40),
            "status": "completed",
            "result": "shipped",
            "completed_at": moment(-50),
        },
        {
            "task_id": "cascade:task:slow",
            "claimer": "bob",
            "epoch": 3,
            "claimed_at": moment(-100),
            "expires_at": moment(-40),
            "status": "claimed",
        },
        {
            "task_id": "cascade:task:hard",
            "epoch": 7,
            "claimed_at": moment(-300),
            "status": "abandoned",
            "result": "no time",
        },
        {"task_id": "write the post", "status": "available", "metadata": "900 words"},
        {
            "task_id": "task-old",
            "claimer": "carol",
            "epoch": 1,
            "claimed_at": moment(-45 * 24 * 60),
            "status": "completed",
            "completed_at": moment(-40 * 24 * 60),
        },
    ]


def _files_of(directory: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in directory.iterdir()}


def _import(coordination: Coordination, file: Path, *options: str, code: int = 0) -> dict[str, Any]:
    done = coordination("import", "gptme-coordination", str(file), *options, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _outcomes(found: dict[str, Any]) -> list[str]:
    return [row["outcome"] for row in found["rows"]]


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Client:
    return Client(coordinator.endpoint, fleet=fleet)


def test_every_kind_of_row_is_imported_once_and_a_dry_run_says_the_same(
    tmp_path: Path, coordination: Coordination, client: Client
) -> None:
    # Still open: what was written lies beside the file only, in its write-ahead log.
    also = ["CREATE TABLE messages (id)", "INSERT INTO messages VALUES (1)"]
    opened = make_database(tmp_path / "coord.db", every_kind(), also=also, keep_open=True)
    before = _files_of(tmp_path)
    assert len(before) == 3

    # Nothing of this fleet is held here for longer than this coordinator, which runs no reaper, remembers.
    tried = _import(coordination, tmp_path / "coord.db", "--dry-run")
    assert list(client.list()) == []
    done = coordination("import", "gptme-coordination", str(tmp_path / "coord.db"))
    assert done.returncode == 0, done.stderr
    again = _import(coordination, tmp_path / "coord.db")

    assert _files_of(tmp_path) == before
    opened.close()
    assert _outcomes(tried) == ["imported"] * 6
    assert tried["left_out"] == {"messages": 1}
    assert re.sub(r"in \d+ min", "in N min", done.stdout).splitlines() == [
        f'imported 6 of 6 rows of work from "{_shown(str(tmp_path / "coord.db"))}"',
        "  1 claimed, for as long as the claim has left",
        "  2 completed, may be claimed again",
        "  1 abandoned, expired",
        "  1 abandoned, released",
        "  1 submitted, and claimed by no session",
        "  2 of them in the pool",
        "claimed github:gptme/gptme#2880 by session-7f8b (expires in N min)",
        "left out, as there is nothing like it here: 1 message",
    ]
    assert _outcomes(again) == ["known"] * 6
    assert again["counts"] == {"imported": 0, "known": 6, "too-old": 0, "same-work": 0, "refused": 0}


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def test_the_sessions_go_on_with_what_they_had(tmp_path: Path, coordination: Coordination, client: Client) -> None:
    make_database(tmp_path / "coord.db", every_kind())
    _import(coordination, tmp_path / "coord.db")

    live = client.get("github:gptme/gptme#2880")
    assert live.claim is not None
    assert (live.claim.session, live.claim.attempt) == ("session-7f8b", 2)
    # And no more, however long the lease lasts that it shares with others.
    assert 30 * 60 < live.claim.remaining_seconds <= 42 * 60 + 5
    assert live.work is not None
    assert live.work.brief == "fix the bug"
    assert coordination("work-claim", "session-9", "gptme/gptme#2880").stdout.startswith(
        "DENIED: already claimed by session-7f8b"
    )
    assert coordination("work-claim", "session-7f8b", "gptme/gptme#2880", "--ttl", "90").stdout == (
        "renewed github:gptme/gptme#2880 (expires in 90 min)\n"
    )
    assert coordination("work-complete", "session-7f8b", "gptme/gptme#2880").returncode == 0
    # What expired before is completed late, as if it had been claimed here.
    assert "late" in coordination("work-complete", "bob", "cascade:task:slow").stdout
    hard = client.get("cascade:task:hard")
    assert (hard.record.state, hard.record.attempt, hard.record.reason) == (State.ABANDONED, 7, "no time")
    assert [entry.attempt for entry in hard.history] == [7]
    assert client.claim("session-9", "cascade:task:hard").attempt == 8
    post = client.claim_next("session-9")
    assert (post.work_key, post.brief) == ("task:write-the-post", "900 words")


@pytest.mark.parametrize("completions", ["as-history", "deny"])
def test_completed_work_is_claimed_again_or_denied(
    completions: str, tmp_path: Path, coordination: Coordination, client: Client
) -> None:
    # As an early version made it, without a write-ahead log.
    early = [{name: value for name, value in row.items() if name != "completed_at"} for row in every_kind()[1:2]]
    make_database(tmp_path / "coord.db", early, wal=False, later="")
    _import(coordination, tmp_path / "coord.db", "--completions", completions)

    record = client.get("task:task-123").record
    assert (record.state, record.session, record.result) == (State.COMPLETED, "alice", "shipped")
    assert record.ended_at == record.claimed_at
    assert [entry.ended_at for entry in client.log("alice")] == [record.ended_at]
    answer = client.try_claim("session-9", "task-123")
    assert isinstance(answer, Claim) == (completions == "as-history")
    if completions == "deny":
        return
    # It may be repeated once: what is completed here is.
    client.release("session-9", "task-123")
    client.claim("session-9", "task-123")
    client.complete("session-9", "task-123")
    assert isinstance(client.try_claim("session-8", "task-123"), Denial)


def test_rows_that_are_the_same_work_and_rows_that_are_none(tmp_path: Path, coordination: Coordination) -> None:
    live = {"epoch": 1, "claimed_at": moment(-1), "expires_at": moment(30), "status": "claimed"}
    rows: list[dict[str, Any]] = [
        {**live, "task_id": "github:acme/web#7", "claimer": "s-1"},
        {**live, "task_id": "https://github.com/acme/web/issues/7", "claimer": "s-2", "expires_at": moment(10)},
        {"task_id": "acme/web#7", "status": "available"},
        {**live, "task_id": "task:session", "claimer": "two words"},
        {**live, "task_id": "task:status", "claimer": "s-1", "status": "wibble"},
        {**live, "task_id": "task:time", "claimer": "s-1", "expires_at": "tomorrow"},
        {**live, "task_id": "task:never", "claimer": "s-1", "expires_at": None},
        {**live, "task_id": "task:epoch", "claimer": "s-1", "epoch": "many"},
        {**live, "task_id": "task:nobody"},
        {**live, "task_id": None, "claimer": "s-1"},
        {**live, "task_id": "x" * 600, "claimer": "s-1"},
        {**live, "task_id": b"\xff\xfe", "claimer": "s-1"},
        {**live, "task_id": 'evil\x1b]0;\x07\n"quoted', "claimer": "s-1"},
        {**live, "task_id": "task:future", "claimer": "s-1", "status": "completed", "completed_at": moment(90)},
        {**live, "task_id": "task:long", "claimer": "s-1", "metadata": "é" * 40_000},
        {**live, "task_id": "task:zone", "claimer": "s-1", "expires_at": "2999-01-01T00:00:00.5+02:00"},
    ]
    make_database(tmp_path / "coord.db", rows)

    done = coordination("import", "gptme-coordination", str(tmp_path / "coord.db"))
    again = _import(coordination, tmp_path / "coord.db", code=1)

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines if line[0] in "SR"] == [
        ["SAME", "WORK", "row"],
        ["SAME", "WORK", "row"],
        *[["REFUSED", "row", str(number)] for number in range(4, 15)],
    ]
    assert any(line.startswith("SAME WORK row 2 ") and line.endswith("and so is the claim of s-2") for line in lines)
    assert "\x1b" not in done.stdout
    assert _outcomes(again) == ["known", "same-work", "same-work", *["refused"] * 11, "known", "known"]
    assert [row["same_as_row"] for row in again["rows"][:3]] == [None, 1, 1]
    reasons = [row["reason"] for row in again["rows"][3:14]]
    assert all(
        part in reason
        for part, reason in zip(
            [
                "holds a space",
                'status is "wibble"',
                '"tomorrow", which is not a time',
                "expires_at is missing",
                "epoch",
                "no claimer",
                "task_id is empty",
                "512",
                "UTF-8",
                "U+001B",
                "future",
            ],
            reasons,
            strict=True,
        )
    ), reasons


def test_what_another_session_has_here_is_left_to_it_and_named(
    tmp_path: Path, coordination: Coordination, client: Client
) -> None:
    client.claim("session-1", "gptme/gptme#2880")
    make_database(tmp_path / "coord.db", every_kind()[:1])

    done = coordination("import", "gptme-coordination", str(tmp_path / "coord.db"))

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        'NOT IMPORTED row 1 "gptme/gptme#2880": claimed by session-7f8b there, claimed by session-1 here'
    )
    claim = client.get("gptme/gptme#2880").claim
    assert claim is not None
    assert claim.session == "session-1"


def test_a_database_without_work_has_nothing_to_import(tmp_path: Path, coordination: Coordination) -> None:
    with sqlite3.connect(tmp_path / "coord.db") as connection:
        connection.execute("CREATE TABLE messages (id)")
        connection.execute("CREATE TABLE leases (path)")
    connection.close()
    assert _import(coordination, tmp_path / "coord.db")["rows"] == []


_HOLDING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
connection.execute("UPDATE work SET status = 'x'")
print("locked", flush=True)
sys.stdin.read()
"""


def _damage(file: Path) -> None:
    make_database(file, [{"task_id": f"task:{number}", "metadata": "x" * 900} for number in range(60)])
    content = bytearray(file.read_bytes())
    content[8192:16384] = b"\xee" * 8192
    file.write_bytes(content)


def _of_another_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE work (id, title)")
    connection.close()


UNUSABLE: dict[str, tuple[Any, str]] = {
    "missing": (lambda _: None, "No such file"),
    "directory": (lambda file: file.mkdir(), "it is a directory"),
    "pipe": (os.mkfifo, "it is no regular file"),
    "circle": (lambda file: file.symlink_to(file), "it"),
    "empty": (lambda file: file.touch(), "it is no SQLite database"),
    "text": (lambda file: file.write_text("task_id,claimer\n" * 50), "it is no SQLite database"),
    "damaged": (_damage, "is damaged"),
    "foreign": (_of_another_table, "no column task_id"),
    "other": (
        lambda file: sqlite3.connect(file).execute("CREATE TABLE jobs (id)").connection.close(),
        "no table of work",
    ),
    "view": (
        lambda file: make_database(
            file, [], also=["ALTER TABLE work RENAME TO w", "CREATE VIEW work AS SELECT * FROM w"]
        ),
        "no table of work",
    ),
    "newer": (
        lambda file: make_database(file, every_kind(), later=", completed_at TEXT, lane TEXT"),
        'a column "lane"',
    ),
    "versioned": (lambda file: make_database(file, every_kind(), also=["PRAGMA user_version = 9"]), "its version is 9"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_file_that_cannot_be_imported_is_one_sentence(what: str, tmp_path: Path, coordination: Coordination) -> None:
    file = tmp_path / "coord.db"
    make, said = UNUSABLE[what]
    make(file)
    done = coordination("import", "gptme-coordination", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"error: {file} ")
    assert said in first
    assert all(line.startswith("hint: ") for line in rest)


def test_a_locked_file_is_told_apart(tmp_path: Path, coordination: Coordination) -> None:
    file = tmp_path / "coord.db"
    make_database(file, every_kind(), wal=False)
    command = [sys.executable, "-c", _HOLDING, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = coordination("import", "gptme-coordination", str(file))
        holder.communicate()
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{file} is locked: process {holder.pid} is writing to it" in done.stderr


def test_completions_are_one_of_two(tmp_path: Path, coordination: Coordination) -> None:
    done = coordination("import", "gptme-coordination", str(tmp_path), "--completions", "maybe")
    assert done.returncode == 2
    assert "allowed are as-history and deny" in done.stderr


def _nothing_known() -> TxnReply:
    nothing = RangeReply((), 0, more=False)
    return TxnReply(True, 7, (nothing, nothing, nothing))


def test_an_import_compares_that_nothing_is_known_of_the_work() -> None:
    paths = FleetPaths("f").of(WorkKey("task", "a"))
    now = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
    command = ImportCommand(now=now, state=State.AVAILABLE, brief="do it")
    operation = import_work(command, paths)
    next(operation)

    written = operation.send(_nothing_known())

    assert isinstance(written, Txn)
    assert {compare.key for compare in written.compares} == {paths.claim, paths.record, paths.work}
    assert [each.key for each in written.success if isinstance(each, Put)] == [paths.work, paths.pool]


@pytest.mark.parametrize("state", [State.AVAILABLE, State.CLAIMED])
def test_nothing_is_imported_into_a_pool_that_is_full_but_what_a_session_holds(state: State) -> None:
    now = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
    command = ImportCommand(now=now, state=state, session="s-1", brief="do it", dry_run=True, full=100_000)
    operation = import_work(command, FleetPaths("f").of(WorkKey("task", "a")))
    next(operation)
    with pytest.raises((LimitExceeded, StopIteration)) as ended:
        operation.send(_nothing_known())
    assert (ended.type is LimitExceeded) == (state is State.AVAILABLE)


def test_what_is_imported_is_shown_to_be_under_way() -> None:
    """Row by row of all, once while they are looked at and once while they are written."""
    asked: list[int] = []

    class Importing:
        def import_work(self, work: list[ForeignWork], **_: bool) -> list[Imported]:
            asked.append(len(work))
            return [Imported(each.key, ImportOutcome.IMPORTED, State.AVAILABLE, None) for each in work]

    new = WorkRow(0, b"", None, 0, None, None, b"available", None, None, None)
    rows = [new._replace(task_id=b"task:%d" % number) for number in range(250)]
    shown: list[tuple[str, int, int]] = []
    import_rows(Importing(), rows, lambda *seen: shown.append(seen), repeatable=True, dry_run=False)  # type: ignore[arg-type]  # all that it calls
    assert asked == [100, 100, 50] * 2
    assert shown == [(what, done, 250) for what in ("looked at", "imported") for done in (0, 100, 200)]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    written: list[str] = []
    monkeypatch.setattr(progress_line, "write_error", written.append)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with progress_line.progress_line() as show:
        show("imported 0 of 2 rows")
    assert written == (["\r\033[Kimported 0 of 2 rows", "\r\033[K"] if is_terminal else [])


@pytest.mark.parametrize(("age", "outcome"), [(29, ImportOutcome.IMPORTED), (31, ImportOutcome.TOO_OLD)])
def test_what_ended_longer_ago_than_is_remembered_is_left_out(age: int, outcome: ImportOutcome) -> None:
    now = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
    command = ImportCommand(
        now=now,
        state=State.COMPLETED,
        session="s-1",
        ended_at=now - timedelta(days=age),
        retention_seconds=30 * 86400.0,
        dry_run=True,
    )
    operation = import_work(command, FleetPaths("f").of(WorkKey("task", "a")))
    next(operation)
    with pytest.raises(StopIteration) as ended:
        operation.send(_nothing_known())
    imported: Imported = ended.value.value
    assert imported.outcome is outcome
