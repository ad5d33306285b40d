"""Work that is done while one answer in two is lost, and what must be true of it afterwards.

Half of the work keys are claimed with their answers lost, renewed without, and completed with; the other half claimed
without, renewed with, and released with. So each of the four operations loses ``COUNT`` answers, half of them with
their connection and half in silence.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from coordinator import Cause, Claim, Outcome, Record, State, WorkDetails
from coordinator.engine.layout import ROOT
from coordinator.engine.transaction import Range, Txn, end_of_prefix
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import decode_txn, encode_txn
from coordinator.store.etcd.methods import Methods
from tests.lossy_proxy import BREAK, SILENCE

#: Answers lost, of each operation and at each proxy. `make test-long` loses 200.
COUNT = int(os.environ.get("COORDINATION_LOST_REPLIES", "24"))
DONE = [f"task:done-{number:03d}" for number in range(COUNT)]
BACK = [f"task:back-{number:03d}" for number in range(COUNT)]

#: Calls a method of a client, of either sort, for a work key: the number says which client.
Call = Callable[..., Awaitable[Any]]


@dataclass
class Losses:
    """What is yet to be lost, by work key, and how much has been."""

    pending: dict[str, str] = field(default_factory=dict)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    operation: str = ""

    def expect(self, operation: str, keys: Sequence[str]) -> None:
        """Lose the next answer about each of the keys."""
        assert not self.pending, f"of {self.operation} these answers were not lost: {self.pending}"
        self.operation = operation
        self.pending = {key: (BREAK, SILENCE)[number % 2] for number, key in enumerate(keys)}

    def take(self, keys: Iterable[str]) -> str | None:
        """Return how to lose an answer that is about these keys; None to let it through."""
        due = [key for key in keys if key in self.pending]
        if not due:
            return None
        how = self.pending[due[0]]
        for key in due:
            del self.pending[key]
        self.lost[self.operation, how] += len(due)
        return how


def session_of(key: str) -> str:
    return f"session-{key[-3:]}"


async def work_through(call: Call, losses: Losses) -> int:
    """Claim, renew, complete and release all the work, and check every answer; returns how many contenders were seen.

    There is none, as each session works on its own. But a claim that is repeated and meets itself marks its session
    before it has looked, and where the caller is cut off before the mark is taken back, it stays.
    """
    everything = DONE + BACK

    async def each(keys: Sequence[str], method: str, **more: Any) -> dict[str, Any]:
        answers = await asyncio.gather(*(call(number, method, key, **more) for number, key in enumerate(keys)))
        return dict(zip(keys, answers, strict=True))

    losses.expect("claim", DONE)
    claims: dict[str, Claim] = await each(everything, "claim", note="begun")
    assert {(claim.outcome, claim.attempt, claim.note) for claim in claims.values()} == {(Outcome.GRANTED, 1, "begun")}
    assert {key: claim.session for key, claim in claims.items()} == {key: session_of(key) for key in everything}
    all_details: dict[str, WorkDetails] = await each(everything, "get")
    held = {key: details.claim for key, details in all_details.items()}
    assert {key: claim.fencing_token for key, claim in claims.items()} == {
        key: claim.fencing_token for key, claim in held.items() if claim
    }

    losses.expect("renew", BACK)
    renewed: dict[str, Claim] = await each(everything, "renew", ttl=7200, note="half of it")
    assert {(claim.outcome, claim.attempt, claim.note, claim.ttl_seconds) for claim in renewed.values()} == {
        (Outcome.RENEWED, 1, "half of it", 7200.0)
    }
    assert all(renewed[key].fencing_token == claims[key].fencing_token for key in everything)
    assert all(renewed[key].expires_at > claims[key].expires_at for key in everything)

    losses.expect("complete", DONE)
    completed: dict[str, Record] = await each(DONE, "complete", result="see #2881")
    assert {(r.state, r.attempt, r.result, r.late) for r in completed.values()} == {
        (State.COMPLETED, 1, "see #2881", False)
    }
    losses.expect("release", BACK)
    released: dict[str, Record] = await each(BACK, "release", reason="too hard")
    assert {(r.state, r.attempt, r.cause, r.reason) for r in released.values()} == {
        (State.ABANDONED, 1, Cause.RELEASED, "too hard")
    }
    losses.expect("nothing", [])

    contenders = 0
    for key, details in (await each(everything, "get")).items():
        (entry,) = details.history
        assert (entry.attempt, entry.session, entry.fencing_token) == (1, session_of(key), claims[key].fencing_token)
        assert (entry.ended, entry.note, details.claim) == (details.record.state, "half of it", None)
        assert entry.contenders <= 1
        contenders += entry.contenders
    return contenders


async def keys_by_table(channel: EtcdChannel, fleet: str) -> Counter[str]:
    """Count what lies in etcd for a fleet, so that nothing is left over that no answer mentions.

    But for the withdrawals of tries whose answers were lost: those go with their leases.
    """
    prefix = f"{ROOT}{fleet}/".encode()
    request = encode_txn(Txn((), (Range(prefix, end_of_prefix(prefix)),)))
    reply = decode_txn(await channel.call(Methods.TXN, request, deadline=time.monotonic() + 30))
    tables = Counter(kv.key.removeprefix(prefix).split(b"/")[0].decode() for kv in reply.range(0).kvs)
    del tables["request"]
    return tables


EXPECTED_KEYS = Counter(record=2 * COUNT, history=2 * COUNT, ended=2 * COUNT, loose=COUNT)


async def check_counters(metrics_urls: Sequence[str], contenders: int) -> dict[str, float]:
    """Check what all coordinators together have counted: each grant and each end once, whatever was repeated."""
    totals: defaultdict[str, float] = defaultdict(float)
    for url in metrics_urls:
        for family in text_string_to_metric_families(await asyncio.to_thread(_fetch, url)):
            for sample in family.samples:
                labels = ",".join(sample.labels[name] for name in ("outcome", "cause", "late") if name in sample.labels)
                totals[f"{sample.name}{{{labels}}}".replace("{}", "")] += sample.value
    wanted: dict[str, float] = {
        "coordination_claims_total{granted}": 2 * COUNT,
        "coordination_claims_total{denied}": 0,
        "coordination_completions_total{false}": COUNT,
        "coordination_abandonments_total{released}": COUNT,
        "coordination_contenders_per_claim_count": 2 * COUNT,
        "coordination_contenders_per_claim_sum": contenders,
    }
    found = {name: totals[name] for name in wanted}
    assert found == wanted, found
    return wanted | {"renewals": totals["coordination_claims_total{renewed}"]}


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # a coordinator's own metrics
        return str(answer.read().decode())


def report(where: str, losses: Losses, counters: dict[str, float], seconds: float) -> str:
    """Put the figures into a line."""
    lost = ", ".join(
        f"{operation} {losses.lost[operation, BREAK]}+{losses.lost[operation, SILENCE]}"
        for operation in ("claim", "renew", "complete", "release")
    )
    reported = ", ".join(f"{name.removeprefix('coordination_')} {value:g}" for name, value in counters.items())
    return f"\nanswers lost {where} (connection broken + silence): {lost}; counted: {reported}; {seconds:.1f} s\n"


def check_losses(losses: Losses) -> None:
    """See that as many answers were lost as were meant to, in both manners."""
    by_operation: Counter[str] = Counter()
    for (operation, _), number in losses.lost.items():
        by_operation[operation] += number
    assert by_operation == dict.fromkeys(("claim", "renew", "complete", "release"), COUNT)
    assert len(losses.lost) == 8
