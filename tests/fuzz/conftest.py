"""The service that fuzzing is aimed at, on an etcd of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import RunningEtcd
from tests.fuzz.fuzz_service import FuzzedService

RunService = Callable[[str], AbstractContextManager[FuzzedService]]


@pytest.fixture(scope="module")
def run_service(
    run_etcd: Callable[[Path], AbstractContextManager[RunningEtcd]],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> RunService:
    """Run a service, and print in the end how much of what was fuzzed."""

    @contextlib.contextmanager
    def run(what: str) -> Iterator[FuzzedService]:
        with run_etcd(tmp_path_factory.mktemp("etcd")) as etcd:
            service = FuzzedService(etcd.endpoint)
            yield service
            service.close()
            capture = pytestconfig.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
                print(f"\nfuzzed {what}:", ", ".join(f"{each} {n}" for each, n in sorted(service.tally.items())))  # noqa: T201  # the figures of a run

    return run
