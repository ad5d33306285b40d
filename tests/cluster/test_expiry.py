"""A claim ends when its time is up, whatever has become of the coordinator that granted it: etcd's lease ends it."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LEASE_ID_PREFIX
from tests.cluster.claim_watching import DELETE, PUT, watching_claims
from tests.conftest import RunningCoordinator, RunningEtcd

KEY = "github:gptme/gptme#2880"
STORED_KEY = "github:gptme%2Fgptme#2880"
TTL = timedelta(seconds=6)
#: What etcd may take to end a lease whose time is up, the grace that is promised.
GRACE = timedelta(seconds=3)


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
Coordination = Callable[..., subprocess.CompletedProcess[str]]
Etcdctl = Callable[..., str]


@dataclass(frozen=True)
class StoredKey:
    """A key as etcdctl shows it."""

    key: str
    value: dict[str, Any]
    lease: int
    create_revision: int


def stored_keys(etcdctl: Etcdctl, prefix: str) -> list[StoredKey]:
    found = json.loads(etcdctl("get", prefix, "--prefix", "-w", "json"))
    return [
        StoredKey(
            key=base64.b64decode(kv["key"]).decode(),
            value=json.loads(base64.b64decode(kv["value"])),
            lease=kv.get("lease", 0),
            create_revision=kv["create_revision"],
        )
        for kv in found.get("kvs", [])
    ]


def answer_of(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_claim_is_one_leased_key_and_its_record_has_no_lease(
    coordination: Coordination, etcdctl: Etcdctl, fleet: str
) -> None:
    claim = answer_of(coordination("work-claim", "session-7f8b", KEY, "--ttl", "60", "--note", "ö", "--json"))["claim"]

    (stored,) = stored_keys(etcdctl, f"/coordination/v1/{fleet}/claim/")
    assert stored.key == f"/coordination/v1/{fleet}/claim/{STORED_KEY}"
    assert stored.lease >> 48 == LEASE_ID_PREFIX
    assert stored.create_revision == claim["fencing_token"]
    assert stored.value["session"] == "session-7f8b"
    assert stored.value["attempt"] == 1
    assert stored.value["note"] == "ö"

    (record,) = stored_keys(etcdctl, f"/coordination/v1/{fleet}/record/")
    assert record.key == f"/coordination/v1/{fleet}/record/{STORED_KEY}"
    assert record.lease == 0
    assert record.value["state"] == "claimed"
    assert len(stored_keys(etcdctl, f"/coordination/v1/{fleet}/")) == 2
    lease = json.loads(etcdctl("lease", "timetolive", f"{stored.lease:x}", "-w", "json"))
    assert 3600 <= lease["granted-ttl"] <= 3605
    # An operator reads it as it is.
    shown = etcdctl("get", stored.key, "--print-value-only")
    assert shown.startswith('{"session":"session-7f8b","attempt":1,"ttl":3600.0,"claimed_at":"20')
    assert '"note":"ö"' in shown


@pytest.mark.long_but_for("killed")
@pytest.mark.parametrize("fate", ["frozen", "killed"])
async def test_a_claim_ends_on_time_without_its_coordinator(
    fate: str,
    etcd: RunningEtcd,
    etcd_channel: EtcdChannel,
    run_coordinator: RunCoordinator,
    coordination: Coordination,
    etcdctl: Etcdctl,
    fleet: str,
) -> None:
    with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
        async with watching_claims(etcd_channel, fleet) as watch:
            there = {"COORDINATION_ENDPOINT": own.endpoint}
            note = ("--note", "half done")
            claim = answer_of(coordination("work-claim", "crashed", KEY, "--ttl", "6s", *note, "--json", **there))
            own.process.send_signal(signal.SIGSTOP if fate == "frozen" else signal.SIGKILL)

            (stored,) = stored_keys(etcdctl, f"/coordination/v1/{fleet}/claim/")
            claimed_at = datetime.fromisoformat(stored.value["claimed_at"])
            expires_at = datetime.fromisoformat(stored.value["expires_at"])
            assert claimed_at + TTL <= expires_at <= claimed_at + TTL + timedelta(seconds=1.5)
            assert (await watch.next(5)).type == PUT
            gone = await watch.next(15)
            assert (gone.type, gone.work_key) == (DELETE, STORED_KEY)
            assert claimed_at + TTL <= gone.at <= expires_at + GRACE
        own.process.send_signal(signal.SIGCONT)

        # The coordinator that was frozen goes on; in the place of the killed one is another.
        there = there if fate == "frozen" else {}
        shown = answer_of(coordination("work-show", KEY, "--json", **there))
        assert shown["claim"] is None
        assert not shown["live"]
        assert shown["record"]["state"] == "abandoned"
        assert shown["record"]["cause"] == "expired"
        assert shown["record"]["session"] == "crashed"

        again = answer_of(coordination("work-claim", "successor", KEY, "--json", **there))
        assert again["claim"]["attempt"] == 2
        assert again["claim"]["fencing_token"] > claim["claim"]["fencing_token"]
        previous = again["previous"]
        assert previous["attempt"] == 1
        assert previous["session"] == "crashed"
        assert previous["cause"] == "expired"
        assert previous["note"] == "half done"

        history = answer_of(coordination("work-show", KEY, "--json", **there))["history"]
        assert [(entry["attempt"], entry["ended"], entry["cause"]) for entry in history] == [
            (1, "abandoned", "expired")
        ]
        assert answer_of(coordination("work-reap", "--json", **there))["reaped"] == 0


async def test_a_renewed_claim_outlives_its_first_deadline(
    coordination: Coordination, etcd_channel: EtcdChannel, etcdctl: Etcdctl, fleet: str
) -> None:
    """The end of another, made just after it and not renewed, shows that its first deadline is past."""
    async with watching_claims(etcd_channel, fleet) as watch:
        first = answer_of(coordination("work-claim", "s", "task:renewed", "--ttl", "8s", "--json"))["claim"]
        answer_of(coordination("work-claim", "s", "task:dropped", "--ttl", "8s", "--json"))
        before = {key.key.rpartition("/")[2]: key for key in stored_keys(etcdctl, f"/coordination/v1/{fleet}/claim/")}

        renewed = answer_of(coordination("work-renew", "s", "task:renewed", "--ttl", "60s", "--json"))["claim"]
        assert renewed["fencing_token"] == first["fencing_token"]
        assert renewed["expires_at"] > first["expires_at"]

        events = [await watch.next(25) for _ in range(4)]
        assert [(event.type, event.work_key) for event in events] == [
            (PUT, "task:renewed"),
            (PUT, "task:dropped"),
            (PUT, "task:renewed"),
            (DELETE, "task:dropped"),
        ]
        (left,) = stored_keys(etcdctl, f"/coordination/v1/{fleet}/claim/")
        assert left.key.endswith("/task:renewed")
        assert left.create_revision == first["fencing_token"]
        assert left.lease != before["task:renewed"].lease
    record = answer_of(coordination("work-complete", "s", "task:renewed", "--json"))
    assert (record["state"], record["attempt"], record["late"]) == ("completed", 1, False)
