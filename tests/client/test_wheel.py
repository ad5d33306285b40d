"""The wheel in an environment of its own, without extras: what an agent's process gets, and what it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import COMMAND, RunningCoordinator

ROOT = Path(__file__).parent.parent.parent

#: What belongs to the server's side. grpc itself imports the empty packages around grpc_health.v1 and its like.
NOT_FOR_AGENTS = (
    *("coordinator.engine", "coordinator.metrics", "coordinator.server", "coordinator.service", "coordinator.store"),
    *("grpc_health.v1", "grpc_reflection.v1alpha", "prometheus_client", "pydantic", "uvloop"),
)
#: Makes a real claim, and prints the modules that it has loaded.
CLAIM = """
import json, sys
import coordinator

with coordinator.Client(sys.argv[1], fleet=sys.argv[2]) as client:
    claim = client.claim("session-7f8b", "github:gptme/gptme#2880", ttl=60)
    client.complete("session-7f8b", claim.work_key, token=claim.fencing_token)
print(json.dumps({"attempt": claim.attempt, "home": coordinator.__file__, "loaded": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree."""
    target = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)], cwd=ROOT)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel and what it depends on, nothing else."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=True)
    run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    return home / "bin"


def run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=bare_environment(), capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bare_environment() -> dict[str, str]:
    """The environment without what would lead Python, or the command, elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COORDINATION_", "PYTHON"))}


def loaded_of(names: list[str], *unwanted: str) -> list[str]:
    return [name for name in names if any(name == one or name.startswith(f"{one}.") for one in unwanted)]


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "coordinator"
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix in (".css", ".html", ".js", ".json", ".py", ".pyi", ".typed")
    }
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert "coordinator/py.typed" in sources
    program, manual = sorted(names - sources, key=lambda name: name.endswith(".1"))
    assert program.endswith(".data/scripts/coordination")
    assert manual.endswith(".data/data/share/man/man1/coordination.1")
    assert sources < names


@pytest.mark.timeout(300)  # a fresh environment is filled from a package index
def test_a_claim_loads_nothing_of_the_servers_side(bare: Path, coordinator: RunningCoordinator, fleet: str) -> None:
    reported = json.loads(run([str(bare / "python"), "-c", CLAIM, coordinator.endpoint, fleet], cwd=bare))

    assert reported["attempt"] == 1
    assert Path(reported["home"]).is_relative_to(bare.parent)
    assert loaded_of(reported["loaded"], *NOT_FOR_AGENTS, "coordinator.cli", "typer") == []
    assert [name for name in reported["loaded"] if "etcd" in name] == []


@pytest.mark.timeout(300)  # likewise
def test_the_command_says_what_it_lacks(bare: Path) -> None:
    command = [str(bare / "coordination"), "work-claim", "session-7f8b", "github:gptme/gptme#2880"]
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr == (
        "error: the command line needs typer, which is not installed\n"
        "hint: pip install 'coordinator[cli]', or 'coordinator[embedded]' to run a coordinator too\n"
    )


def test_commands_for_those_who_work_load_nothing_of_the_servers_side(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    settings = ["--endpoint", coordinator.endpoint, "--fleet", fleet]
    for arguments in (
        ["work-claim", "session-7f8b", "task:x"],
        ["work-complete", "session-7f8b", "task:x"],
        ["work-list"],
        ["work-reap"],
    ):
        # -X importtime reports on standard error what is imported: a line for each, the name last.
        command = [sys.executable, "-X", "importtime", COMMAND, *arguments, *settings]
        done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
        assert ("coordinator.client" in names) == (arguments[0] in ("work-list", "work-reap"))
        assert loaded_of(names, *NOT_FOR_AGENTS, "rich") == []
