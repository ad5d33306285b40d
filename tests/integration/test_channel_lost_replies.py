"""What becomes of requests when etcd's answers are lost: they take effect once, and are answered so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from coordinator import AsyncClient, NotHolder, Outcome, OutcomeUnknown, State
from coordinator.server import Server
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunningEtcd
from tests.integration.channel_world import KEY, serving, soon
from tests.integration.etcd_proxy import GRANT, TXN, EtcdProxy, proxying


class TestLostReplies:
    @pytest.fixture
    async def proxy(self, etcd: RunningEtcd) -> AsyncIterator[EtcdProxy]:
        async with proxying(etcd.endpoint) as proxy:
            yield proxy

    @pytest.fixture
    async def server(self, proxy: EtcdProxy) -> AsyncIterator[Server]:
        async with serving(proxy.endpoint) as server:
            yield server

    @pytest.fixture
    async def client(self, server: Server, fleet: str) -> AsyncIterator[AsyncClient]:
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=10) as client:
            yield client

    def assert_sent_twice_the_same(self, proxy: EtcdProxy) -> None:
        assert proxy.forwarded[0] == proxy.forwarded[1]

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_claim_is_granted_once_and_answered_so(
        self, proxy: EtcdProxy, client: AsyncClient, how: str
    ) -> None:
        await client.claim("s", "task:other")  # so that the lease is there
        proxy.lose_replies(TXN, how)
        claim = await client.claim("s", KEY)
        self.assert_sent_twice_the_same(proxy)
        assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 1)
        details = await client.get(KEY)
        assert details.claim is not None
        assert details.claim.fencing_token == claim.fencing_token
        assert details.history == ()
        # It met its own claim, which does not make it a contender.
        assert details.contenders == ()

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_completion_is_done_once_and_answered_so(
        self, proxy: EtcdProxy, client: AsyncClient, how: str
    ) -> None:
        await client.claim("s", KEY)
        proxy.lose_replies(TXN, how)
        record = await client.complete("s", KEY, result="done")
        self.assert_sent_twice_the_same(proxy)
        assert (record.state, record.result, record.late) == (State.COMPLETED, "done", False)
        assert [entry.ended for entry in (await client.get(KEY)).history] == [State.COMPLETED]

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_release_is_done_once_and_answered_so(
        self, proxy: EtcdProxy, client: AsyncClient, how: str
    ) -> None:
        await client.claim("s", KEY)
        proxy.lose_replies(TXN, how)
        record = await client.release("s", KEY, reason="lunch")
        self.assert_sent_twice_the_same(proxy)
        assert (record.state, record.reason) == (State.ABANDONED, "lunch")
        assert [entry.reason for entry in (await client.get(KEY)).history] == ["lunch"]

    async def test_a_renewal_keeps_its_token_and_its_new_deadline(self, proxy: EtcdProxy, client: AsyncClient) -> None:
        claim = await client.claim("s", KEY, 60)
        await client.claim("s", "task:other", 7200)
        proxy.lose_replies(TXN, "broken")
        renewed = await client.renew("s", KEY, 7200, note="half done")
        self.assert_sent_twice_the_same(proxy)
        assert renewed.fencing_token == claim.fencing_token
        assert (renewed.ttl_seconds, renewed.note) == (7200, "half done")
        assert renewed.remaining_seconds > 7190

    async def test_a_revocation_is_done_once(self, proxy: EtcdProxy, client: AsyncClient) -> None:
        await client.claim("s", KEY)
        proxy.lose_replies(TXN, "broken")
        assert (await client.revoke(KEY, reason="stuck", at_once=True)).state is State.ABANDONED
        self.assert_sent_twice_the_same(proxy)
        with pytest.raises(NotHolder):
            await client.complete("s", KEY)

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_lease_is_granted_once(self, proxy: EtcdProxy, client: AsyncClient, how: str) -> None:
        proxy.lose_replies(GRANT, how)
        assert (await client.claim("s", KEY)).attempt == 1
        self.assert_sent_twice_the_same(proxy)
        grants = [rpc.LeaseGrantRequest.FromString(sent).id for path, sent in proxy.forwarded if path == GRANT]
        assert len(grants) == 2
        assert grants[0] == grants[1]

    async def test_while_all_replies_are_lost_the_outcome_is_unknown_and_the_same_request_finds_it(
        self, proxy: EtcdProxy, server: Server, client: AsyncClient, fleet: str
    ) -> None:
        await client.claim("s", "task:other")
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=1) as hasty:
            proxy.lose_replies(TXN, "broken", times=1_000_000)
            with pytest.raises(OutcomeUnknown) as caught:
                await hasty.claim("s", KEY, request_id="the-same")
        assert caught.value.request_id == "the-same"
        claims = [sent for path, sent in proxy.forwarded if path == TXN]
        assert len(claims) > 2
        assert len(set(claims)) == 1
        proxy.lose_replies(TXN, "broken", times=0)
        claim = await client.claim("s", KEY, request_id="the-same")
        assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 1)
        assert (await client.get(KEY)).history == ()

    async def test_what_was_sent_and_never_answered_is_not_reported_as_undone(
        self, proxy: EtcdProxy, fleet: str
    ) -> None:
        """Whatever became of the last try: an earlier one may have been applied, as here."""
        channel = EtcdChannel([proxy.endpoint])
        key = f"/test/{fleet}".encode()
        put = rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"v"))])
        proxy.lose_replies(TXN, "broken", times=1_000_000)
        with pytest.raises(OutcomeUnknown):
            await channel.call(Methods.TXN, put, deadline=soon(0.5))
        await channel.close()

    async def test_lost_replies_under_load_double_nothing(self, proxy: EtcdProxy, client: AsyncClient) -> None:
        await client.claim("s", "task:other")
        proxy.lose_replies(TXN, "broken", times=3)
        keys = [f"task:{number}" for number in range(100)]
        claims = await asyncio.gather(*(client.claim("s", key) for key in keys))
        assert Counter(claim.attempt for claim in claims) == {1: 100}
        proxy.lose_replies(TXN, "broken", times=3)
        records = await asyncio.gather(*(client.complete("s", key) for key in keys))
        assert Counter(record.state for record in records) == {State.COMPLETED: 100}
        for key in keys:
            assert len((await client.get(key)).history) == 1
