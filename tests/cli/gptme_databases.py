"""Databases of gptme-coordination, made for tests with SQL of our own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["COLUMNS", "make_database", "moment"]

COLUMNS = ("task_id", "claimer", "epoch", "claimed_at", "expires_at", "status", "result", "metadata", "completed_at")
_TABLE = """
CREATE TABLE work (
    task_id TEXT PRIMARY KEY, claimer TEXT, epoch INTEGER NOT NULL DEFAULT 0, claimed_at TEXT, expires_at TEXT,
    status TEXT NOT NULL DEFAULT 'available', result TEXT, metadata TEXT{later}
)"""
_LATER = ", completed_at TEXT, hmac TEXT"


def moment(minutes: float) -> str:
    """Return a time so many minutes from now, as SQLite writes it."""
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")


def make_database(
    file: Path,
    rows: Iterable[dict[str, Any]],
    *,
    wal: bool = True,
    later: str = _LATER,
    also: Iterable[str] = (),
    keep_open: bool = False,
) -> sqlite3.Connection:
    """Make a database with rows of work, each by the columns that are not NULL; closed unless it is to be kept open.

    ``later`` are the columns that not all versions have; ``also`` are more statements.
    """
    connection = sqlite3.connect(file)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(_TABLE.format(later=later))
    for row in rows:
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO work ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608  # of tests
    for statement in also:
        connection.execute(statement)
    connection.commit()
    if not keep_open:
        connection.close()
    return connection
