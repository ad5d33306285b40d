"""Fleets to look at on the board: ordinary ones of several sizes, and one whose texts are hostile.

Invariant: what a scene holds is the same each time, but for what the coordinator itself counts (times and revisions).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle, islice

from coordinator import Client
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import Put, Txn
from coordinator.keys import parse_work_key
from coordinator.model import NewWork
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import encode_txn
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["HOSTILE", "fill_busy", "fill_hostile", "multiply"]

_REPOSITORIES = ("acme/web", "acme/api", "acme/billing", "acme/infra")
_WORDS = (
    "retry-payment-webhook", "rotate-signing-keys", "migrate-orders-table", "flaky-checkout-test",
    "remove-legacy-flags",    "index-search-terms", "image-cache-headers", "upgrade-postgres-client",
)  # fmt: skip
_NOTES = (
    "tests pass, writing the changelog", "", "waiting for CI", "bisecting: between 3f2c and 91ab", "",
    "reproduced; the lock is taken twice when a webhook is retried while the nightly import runs", "",
    "draft is up, links still to be checked",
)  # fmt: skip
_NAMES = ("atlas", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "juno", "kelp", "lark")
#: From a quarter of an hour to two days, in seconds: what is looked at must not expire meanwhile.
_TTLS = (3600, 2400, 900, 1800, 7200, 5400, 1200, 2700, 172800)

#: A transaction of etcd's has at most 128 operations, and a claim two keys.
_COPIES = 64

#: What a session may write into any text: markup, code, characters that turn the direction or cannot be seen.
HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script><style>*{display:none}</style>\"'><svg/onload=alert(3)>"
    " javascript:alert(4) {{7*7}} ${alert(5)} &lt;b&gt; \x1b[31mred\x07 \u202egnp.exe\u2066 \u200b\ufeff\u2028 end"
)


def _keys() -> Iterator[str]:
    for number in range(1, 1000):
        yield f"{_REPOSITORIES[number % 4]}#{2800 + number * 7 % 997}"
        if number % 3 == 0:
            yield f"task:{_WORDS[number % 8]}-{number}" if number > 24 else f"task:{_WORDS[number % 8]}"
        if number % 7 == 0:
            yield f"blog:{2026 + number // 196}-{number // 7 % 28 + 1:02}-notes-on-releases"


def fill_busy(client: Client, claims: int = 60) -> None:
    """Fill a fleet with so many live claims, denials of some, and a pool; with loose ends and failed work."""
    sessions, ttls, notes = cycle(_NAMES), cycle(_TTLS), cycle(_NOTES)
    held = list(islice(_keys(), claims))
    for number, key in enumerate(held):
        client.claim(f"agent-{next(sessions)}-{number % 5}", key, next(ttls), note=next(notes))
    for number, key in enumerate(held[: claims // 2 : 3]):
        for name in islice(_NAMES, number % 4 + 1):
            client.try_claim(f"agent-{name}-late", key)
    _fill_pool(client)
    for number, (key, reason) in enumerate(
        [
            ("acme/web#3410", "the staging database is being restored until 14:00 UTC"),
            ("acme/api#3411", "needs a decision: keep the v1 endpoint or not?"),
            ("task:rewrite-the-onboarding-emails", ""),
        ]
    ):
        client.claim(f"agent-{_NAMES[number]}-gone", key)
        client.release(f"agent-{_NAMES[number]}-gone", key, reason=reason)


def _fill_pool(client: Client) -> None:
    client.submit_many(
        "planner",
        [
            NewWork("acme/web#3500", priority=90, brief="Sign-in fails for accounts without a display name."),
            NewWork("acme/web#3501", priority=50),
            NewWork("acme/api#3502", priority=50),
            NewWork("task:release-notes-4-2", priority=10, depends=("acme/web#3500", "acme/web#3501")),
            NewWork("task:announce-4-2", depends=("task:release-notes-4-2",)),
            NewWork("task:import-march-invoices", priority=70),
        ],
    )
    for number in range(3):
        client.claim(f"agent-{_NAMES[number]}-7", "task:import-march-invoices")
        client.release(
            f"agent-{_NAMES[number]}-7",
            "task:import-march-invoices",
            reason="exit 1: invoice 20931 has no currency",
            failed=True,
        )


def fill_hostile(client: Client) -> None:
    """Fill a fleet with work of each state whose texts are ``HOSTILE``."""
    client.claim("held-by", "task:hostile-held", note=HOSTILE)
    client.try_claim("denied-to", "task:hostile-held")
    client.claim("left-by", "task:hostile-left")
    client.release("left-by", "task:hostile-left", reason=HOSTILE)
    client.claim("done-by", "task:hostile-done")
    client.complete("done-by", "task:hostile-done", result=HOSTILE)
    client.submit("planner", "task:hostile-free", brief=HOSTILE)
    client.submit("planner", "task:hostile-failed", brief=HOSTILE)
    for number in range(3):
        client.claim(f"failing-{number}", "task:hostile-failed")
        client.release(f"failing-{number}", "task:hostile-failed", reason=HOSTILE, failed=True)


async def multiply(etcd: str, fleet: str, key: str, count: int) -> None:
    """Have a fleet hold so many copies of a live claim; ``key`` ends with digits, which number them from 0 on.

    They are written to etcd as the claim is, on its lease: claimed one by one they would take half a minute.
    """
    channel = EtcdChannel([etcd])
    deadline = time.monotonic() + 60
    try:
        paths = FleetPaths(fleet).of(parse_work_key(key))
        prototypes = []
        for path in (paths.record, paths.claim):
            found = await channel.call(Methods.RANGE, rpc.RangeRequest(key=path), deadline=deadline)
            prototypes.append((path, found.kvs[0].value, found.kvs[0].lease))
        stem = key.rstrip("0123456789")
        digits = len(key) - len(stem)
        old = key.encode()
        for begin in range(0, count, _COPIES):
            puts = [
                Put(path.replace(old, f"{stem}{number:0{digits}}".encode()), value, lease)
                for number in range(begin, min(count, begin + _COPIES))
                for path, value, lease in prototypes
            ]
            await channel.call(Methods.TXN, encode_txn(Txn((), tuple(puts))), deadline=deadline)
    finally:
        await channel.close()
