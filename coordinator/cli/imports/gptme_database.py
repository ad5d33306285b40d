"""The database of gptme-coordination: its rows of work, as they are.

The layout is that of the public package (gptme-contrib, ``packages/gptme-coordination``, ``db.py`` and ``work.py``):
one row for each task, with its status, its claimer and times in UTC. Columns came to it; none was taken away.

Invariant: whatever stands in the file, it is read completely and within bounds, or there is one ``InvalidInput``. What
one row holds is judged later, row by row (``gptme_rows.py``).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from coordinator.cli.imports.private_copy import private_copy
from coordinator.errors import InvalidInput
from coordinator.quotation import quoted

__all__ = ["Database", "Value", "WorkRow", "read_database"]

#: A column's value: texts and blobs are both bytes, and cut behind ``_MOST_BYTES``.
Value = bytes | int | float | None
_MOST_BYTES = 64 * 1024
_MOST_ROWS = 1_000_000
_HEADER = b"SQLite format 3\0"
#: The columns that every version has, and those that came later.
_COLUMNS = ("task_id", "claimer", "epoch", "claimed_at", "expires_at", "status", "result", "metadata")
_LATER_COLUMNS = ("completed_at", "hmac")
#: What else the package keeps, for which there is nothing here; what a row of each is called.
_OTHER_TABLES = {"messages": "message", "fact_bus": "fact", "events": "queued event", "leases": "file lease"}


class WorkRow(NamedTuple):
    """One row of work; ``number`` is its rowid."""

    number: int
    task_id: Value
    claimer: Value
    epoch: Value
    claimed_at: Value
    expires_at: Value
    status: Value
    result: Value
    metadata: Value
    completed_at: Value


class Database(NamedTuple):
    """What was read: the rows of work, and how many rows of what else there are."""

    rows: tuple[WorkRow, ...]
    others: dict[str, int]


def read_database(file: Path) -> Database:
    """Read a database of gptme-coordination; raises ``InvalidInput`` for what is none, ``Unavailable`` while in use."""
    with private_copy(file) as copy:
        with copy.open("rb") as opened:
            header = opened.read(len(_HEADER))
        if header != _HEADER:
            raise _foreign(file, "it is no SQLite database")
        try:
            with contextlib.closing(_open(copy)) as connection:
                return _read(file, connection)
        except sqlite3.Error as error:
            raise InvalidInput(
                f"{file} is damaged: {quoted(str(error), 120)}",
                field="file",
                hint="`sqlite3 FILE .recover` may save what is left of it into a new one",
            ) from None


def _open(copy: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(copy))}?mode=rw", uri=True, isolation_level=None)
    # What stands in a stranger's schema is not to run.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.text_factory = bytes
    return connection


def _read(file: Path, connection: sqlite3.Connection) -> Database:
    tables = dict(_all(connection, "SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))
    others = {
        word: count
        for name, word in _OTHER_TABLES.items()
        if name.encode() in tables and (count := _count(connection, name))
    }
    for (verdict,) in _all(connection, "PRAGMA quick_check(1)"):
        if verdict != b"ok":
            raise sqlite3.DatabaseError(verdict.decode(errors="replace") if isinstance(verdict, bytes) else "?")
    if b"work" not in tables:
        if {b"messages", b"leases"} <= {*tables}:
            # No work was ever submitted or claimed: the package makes this table when it first is.
            return Database((), others)
        raise _foreign(file, "it has no table of work")
    if not str(tables[b"work"] or b"", "utf-8", "replace").lstrip().upper().startswith("CREATE TABLE"):
        raise _foreign(file, "its table of work is not the package's")
    later = _check_columns(file, connection)
    if _count(connection, "work") > _MOST_ROWS:
        raise InvalidInput(f"{file} has more than {_MOST_ROWS} rows of work; that many can be imported", field="file")
    return Database(tuple(_rows(connection, later)), others)


def _check_columns(file: Path, connection: sqlite3.Connection) -> bool:
    """Return whether the table of work has a time of completion; raise ``InvalidInput`` where it is not known."""
    found = {name.decode(errors="replace") for _, name, *_ in _all(connection, "PRAGMA table_xinfo(work)")}
    (version,), *_ = _all(connection, "PRAGMA user_version")
    if missing := [name for name in _COLUMNS if name not in found]:
        raise _foreign(file, f"its table of work has no column {missing[0]}")
    unknown = sorted(found - {*_COLUMNS, *_LATER_COLUMNS})
    if unknown or version:
        what = f"its table of work has a column {quoted(unknown[0], 40)}" if unknown else f"its version is {version}"
        raise InvalidInput(
            f"{file} was made by a newer gptme-coordination than is known here: {what}",
            field="file",
            hint="take a newer version of this command; nothing was imported",
        )
    return "completed_at" in found


def _rows(connection: sqlite3.Connection, has_completion: bool) -> Iterator[WorkRow]:
    names = (*_COLUMNS, *(["completed_at"] if has_completion else []))
    columns = ", ".join(
        f"CASE typeof({name}) WHEN 'text' THEN substr(CAST({name} AS BLOB), 1, {_MOST_BYTES}) "
        f"WHEN 'blob' THEN substr({name}, 1, {_MOST_BYTES}) ELSE {name} END"
        for name in names
    )
    for row in _all(connection, f"SELECT rowid, {columns} FROM work ORDER BY rowid"):  # noqa: S608  # names of ours
        yield WorkRow(*row, *([] if has_completion else [None]))


def _count(connection: sqlite3.Connection, table: str) -> int:
    ((count,),) = _all(connection, f"SELECT count(*) FROM {table}")  # noqa: S608  # one of ours
    return int(count)


def _all(connection: sqlite3.Connection, statement: str) -> list[tuple[Any, ...]]:
    return connection.execute(statement).fetchall()


def _foreign(file: Path, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{file} is no database of gptme-coordination: {reason}",
        field="file",
        hint="it is mostly state/coordination/coord.db, or what COORDINATION_DB names",
    )
