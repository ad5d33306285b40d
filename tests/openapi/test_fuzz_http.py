"""Requests over HTTP as its OpenAPI document describes them, and as it does not, made by schemathesis.

Each is answered with a status, a type and a body that the document has, and none makes the coordinator fail. The same
values go through the same service as those of ``test_fuzz_requests.py``; this is about HTTP and the document.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from coordinator.security.settings import SecuritySettings
from tests.conftest import RunningEtcd
from tests.faces.world import World
from tests.fuzz.fuzz_service import MINUTES, TroubleHandler, fuzz

pytestmark = pytest.mark.timeout(180 + 60 * MINUTES * 2)

#: What mostly is in requests, so that something happens.
_USUAL = {
    "fleet": st.sampled_from(["fuzzed", "fuzzed-2"]),
    "session": st.sampled_from(["s1", "s2"]),
    "workKey": st.sampled_from(["task:a", "task:b", "acme/web#1"]),
    "requestId": st.sampled_from(["r1", "r2", "r3"]),
}
_CHECKS = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
#: What may be answered; the last two where the machine is so busy that the coordinator stands still, or its etcd.
_ANSWERS = {200, 400, 404, 405, 409, 415, 429, 503, 504}


class Fuzzed:
    """A coordinator, its description, and what must hold after every request."""

    def __init__(self, world: World) -> None:
        self.tally: Counter[str] = Counter()
        self._url = world.http_url
        self._session = requests.Session()
        document = self._session.get(f"{self._url}/openapi.json", timeout=30).json()
        found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
        # The answer of /events has no end; tests/integration/test_http_events.py is about it.
        self.operations = [each for each in found if each.path != "/events"]
        load_all_checks()
        self._checks = [CHECKS.get_one(name) for name in _CHECKS]
        self.troubles: list[str] = []
        self._handler = TroubleHandler(self.troubles)
        logging.getLogger().addHandler(self._handler)

    def close(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._session.close()

    def check(self, given: tuple[Any, dict[str, Any]]) -> None:
        """Send a request, and check its answer against the document."""
        case, usual = given
        if isinstance(case.body, dict):
            case.body.update(usual)
            case.body.pop("wait", None)  # it is held for that long
            if isinstance(items := case.body.get("items"), list) and "workKey" in usual:
                case.body["items"] = [
                    each | {"workKey": usual["workKey"]} if isinstance(each, dict) else each for each in items
                ]
        response = case.call(base_url=self._url, session=self._session, timeout=60)
        self.tally[f"{response.status_code}"] += 1
        assert response.status_code in _ANSWERS, (response.status_code, response.text, case.as_curl_command())
        case.validate_response(response, checks=self._checks)
        assert not self.troubles, self.troubles


@pytest.fixture(scope="module")
def fuzzed(
    run_etcd: Callable[[Path], AbstractContextManager[RunningEtcd]],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Fuzzed]:
    with run_etcd(tmp_path_factory.mktemp("etcd")) as etcd:
        world = World(tmp_path_factory.mktemp("world"), etcd.endpoint)
        world.start(SecuritySettings())
        fuzzed = Fuzzed(world)
        yield fuzzed
        fuzzed.close()
        world.stop()
        capture = pytestconfig.pluginmanager.getplugin("capturemanager")
        assert capture is not None
        with capture.global_and_fixture_disabled():
            print("\nfuzzed HTTP:", json.dumps(dict(sorted(fuzzed.tally.items()))))  # noqa: T201  # the figures of a run


def requests_of(operations: list[Any], mode: GenerationMode) -> st.SearchStrategy[Any]:
    some = st.sampled_from(operations).flatmap(lambda operation: operation.as_strategy(generation_mode=mode))
    return st.tuples(some, st.fixed_dictionaries({}, optional=_USUAL))


def test_requests_that_the_document_describes(fuzzed: Fuzzed) -> None:
    fuzz(fuzzed.check, requests_of(fuzzed.operations, GenerationMode.POSITIVE), examples=150, tally=fuzzed.tally)


def test_requests_that_it_does_not_describe(fuzzed: Fuzzed) -> None:
    with_bodies = [each for each in fuzzed.operations if each.method == "post"]
    fuzz(fuzzed.check, requests_of(with_bodies, GenerationMode.NEGATIVE), examples=100, tally=fuzzed.tally)
