"""What is seen of an etcd is judged; what was not seen is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coordinator.diagnosis.findings import Finding, Severity
from coordinator.store.diagnosis.rules import ListedMember, MemberSeen, StoreSeen, judge_members, judge_store

MIB = 1024**2
GOOD = "3.5.33"


def member(number: int = 1, **more: Any) -> MemberSeen:
    well = MemberSeen(
        f"m{number}:2379", version=GOOD, cluster_id=7, leader=1, db_size=20 * MIB, db_size_in_use=19 * MIB
    )
    return replace(well, **more)


def listed(count: int, learners: int = 0) -> tuple[ListedMember, ...]:
    return tuple(
        ListedMember(number, f"m{number}", learner=number > count) for number in range(1, count + learners + 1)
    )


WELL = StoreSeen(
    members=tuple(member(number) for number in (1, 2, 3)),
    listed=listed(3),
    latencies=(0.001, 0.002, 0.003),
    revision=1000,
    compacted=900,
    quota_bytes=100 * MIB,
)


def judged(seen: StoreSeen, check: str) -> list[Finding]:
    return [finding for finding in judge_store(seen) if finding.check == check]


def test_all_is_well() -> None:
    found = judge_store(WELL)
    assert {finding.severity for finding in found} == {Severity.OK}
    assert [finding.check for finding in found] == [
        *["etcd-reachable"] * 3,
        "etcd-quorum",
        "etcd-members",
        "etcd-version",
        "etcd-alarm",
        "etcd-space",
        "etcd-compaction",
        "etcd-latency",
    ]


def test_of_what_was_not_seen_nothing_is_said() -> None:
    silent = MemberSeen("m1:2379", silence="etcd at m1:2379 cannot be reached")
    found = judge_store(StoreSeen(members=(silent,), no_quorum="etcd at m1:2379 cannot be reached"))
    assert [(finding.check, finding.severity) for finding in found] == [
        ("etcd-reachable", Severity.PROBLEM),
        ("etcd-quorum", Severity.PROBLEM),
    ]


@pytest.mark.parametrize(
    ("seen", "check", "severity", "said"),
    [
        (
            replace(WELL, members=(*WELL.members[:2], MemberSeen("m3:2379", silence="it is gone"))),
            "etcd-reachable",
            Severity.WARNING,
            "the member at m3:2379 does not answer",
        ),
        (
            replace(WELL, members=(member(1), member(2), member(3, cluster_id=8))),
            "etcd-reachable",
            Severity.PROBLEM,
            "different clusters",
        ),
        (replace(WELL, no_quorum="it takes too long"), "etcd-quorum", Severity.PROBLEM, "it takes too long"),
        (
            replace(WELL, members=(member(1), member(2, leader=2), member(3))),
            "etcd-quorum",
            Severity.WARNING,
            "do not agree on a leader",
        ),
        (
            replace(WELL, members=tuple(member(number, leader=0) for number in (1, 2, 3))),
            "etcd-quorum",
            Severity.WARNING,
            "no member knows a leader",
        ),
        (
            replace(WELL, listed=listed(4), members=tuple(map(member, (1, 2, 3, 4)))),
            "etcd-members",
            Severity.WARNING,
            "4 voting members tolerate no more failures than 3 would",
        ),
        (replace(WELL, listed=listed(5)), "etcd-members", Severity.WARNING, "knows 3 of 5 members"),
        (replace(WELL, listed=listed(3, learners=1)), "etcd-members", Severity.WARNING, "m4 is a learner"),
        (
            replace(WELL, listed=(*listed(2), ListedMember(0xAB, "", learner=False))),
            "etcd-members",
            Severity.WARNING,
            "the member ab was added, but never started",
        ),
        (
            replace(WELL, members=(member(1), member(2), member(3, version="3.6.14"))),
            "etcd-version",
            Severity.WARNING,
            "different versions: 3.5.33, 3.6.14",
        ),
        (
            replace(WELL, members=tuple(member(number, version="3.5.2") for number in (1, 2, 3))),
            "etcd-version",
            Severity.PROBLEM,
            "3.5.2 can lose data",
        ),
        (
            replace(WELL, members=(member(1, version="3.5.2"),), listed=listed(1)),
            "etcd-version",
            Severity.WARNING,
            "3.5.2 can lose data",
        ),
        (
            replace(WELL, members=(member(1, errors=("memberID:1 alarm:NOSPACE ",)),)),
            "etcd-alarm",
            Severity.PROBLEM,
            "quota is used up (NOSPACE)",
        ),
        (
            replace(WELL, members=(member(1, errors=("memberID:1 alarm:CORRUPT ",)),)),
            "etcd-alarm",
            Severity.PROBLEM,
            "data differ",
        ),
        (
            replace(WELL, members=(member(1, errors=("etcdserver: no leader",)),)),
            "etcd-alarm",
            Severity.WARNING,
            "etcd says: etcdserver: no leader",
        ),
        (
            replace(WELL, members=(member(1), member(2, db_size=80 * MIB, db_size_in_use=79 * MIB))),
            "etcd-space",
            Severity.WARNING,
            "space is short: 80.0 MiB of 100.0 MiB",
        ),
        (
            replace(WELL, members=(member(1, db_size=1700 * MIB, db_size_in_use=1700 * MIB),), quota_bytes=None),
            "etcd-space",
            Severity.WARNING,
            "space is short: 1.7 GiB of 2.0 GiB (etcd's default)",
        ),
        (
            replace(WELL, members=(member(1, db_size=400 * MIB, db_size_in_use=199 * MIB),), quota_bytes=4096 * MIB),
            "etcd-space",
            Severity.WARNING,
            "of 400.0 MiB on disk 199.0 MiB are in use",
        ),
        (
            replace(WELL, revision=100_001, compacted=0),
            "etcd-compaction",
            Severity.WARNING,
            "never compacted, in 100001",
        ),
        (
            replace(WELL, revision=1_000_902, compacted=901),
            "etcd-compaction",
            Severity.WARNING,
            "1000001 revisions are kept",
        ),
        (replace(WELL, latencies=(0.026,) * 3), "etcd-latency", Severity.WARNING, "slow: a transaction takes 26.0 ms"),
        (
            replace(WELL, latencies=(0.001, 0.001, 0.101)),
            "etcd-latency",
            Severity.WARNING,
            "(median of 3), 101.0 ms at most",
        ),
        (
            replace(WELL, members=(member(1, raft_index=9000), member(2, raft_index=9000, raft_applied_index=3999))),
            "etcd-progress",
            Severity.WARNING,
            "5001 log entries behind",
        ),
    ],
)
def test_what_is_not_well_is_found(seen: StoreSeen, check: str, severity: Severity, said: str) -> None:
    found = [finding for finding in judged(seen, check) if finding.severity is not Severity.OK]
    assert (severity, True) in [(finding.severity, said in finding.message) for finding in found], found
    assert all(finding.advice for finding in found)


@pytest.mark.parametrize(
    "seen",
    [
        replace(WELL, revision=100_000, compacted=0),
        replace(WELL, revision=1_000_901, compacted=901),
        replace(WELL, latencies=(0.025, 0.025, 0.1)),
        replace(WELL, members=(member(1, db_size=79 * MIB, db_size_in_use=MIB),), listed=listed(1)),
        replace(WELL, members=(member(1, quota=8192 * MIB, db_size=500 * MIB, db_size_in_use=251 * MIB),), listed=None),
        replace(WELL, members=(member(1),), listed=listed(1), quota_bytes=None),
    ],
)
def test_at_its_limits_it_is_still_well(seen: StoreSeen) -> None:
    assert [finding for finding in judge_store(seen) if finding.severity is not Severity.OK] == []


def test_a_status_is_judged_by_what_members_say_alone() -> None:
    found = judge_members(replace(WELL, members=(member(1, errors=("alarm:NOSPACE",), version="3.5.2"),)))
    assert {finding.check for finding in found} == {"etcd-reachable", "etcd-alarm", "etcd-space"}
