"""What a coordinator counts."""

from __future__ import annotations

import asyncio
import json

import pytest

from coordinator import AsyncClient, Client, InvalidInput
from tests.conftest import RunningEtcd
from tests.integration.server_running import Etcdctl, RunCoordinator, samples


class TestMetrics:
    def test_they_count_what_was_done(
        self, etcd: RunningEtcd, run_coordinator: RunCoordinator, etcdctl: Etcdctl, fleet: str
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            with Client(own.endpoint, fleet=fleet) as one, Client(own.endpoint, fleet=fleet) as two:
                for key in ("task:a", "task:b", "blog:c"):
                    one.claim("one", key)
                one.claim("one", "task:a")
                for key in ("task:a", "task:a", "blog:c"):
                    two.try_claim("two", key)
                one.complete("one", "task:a")
                two.try_claim("two", "task:a")
                one.release("one", "task:b")
                one.revoke("blog:c", at_once=True)
                one.claim("one", "task:expired", 86_002)
                value = etcdctl("get", f"/coordination/v1/{fleet}/claim/task:expired", "-w", "json")
                etcdctl("lease", "revoke", f"{json.loads(value)['kvs'][0]['lease']:x}")
                assert one.reap() == 1
                with pytest.raises(InvalidInput):
                    one.claim("one", "")
                status = one.status()
            found = samples(own.metrics_url)

        assert {name: value for name, value in found.items() if name.startswith("claims_total")} == {
            "claims_total{kind=task,outcome=granted}": 3,
            "claims_total{kind=blog,outcome=granted}": 1,
            "claims_total{kind=task,outcome=renewed}": 1,
            "claims_total{kind=task,outcome=denied}": 3,
            "claims_total{kind=blog,outcome=denied}": 1,
        }
        assert {name: value for name, value in found.items() if name.startswith("denials_total")} == {
            "denials_total{kind=task,reason=held}": 2,
            "denials_total{kind=task,reason=completed}": 1,
            "denials_total{kind=blog,reason=held}": 1,
        }
        assert found["completions_total{kind=task,late=false}"] == 1
        assert {name: value for name, value in found.items() if name.startswith("abandonments_total")} == {
            "abandonments_total{cause=released,kind=task}": 1,
            "abandonments_total{cause=revoked,kind=blog}": 1,
            "abandonments_total{cause=expired,kind=task}": 1,
        }
        # However often a session asked, it counts once per attempt.
        assert found["contenders_per_claim_count{}"] == 4
        assert found["contenders_per_claim_sum{}"] == 2
        assert found["claim_held_seconds_count{ended=completed,kind=task}"] == 1
        assert found["reap_lag_seconds_count{}"] == 1
        assert found["rpc_seconds_count{code=OK,method=Claim}"] == 9
        assert found["rpc_seconds_count{code=INVALID_ARGUMENT,method=Claim}"] == 1
        assert found["etcd_transaction_seconds_count{}"] >= 9
        assert [value for name, value in found.items() if name.startswith("build_info{version=")] == [1]
        assert (status.convergence_rate.granted, status.convergence_rate.denied) == (4, 4)
        assert status.convergence_rate.value == 0.5

    async def test_inventing_kinds_does_not_make_them_grow(
        self, etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            async with AsyncClient(own.endpoint, fleet=fleet, timeout=30) as client:
                await asyncio.gather(*(client.claim("s", f"kind{number}:x") for number in range(200)))
            found = samples(own.metrics_url)
        granted = {name: value for name, value in found.items() if name.startswith("claims_total{")}
        assert len(granted) == 65
        assert granted["claims_total{kind=other,outcome=granted}"] == 200 - 64
        assert sum(granted.values()) == 200
