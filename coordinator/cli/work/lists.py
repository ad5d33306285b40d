"""Lists of work: records and what is in the pool, one behind the other, page by page.

Invariants: a page token says in which of the two lists to go on, and where; work that is in both is listed once on a
page. What is listed as available is not work that the pool withholds: a loop over it would try poison for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordinator.limits import MAX_PAGE_SIZE
from coordinator.model import PoolStanding

if TYPE_CHECKING:
    from coordinator.client import Client
    from coordinator.model import PoolEntry, Record

__all__ = ["Wanted", "WorkList", "collect"]

#: What a token begins with, by the list in which it goes on. Without any of them it is one of records alone.
_RECORDS, _POOL = "records:", "pool:"
#: How abandoned work stands in the pool that is not free to be claimed; so much of it is looked for as is on one page.
_WITHHELD = (PoolStanding.BLOCKED, PoolStanding.RETURNED, PoolStanding.FAILED)


class Wanted(NamedTuple):
    """What to list: ``records`` in one of ``states``, any for none, and work of the pool by its ``standings``."""

    states: Sequence[str]
    standings: Sequence[PoolStanding]
    records: bool
    pool_first: bool
    kind: str | None
    session: str | None


class WorkList:
    """What was listed; ``revision`` and ``damaged`` are those of the records.

    ``withheld`` is abandoned work that the pool does not hand out now.
    """

    __slots__ = ("damaged", "next_page_token", "pool", "records", "revision", "withheld")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.pool: list[PoolEntry] = []
        self.withheld: set[str] = set()
        self.next_page_token: str | None = None
        self.revision = self.damaged = 0

    def __len__(self) -> int:
        return len(self.records) + len(self.pool)


def collect(client: Client, wanted: Wanted, limit: int, page_token: str) -> WorkList:
    """Read pages until there are ``limit`` pieces of work, or no more."""
    lists: list[tuple[str, Callable[[Client, Wanted, WorkList, int, str], str]]] = []
    if wanted.records:
        lists.append((_RECORDS, _read_records))
    if wanted.standings:
        lists.insert(0 if wanted.pool_first else len(lists), (_POOL, _read_pool))
    begin, token = _where(page_token, [name for name, _ in lists])
    found = WorkList()
    if wanted.records and PoolStanding.AVAILABLE in wanted.standings and wanted.states:
        found.withheld = {
            entry.work_key for entry in client.pool_page(states=_WITHHELD, page_size=MAX_PAGE_SIZE).entries
        }
    for number, (name, read) in enumerate(lists[begin:], begin):
        while len(found) < limit:
            token = read(client, wanted, found, min(limit - len(found), MAX_PAGE_SIZE), token)
            if not token:
                break
        if token or (len(found) >= limit and number + 1 < len(lists)):
            found.next_page_token = _name(name, token, alone=len(lists) == 1) if token else lists[number + 1][0]
            break
    return found


def _where(page_token: str, names: Sequence[str]) -> tuple[int, str]:
    """Return in which list a token goes on, and the token that this list knows."""
    for number, name in enumerate(names):
        if page_token.startswith(name):
            return number, page_token.removeprefix(name)
    # Of a list of records alone, or of none: the coordinator says so.
    return (names.index(_RECORDS) if page_token and _RECORDS in names else 0), page_token


def _name(name: str, token: str, *, alone: bool) -> str:
    return token if alone and name == _RECORDS else f"{name}{token}"


def _read_records(client: Client, wanted: Wanted, found: WorkList, size: int, token: str) -> str:
    page = client.list_page(
        states=wanted.states, kind=wanted.kind, session=wanted.session, page_size=size, page_token=token
    )
    listed = found.withheld | {entry.work_key for entry in found.pool}
    found.records += [record for record in page.records if record.work_key not in listed]
    found.revision = found.revision or page.revision
    found.damaged += page.damaged
    return page.next_page_token or ""


def _read_pool(client: Client, wanted: Wanted, found: WorkList, size: int, token: str) -> str:
    page = client.pool_page(states=wanted.standings, kind=wanted.kind, page_size=size, page_token=token)
    listed = {record.work_key for record in found.records}
    found.pool += [entry for entry in page.entries if entry.work_key not in listed]
    return page.next_page_token or ""
