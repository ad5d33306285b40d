"""What users of the real ``etcd3`` see: claims are plain keys with leases, and end as such.

It runs in an environment of its own, as it cannot be imported beside today's protobuf; what runs is the example of
docs/interop.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator import Claim, Client
from tests.conftest import RunningCoordinator, RunningEtcd

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/interop.md").read_text()
ENVIRONMENT = ROOT / ".venv-interop"
PYTHON = ENVIRONMENT / "bin/python"
TTL = 5


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """The environment of ``etcd3``, set up where that has not been done."""
    done = subprocess.run(
        ["make", "--no-print-directory", f"{ENVIRONMENT.name}/.ready"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"the environment of etcd3 cannot be set up: {done.stdout}{done.stderr}"


@contextmanager
def run_example(etcd: RunningEtcd, fleet: str, work_key: str) -> Iterator[subprocess.Popen[str]]:
    """Run the page's example on the claim of a work key."""
    found = re.search(r"<!-- example: etcd3 -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    host, _, port = etcd.endpoint.rpartition(":")
    program = found[1]
    for documented, here in (
        ('"127.0.0.1", port=2379', f'"{host}", port={port}'),
        ("/default/claim/task:db-migration", f"/{fleet}/claim/{work_key}"),
    ):
        assert documented in program
        program = program.replace(documented, here)
    command = [str(PYTHON), "-c", program]
    # Its own imports of invalid escape sequences do not matter here.
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_", "COVERAGE"))
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line.split()


def test_it_is_the_real_one() -> None:
    program = "import etcd3, google.protobuf as p, json; print(json.dumps([etcd3.__version__, p.__version__]))"
    done = subprocess.run([str(PYTHON), "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["0.12.0", "3.20.3"]


def test_it_reads_a_claim_and_its_lease_and_sees_it_expire(
    etcd: RunningEtcd, coordinator: RunningCoordinator, fleet: str
) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        claim = client.try_claim("session-7f8b", "task:db-migration", ttl=TTL)
        assert isinstance(claim, Claim)
        with run_example(etcd, fleet, "task:db-migration") as example:
            session, token, left, granted = next_line(example)
            assert (session, int(token)) == ("session-7f8b", claim.fencing_token)
            assert TTL <= int(granted) <= TTL + 2
            assert 0 <= int(left) <= int(granted)
            assert next_line(example) == ["watching"]
            assert next_line(example) == ["ended", "session-7f8b"]
            assert example.wait(timeout=30) == 0
        assert client.get("task:db-migration").claim is None


def test_it_sees_a_renewal_and_a_completion(etcd: RunningEtcd, coordinator: RunningCoordinator, fleet: str) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        client.try_claim("session-7f8b", "task:db-migration", ttl=60)
        with run_example(etcd, fleet, "task:db-migration") as example:
            next_line(example)
            assert next_line(example) == ["watching"]
            client.renew("session-7f8b", "task:db-migration", ttl=120)
            assert next_line(example) == ["renewed"]
            client.complete("session-7f8b", "task:db-migration")
            assert next_line(example) == ["ended", "session-7f8b"]
            assert example.wait(timeout=30) == 0
