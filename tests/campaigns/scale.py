"""How briefings and lists grow with what is stored: ``python -m tests.campaigns.scale``, three minutes.

A briefing is asked for over 50,000 records, all ended within the last day, with 2,000 loose ends and 1,000 live claims;
then ``work-list --json`` and the client's ``list`` go through 100,000 records. Prints figures; exits 1 if a briefing of
the usual length takes 200 ms or more (median of five), or if the memory of coordinator or client grows with the number
of records.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from coordinator import AsyncClient, Briefing, Client, clock
from coordinator.engine.documents import Ended, LooseEnd, StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.keys import WorkKey
from coordinator.limits import DEFAULT_BRIEFING_CHARACTERS
from coordinator.model import Cause, State
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

RECORDS, LOOSE_ENDS, LIVE, LISTED = 50_000, 2_000, 1_000, 100_000
MOST_SECONDS = 0.2
#: How much more memory going through all records may take, in MiB: a few pages, whatever their number is.
MOST_GROWTH = 24.0
PUTS_AT_A_TIME = 120
COMMAND = str(Path(sys.executable).with_name("coordination"))
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+?)(?:, board \S+)?\n")

Puts = Iterator[tuple[bytes, bytes]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure briefings and lists over many records.")
    parser.add_argument("--through", metavar="ENDPOINT", help=argparse.SUPPRESS)
    parser.add_argument("--records", type=int, default=RECORDS, help="how many the briefing is over")
    parser.add_argument("--listed", type=int, default=LISTED, help="how many are listed")
    options = parser.parse_args()
    if options.through:
        print_memory_of_reading(options.through)
        return 0
    with tempfile.TemporaryDirectory() as directory, _coordinator(Path(directory)) as (process, endpoint, etcd):
        started = time.monotonic()
        asyncio.run(_fill(etcd, options.records, options.listed))
        _say(f"wrote {options.records + options.listed:,} records in {time.monotonic() - started:.0f} s")
        slow = asyncio.run(_brief(endpoint, options.records))
        grown = _list(process.pid, endpoint, options.listed)
    return int(slow or grown)


async def _fill(etcd: str, records: int, listed: int) -> None:
    """Write records directly: claims and completions would take minutes."""
    channel = EtcdChannel([etcd])
    lease = rpc.LeaseGrantRequest(id=1, ttl=36_000)
    await channel.call(Methods.LEASE_GRANT, lease, deadline=time.monotonic() + 10)
    now = clock.now()
    for puts, bound in ((_ended(now, records), 0), (_live(now), 1), (_listed(now, listed), 0)):
        while together := list(itertools.islice(puts, PUTS_AT_A_TIME)):
            request = rpc.TxnRequest()
            for key, value in together:
                request.success.add(request_put=rpc.PutRequest(key=key, value=value, lease=bound))
            await channel.call(Methods.TXN, request, deadline=time.monotonic() + 30)
    await channel.close()


def _ended(now: datetime, records: int) -> Puts:
    """Work that ended in the last day, one attempt each, the first of it abandoned."""
    for number in range(records):
        paths = _paths("briefed", f"work-{number:06}")
        abandoned = number < LOOSE_ENDS
        yield from _attempt(paths, now - timedelta(seconds=86_000 * (records - number) / records), abandoned=abandoned)


def _live(now: datetime) -> Puts:
    for number in range(LIVE):
        paths = _paths("briefed", f"live-{number:06}")
        claim = StoredClaim(
            session="session-1",
            attempt=1,
            ttl=3600.0,
            claimed_at=now,
            expires_at=now + timedelta(hours=1),
            request_id=f"{number:032}",
            note="half done, branch fix-it",
        )
        yield paths.claim, claim.encode()


def _listed(now: datetime, listed: int) -> Puts:
    for number in range(listed):
        key, value = next(_attempt(_paths("listed", f"work-{number:06}"), now, abandoned=False))
        yield key, value


def _paths(fleet: str, name: str) -> WorkPaths:
    return FleetPaths(fleet).of(WorkKey("task", name))


def _attempt(paths: WorkPaths, ended_at: datetime, *, abandoned: bool) -> Puts:
    state, cause = (State.ABANDONED, Cause.EXPIRED) if abandoned else (State.COMPLETED, None)
    record = StoredRecord(
        state=state,
        session="session-7f8b",
        attempt=1,
        fencing_token=1,
        cause=cause,
        result="" if abandoned else "PR #12 fixes it and adds a test",
        note="half done, branch fix-it",
        claimed_at=ended_at - timedelta(hours=1),
        expires_at=ended_at,
        ended_at=ended_at,
        request_id=f"{paths.segment:>32}",
    )
    yield paths.record, record.encode()
    entry = StoredHistory(
        session=record.session,
        attempt=1,
        fencing_token=1,
        ended=state,
        ended_at=ended_at,
        claimed_at=record.claimed_at,
        expires_at=ended_at,
        cause=cause,
        result=record.result,
        note=record.note,
    )
    yield paths.history(1), entry.encode()
    yield paths.ended(ended_at, 1), Ended(session=record.session, ended=state, cause=cause).encode()
    if cause is not None:
        loose = LooseEnd(session=record.session, attempt=1, cause=cause, ended_at=ended_at)
        yield paths.loose, loose.encode()


async def _brief(endpoint: str, records: int) -> bool:
    """Ask for briefings, short and long; return whether one took too long."""
    slow = False
    async with AsyncClient(endpoint, fleet="briefed") as client:
        await client.briefing()
        for characters in (DEFAULT_BRIEFING_CHARACTERS, 100_000):
            seconds = []
            for _ in range(5):
                started = time.perf_counter()
                briefing = await client.briefing(max_characters=characters)
                seconds.append(time.perf_counter() - started)
            median = statistics.median(seconds)
            slow = slow or (characters == DEFAULT_BRIEFING_CHARACTERS and median >= MOST_SECONDS)
            _say(
                f"briefing of {characters:,} characters over {records:,} records: {1000 * median:.0f} ms "
                f"(median of 5, {1000 * min(seconds):.0f} to {1000 * max(seconds):.0f}); {_counted(briefing)}"
            )
            assert len(briefing.taken) + briefing.omitted_taken == LIVE
            assert len(briefing.loose_ends) + briefing.omitted_loose_ends == LOOSE_ENDS
    return slow


def _counted(briefing: Briefing) -> str:
    pairs = (
        ("taken", briefing.taken, briefing.omitted_taken),
        ("loose ends", briefing.loose_ends, briefing.omitted_loose_ends),
        ("finished", briefing.finished, briefing.omitted_finished),
    )
    return ", ".join(f"{name} {len(shown)} + {omitted}" for name, shown, omitted in pairs)


def _list(pid: int, endpoint: str, listed: int) -> bool:
    """Go through all records, with the client and with the command; return whether memory grew with them."""
    command = [sys.executable, "-m", "tests.campaigns.scale", "--through", endpoint]
    before = _resident(pid)
    started = time.monotonic()
    client = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    after, peak = _resident(pid), _resident(pid, "VmHWM")
    assert client["records"] == listed
    _say(f"client.list() over {listed:,} records: {time.monotonic() - started:.1f} s")
    _say(f"  coordinator: {before:.0f} MiB before, {after:.0f} MiB after, {peak:.0f} MiB at most since it began")
    _say(f"  client: {client['before']:.0f} MiB before, {client['peak']:.0f} MiB at most")
    started = time.monotonic()
    records, peaks = 0, []
    token: str | None = ""
    environment = os.environ | {"COORDINATION_ENDPOINT": endpoint, "COORDINATION_FLEET": "listed"}
    while token is not None:
        arguments = [COMMAND, "--json", "work-list", "--limit", "1000", "--page-token", token]
        page, peak = _answer_and_memory(arguments, environment)
        peaks.append(peak)
        records, token = records + len(page["records"]), page["next_page_token"]
    _say(
        f"work-list --json over {records:,} records: {len(peaks)} pages in {time.monotonic() - started:.1f} s; "
        f"a command takes {peaks[0]:.0f} MiB for the first page, {max(peaks):.0f} MiB at most"
    )
    grown = max(after - before, client["peak"] - client["before"], max(peaks) - peaks[0])
    return grown > MOST_GROWTH or records != listed


#: Runs a command and says how much memory it took at most, in KiB. In a small process of its own, because a child's
#: figure counts from before it became the command, when it was a copy of its parent.
_MEASURING = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


def _answer_and_memory(arguments: list[str], environment: dict[str, str]) -> tuple[Any, float]:
    """Run a command and return the JSON that it prints, and how much memory it took at most, in MiB."""
    command = [sys.executable, "-c", _MEASURING, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout), int(done.stderr.split()[-1]) / 1024


def print_memory_of_reading(endpoint: str) -> None:
    """Read all records, one after the other, and print how much memory that took, in MiB."""
    pid = os.getpid()
    with Client(endpoint, fleet="listed") as client:
        client.list_page()
        before = _resident(pid)
        records = sum(1 for _ in client.list())
    _say(json.dumps({"records": records, "before": before, "peak": _resident(pid, "VmHWM")}))


def _resident(pid: int, which: str = "VmRSS") -> float:
    """Return how much memory a process has, or had at most (VmHWM), in MiB."""
    (kib,) = re.findall(rf"{which}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) / 1024


@contextmanager
def _coordinator(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run a coordinator with an etcd of its own; yields it, and where the two are."""
    command = [COMMAND, "up", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    # To a file, which is always read.
    with (
        (data_dir / "said").open("w") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment) as process,
    ):
        try:
            assert process.stdout is not None
            ready = _READY.fullmatch(process.stdout.readline())
            assert ready, f"the coordinator did not start: {(data_dir / 'said').read_text()}"
            yield process, ready[1], ready[3]
        finally:
            process.terminate()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
