"""Judges what was seen of an etcd: which of it is in order, which is not, and what to do.

Invariant: only what was seen is judged. What could not be seen is said to be unknown, never taken for good.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.diagnosis.findings import Finding, problem, sound, warning
from coordinator.server_limits import SPACE_SHARE
from coordinator.store.diagnosis.versions import RECOMMENDED, faults_of

__all__ = ["ListedMember", "MemberSeen", "StoreSeen", "judge_members", "judge_store"]

#: etcd wants its log on disk within 10 ms (99th percentile) and its database within 25 ms (etcd.io, FAQ and tuning).
SLOW_MEDIAN_SECONDS = 0.025
#: etcd itself complains of a request that takes longer to apply (``--experimental-warning-apply-duration``).
SLOW_SECONDS = 0.1
#: etcd's quota if none is set (``DefaultQuotaBytes``). etcd before 3.6 does not report it.
DEFAULT_QUOTA_BYTES = 2 * 1024**3
#: Below this size it does not matter how much of a database is free inside.
WORTH_DEFRAGMENTING_BYTES = 256 * 1024**2
#: A claim takes about 750 bytes until it is compacted: so many revisions are a third of the default quota.
UNCOMPACTED_REVISIONS = 1_000_000
#: Where nothing has ever been compacted. Even periodic compaction waits for its first period, ten minutes with ``up``.
NEVER_COMPACTED_REVISIONS = 100_000
#: etcd refuses requests when it is so many log entries behind with applying (``maxGapBetweenApplyAndCommitIndex``).
APPLY_LAG = 5_000


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """What a member says of itself, and ``silence``: why it says nothing, None where it does. Sizes in bytes."""

    endpoint: str
    silence: str | None = None
    version: str = ""
    cluster_id: int = 0
    leader: int = 0
    db_size: int = 0
    db_size_in_use: int = 0
    quota: int = 0
    raft_index: int = 0
    raft_applied_index: int = 0
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedMember:
    """A member as the cluster lists it; ``name`` is empty until it has been started for the first time."""

    id: int
    name: str
    learner: bool


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """All that was seen of a store.

    ``listed`` is None where the list of members could not be read, ``no_quorum`` why a linearizable read failed, None
    where it did not. ``latencies`` are seconds, one for each transaction. ``compacted`` is the revision up to which
    the past has been compacted, 0 for never, None where that could not be found out. ``quota_bytes`` is the quota
    where the coordinator has set it itself.
    """

    members: tuple[MemberSeen, ...]
    listed: tuple[ListedMember, ...] | None = None
    no_quorum: str | None = None
    latencies: tuple[float, ...] = ()
    revision: int = 0
    compacted: int | None = None
    quota_bytes: int | None = None

    @property
    def answering(self) -> tuple[MemberSeen, ...]:
        """The members that answer."""
        return tuple(member for member in self.members if member.silence is None)


def judge_store(seen: StoreSeen) -> tuple[Finding, ...]:
    """Judge what was seen of a store, one finding or more for each check."""
    return tuple(
        finding
        for check in (_reachability, _quorum, _membership, _versions, _alarms, _space, _compaction, _latency, _progress)
        for finding in check(seen)
    )


def judge_members(seen: StoreSeen) -> tuple[Finding, ...]:
    """Judge what the members report of themselves: what can be known at any time and costs nothing."""
    return tuple(finding for check in (_reachability, _alarms, _space) for finding in check(seen))


def _reachability(seen: StoreSeen) -> Iterator[Finding]:
    for member in seen.members:
        if member.silence is None:
            yield sound("etcd-reachable", f"{member.endpoint} answers", subject=member.endpoint)
            continue
        make = warning if seen.answering else problem
        message = f"the member at {member.endpoint} does not answer"
        advice = f"see whether it runs, and whether the coordinator's host can reach it ({member.silence})"
        yield make("etcd-reachable", message, advice, subject=member.endpoint)
    if len({member.cluster_id for member in seen.answering}) > 1:
        yield problem(
            "etcd-reachable",
            "the endpoints belong to different clusters, so that each coordinator call may meet other claims",
            "name members of one cluster only",
        )


def _quorum(seen: StoreSeen) -> Iterator[Finding]:
    leaders = {member.leader for member in seen.answering if member.leader}
    if seen.no_quorum is not None:
        yield problem(
            "etcd-quorum",
            f"no linearizable read succeeds; {len(seen.answering)} of {len(seen.members)} members answer "
            f"({seen.no_quorum})",
            "start members until more than half of them run and reach one another; claims that are held stay held",
        )
    elif len(leaders) == 1:
        name = next((member.name for member in seen.listed or () if member.id in leaders), "")
        yield sound("etcd-quorum", f"reads are linearizable; the leader is {name or format(leaders.pop(), 'x')}")
    else:
        yield warning(
            "etcd-quorum",
            "the members do not agree on a leader" if leaders else "no member knows a leader",
            "ask again: right after an election that passes; if it stays, see the network between the members",
        )


def _membership(seen: StoreSeen) -> Iterator[Finding]:
    if seen.listed is None:
        return
    voters = [member for member in seen.listed if not member.learner]
    count = len(voters)
    named = f"{count} voting member{'' if count == 1 else 's'}"
    if count == 1:
        yield sound("etcd-members", f"{named}: claims can be made while its host runs", value=1, unit="members")
    elif count % 2 == 0:
        yield warning(
            "etcd-members",
            f"{named} tolerate no more failures than {count - 1} would",
            "add a member, or remove one: 3 tolerate the loss of one, 5 of two",
            value=count,
            unit="members",
        )
    else:
        yield sound("etcd-members", f"{named}: tolerates the loss of {count // 2}", value=count, unit="members")
    if len(seen.members) < count:
        yield warning(
            "etcd-members",
            f"the coordinator knows {len(seen.members)} of {count} members, and cannot turn to the others",
            "name all of them with --etcd, unless a balancer stands before them",
        )
    for member in seen.listed:
        if not member.name:
            yield warning(
                "etcd-members",
                f"the member {member.id:x} was added, but never started; it counts for the quorum all the same",
                "start it, or remove it: etcdctl member remove",
            )
        elif member.learner:
            yield warning(
                "etcd-members", f"{member.name} is a learner: it does not vote", "promote it: etcdctl member promote"
            )


def _versions(seen: StoreSeen) -> Iterator[Finding]:
    versions = sorted({member.version for member in seen.answering if member.version})
    if len(versions) > 1:
        yield warning(
            "etcd-version",
            f"the members run different versions: {', '.join(versions)}",
            "finish the upgrade: mixed versions are meant for its duration only",
        )
    clustered = len(seen.members) > 1 or len(seen.listed or ()) > 1
    for version in versions:
        for fault in faults_of(version):
            make = problem if fault.breaks_clusters and clustered else warning
            yield make("etcd-version", f"etcd {version} {fault.text}", f"run {RECOMMENDED}")
        if not faults_of(version):
            yield sound("etcd-version", f"etcd {version}: no known faults that matter to claims")


def _alarms(seen: StoreSeen) -> Iterator[Finding]:
    # Members report alarms in their status. A request for the list of alarms is not harmless: etcd before 3.5.5
    # may not start again after it (etcd-io/etcd#14429).
    errors = sorted({error.strip() for member in seen.answering for error in member.errors})
    for error in errors:
        if "NOSPACE" in error:
            yield problem(
                "etcd-alarm",
                "etcd's storage quota is used up (NOSPACE): nothing can be claimed, renewed or completed",
                "compact, defragment every member and disarm the alarm (etcdctl compaction, defrag, alarm disarm), "
                "or raise --quota-backend-bytes first",
            )
        elif "CORRUPT" in error:
            yield problem(
                "etcd-alarm",
                f"a member's data differ from the others': {error}",
                "remove that member, delete its data and add it again; until then do not rely on claims",
            )
        else:
            yield warning("etcd-alarm", f"etcd says: {error}", "see etcd's log")
    if seen.answering and not errors:
        yield sound("etcd-alarm", "no alarm is raised")


def _space(seen: StoreSeen) -> Iterator[Finding]:
    if not seen.answering:
        return
    fullest = max(seen.answering, key=lambda member: member.db_size)
    known = max((member.quota for member in seen.answering), default=0) or seen.quota_bytes
    quota = known or DEFAULT_QUOTA_BYTES
    of_it = f"{_mebibytes(fullest.db_size)} of {_mebibytes(quota)}" + ("" if known else " (etcd's default)")
    if fullest.db_size >= SPACE_SHARE * quota:
        advice = "compact and defragment, keep less history, or raise --quota-backend-bytes"
        unknown = "" if known else "; etcd before 3.6 does not report its quota: see what it was started with"
        yield warning(
            "etcd-space", f"space is short: {of_it}", advice + unknown, value=fullest.db_size / quota, unit="of quota"
        )
    else:
        unsure = "" if known else "; etcd before 3.6 does not report its quota"
        yield sound("etcd-space", f"{of_it}{unsure}", value=fullest.db_size / quota, unit="of quota")
    for member in seen.answering:
        if member.db_size > WORTH_DEFRAGMENTING_BYTES and member.db_size > 2 * member.db_size_in_use:
            yield warning(
                "etcd-space",
                f"of {_mebibytes(member.db_size)} on disk {_mebibytes(member.db_size_in_use)} are in use",
                "defragment it, one member at a time and the leader last: etcdctl defrag",
                subject=member.endpoint,
            )


def _compaction(seen: StoreSeen) -> Iterator[Finding]:
    if seen.compacted is None:
        return
    kept = seen.revision - seen.compacted
    advice = "start etcd with --auto-compaction-mode=periodic --auto-compaction-retention=10m"
    if not seen.compacted and kept > NEVER_COMPACTED_REVISIONS:
        message = f"never compacted, in {kept} revisions: without compaction etcd fills up"
        advice += ", unless it is only minutes old"
        yield warning("etcd-compaction", message, advice, value=kept, unit="revisions")
    elif kept > UNCOMPACTED_REVISIONS:
        message = f"{kept} revisions are kept since the last compaction"
        yield warning("etcd-compaction", message, f"{advice}, or a shorter one", value=kept, unit="revisions")
    else:
        since = f"since the compaction at revision {seen.compacted}" if seen.compacted else "and none is compacted yet"
        message = f"{kept} revision{' is' if kept == 1 else 's are'} kept {since}"
        yield sound("etcd-compaction", message, value=kept, unit="revisions")


def _latency(seen: StoreSeen) -> Iterator[Finding]:
    if not seen.latencies:
        return
    median, slowest = statistics.median(seen.latencies), max(seen.latencies)
    count = len(seen.latencies)
    message = f"a transaction takes {median * 1e3:.1f} ms (median of {count}), {slowest * 1e3:.1f} ms at most"
    if median > SLOW_MEDIAN_SECONDS or slowest > SLOW_SECONDS:
        advice = "give etcd an SSD of its own and members near one another; see whether its host is busy"
        yield warning("etcd-latency", f"slow: {message}", advice, value=median, unit="seconds")
    else:
        yield sound("etcd-latency", message, value=median, unit="seconds")


def _progress(seen: StoreSeen) -> Iterator[Finding]:
    newest = max((member.raft_index for member in seen.answering), default=0)
    for member in seen.answering:
        behind = newest - member.raft_applied_index
        if behind > APPLY_LAG:
            yield warning(
                "etcd-progress",
                f"{behind} log entries behind",
                "see whether its disk or its network is slow; a member that was just added catches up",
                subject=member.endpoint,
                value=behind,
                unit="entries",
            )


def _mebibytes(size: float) -> str:
    return f"{size / 1024**2:.1f} MiB" if size < 1024**3 else f"{size / 1024**3:.1f} GiB"
