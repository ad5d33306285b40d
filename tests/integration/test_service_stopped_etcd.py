"""An etcd that hangs: every call fails before its deadline, and what was sent takes effect once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator import AsyncClient, CoordinatorError, OutcomeUnknown, Unavailable
from tests.conftest import RunningEtcd
from tests.freezing import freeze
from tests.integration.bare_stub import KEY
from tests.integration.server_running import RunCoordinator, RunEtcd


class TestStoppedEtcd:
    """An etcd that hangs: connected, and silent."""

    @pytest.fixture
    def own_etcd(self, run_etcd: RunEtcd, tmp_path: Path) -> Iterator[RunningEtcd]:
        with run_etcd(tmp_path) as etcd:
            yield etcd
            os.kill(etcd.pid, signal.SIGCONT)

    @pytest.fixture
    async def own_client(
        self, own_etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str
    ) -> AsyncIterator[AsyncClient]:
        with run_coordinator("serve", "--etcd", own_etcd.endpoint) as own:
            async with AsyncClient(own.endpoint, fleet=fleet, timeout=1.5) as client:
                yield client

    @pytest.mark.alone
    async def test_a_claim_that_hangs_is_answered_in_time_and_takes_effect_once(
        self, own_etcd: RunningEtcd, own_client: AsyncClient
    ) -> None:
        client = own_client
        caught = await self.unknown_claim(client, own_etcd)
        # The coordinator's own answer, which came before the deadline, and not the lapse of time. Until then the client
        # goes on asking.
        assert caught.message.startswith("etcd gave no definite answer in time")
        assert caught.request_id == "the-same"

        os.kill(own_etcd.pid, signal.SIGCONT)
        claim = await self.until_answered(client, request_id="the-same")
        again = await client.claim("s", KEY, 600, request_id="the-same")
        assert (claim.attempt, claim.fencing_token) == (1, again.fencing_token)
        details = await client.get(KEY)
        assert details.claim is not None
        assert (details.record.attempt, details.claim.fencing_token) == (1, claim.fencing_token)
        assert details.history == ()
        assert details.contenders == ()

    async def unknown_claim(self, client: AsyncClient, etcd: RunningEtcd) -> OutcomeUnknown:
        """Claim while etcd stands still; returns the error, and leaves etcd stopped."""
        for _ in range(20):
            await client.claim("s", "task:before", 600)  # so that the pool has a lease for the next
            freeze(etcd.pid)
            try:
                await client.claim("s", KEY, 600, request_id="the-same")
            except OutcomeUnknown as unknown:
                return unknown
            except Unavailable:
                # The policies were to be read first: they are kept only once their watch is in place.
                os.kill(etcd.pid, signal.SIGCONT)
        raise AssertionError("the claim never came to be sent")

    async def until_answered(self, client: AsyncClient, *, request_id: str) -> Any:
        for _ in range(5):
            try:
                return await client.claim("s", KEY, 600, request_id=request_id)
            except (Unavailable, OutcomeUnknown):
                continue
        raise AssertionError("etcd goes on, and the claim is still not answered")

    async def test_a_claim_that_never_got_a_lease_has_changed_nothing(
        self, own_etcd: RunningEtcd, own_client: AsyncClient
    ) -> None:
        await own_client.claim("s", "task:other", 6000)  # from then on it is known which policies there are
        freeze(own_etcd.pid)
        # Which they are is read again first, where the watch has been silent for long enough.
        with pytest.raises(Unavailable, match=r"there is no lease for the claim: etcd|did not answer in time"):
            await own_client.claim("s", KEY, 600)
        os.kill(own_etcd.pid, signal.SIGCONT)
        assert (await self.until_answered(own_client, request_id="another")).attempt == 1

    async def test_every_call_is_answered_before_its_deadline(
        self, own_etcd: RunningEtcd, own_client: AsyncClient
    ) -> None:
        client = own_client
        await client.claim("s", KEY, 600)
        await client.get(KEY)
        freeze(own_etcd.pid)

        async def failure(call: Any) -> tuple[str, str, bool]:
            started = time.monotonic()
            with pytest.raises(CoordinatorError) as caught:
                await call
            return caught.value.code, caught.value.message, time.monotonic() - started < 1.5

        calls = {
            "get": client.get(KEY),
            "list": client.list_page(),
            "log": client.log_page("s"),
            "reap": client.reap(),
            "complete": client.complete("s", KEY),
            "release": client.release("s", KEY),
            "renew": client.renew("s", KEY),
            "revoke": client.revoke(KEY, at_once=True),
        }
        failures = dict(zip(calls, await asyncio.gather(*map(failure, calls.values())), strict=True))
        assert all(in_time for _, _, in_time in failures.values())
        # All of them read first, and a read that failed has changed nothing.
        assert {code for code, _, _ in failures.values()} == {"UNAVAILABLE"}
        assert all("did not answer in time" in message for _, message, _ in failures.values())

        status = await client.status()
        assert not status.healthy
        assert not status.etcd.quorum
        assert status.live_claims is None
        assert any("does not answer" in warning for warning in status.etcd.warnings)
