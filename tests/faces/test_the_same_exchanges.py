"""The same exchanges over gRPC, HTTP, MCP and on the command line mean the same: the table is in ``table.py``."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest

from coordinator import Client
from coordinator.errors import CoordinatorError, error_for_code
from coordinator.model import DenialReason, State, WorkDetails
from tests.conftest import Etcdctl, RunningEtcd
from tests.faces.asking import FACES
from tests.faces.meanings import ADVICE, Meaning
from tests.faces.table import EXCHANGES, Exchange, Step
from tests.faces.world import FLEETS, World, running_world


@pytest.fixture(scope="module")
def world(etcd: RunningEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("faces")
        with running_world(
            directory, etcd.endpoint, lambda name, new: patch.setattr(f"coordinator.server.{name}", new)
        ) as running:
            yield running


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_all_faces_agree(world: World, etcdctl: Etcdctl, exchange: Exchange) -> None:
    sentences: dict[str, str] = {}
    for face, ask in FACES.items():
        fleet = f"{FLEETS}{uuid.uuid4().hex[:12]}"
        with Client(world.endpoint, fleet=fleet, token_file=world.token_file("all")) as client:
            for step in exchange.before:
                happen(client, etcdctl, fleet, step)
            meaning = ask(world, fleet, exchange.ask)
            if meaning is None:
                continue
            if "says" in meaning:
                sentences[face] = plain(meaning["says"], fleet)
            agree(face, meaning, exchange.means)
            if exchange.stands is not None:
                assert stands(client.get(exchange.means.get("work_key") or first(exchange))) == exchange.stands, face
    assert len(set(sentences.values())) <= 1, sentences


def plain(says: str, fleet: str) -> str:
    """Return a sentence without what differs by nature: names, moments, and that a tool has one key on a list."""
    says = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "MOMENT", says.replace(fleet, "FLEET"))
    return re.sub("^candidate 1 is no work key: ", "", re.sub("^ClaimNext failed", "Claim failed", says))


def agree(face: str, meaning: Meaning, expected: Meaning) -> None:
    if expected["outcome"] == "error" and meaning["outcome"] == "error":
        codes = {*meaning["code"].split("|")} & {*expected["code"].split("|")}
        assert codes, (face, meaning)
        assert re.search(expected["says"], meaning["says"]), (face, meaning)
        return
    assert meaning == {name: value for name, value in expected.items() if value not in ("", {})}, face


def first(exchange: Exchange) -> str:
    return exchange.ask.keys[0] if exchange.ask.keys else "task:x"


def happen(client: Client, etcdctl: Etcdctl, fleet: str, step: Step) -> None:
    if step.verb == "expire":
        # To all who read it this is what etcd does when a lease is over.
        etcdctl("del", f"/coordination/v1/{fleet}/claim/{step.arguments[0]}")
        return
    getattr(client, step.verb)(*step.arguments, **step.options)


def stands(details: WorkDetails) -> str:
    record = details.record
    if record.state is State.AVAILABLE:
        return record.state.value
    words = {State.CLAIMED: record.note, State.COMPLETED: record.result, State.ABANDONED: record.reason}[record.state]
    return f"{record.state.value} by {record.session}, attempt {record.attempt}{f': {words}' if words else ''}"


def test_the_table_has_each_reason_of_a_denial_and_each_code_of_an_error() -> None:
    reasons = {exchange.means.get("why") for exchange in EXCHANGES}
    assert reasons >= {reason.value for reason in DenialReason} | {"own", "none"}
    codes = {code for exchange in EXCHANGES for code in exchange.means.get("code", "").split("|")}
    assert codes >= {kind.code for kind in kinds(CoordinatorError)}
    assert {code for said in ADVICE.values() for code in said} >= codes - {"", "OUT_OF_RANGE"}
    assert len(EXCHANGES) >= 60


def kinds(of: type[CoordinatorError]) -> Iterator[type[CoordinatorError]]:
    for kind in of.__subclasses__():
        if error_for_code(kind.code) is kind:
            yield kind
        yield from kinds(kind)
