"""A command builds what it runs, and loads nothing of what it does not need."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from coordinator.cli.app import MODULES
from coordinator.cli.context import find_verb
from tests.conftest import RunningCoordinator

_LOADED = "import sys; sys.argv = ['coordination', *{arguments!r}]; import os; os._exit = sys.exit\n"
_LOADED += "from coordinator.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
_LOADED += "print(*sorted({{'asyncio', 'grpc', 'rich', 'coordinator.server', 'cryptography'}} & {{*sys.modules}}))"


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        ([], None),
        (["status"], "status"),
        (["--json", "work-list", "status"], "work-list"),
        (["--fleet", "status", "work-list"], "work-list"),
        (["--fleet=status", "work-list"], "work-list"),
        (["--endpoint", "a:1", "--json", "--timeout", "3", "hot"], "hot"),
        # What is built then is all that there is: its help lists every command.
        (["--help", "work-list"], None),
        (["-h"], None),
        (["--version"], None),
        (["--fleet"], None),
        (["--unknown", "work-list"], None),
        (["nothing", "work-list"], "nothing"),
    ],
)
def test_the_verb_is_found_among_the_common_options(arguments: list[str], verb: str | None) -> None:
    assert find_verb(arguments) == verb


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["work-claim", "--help"], ["completion", "bash"], ["config", "show"]]
)
def test_what_asks_no_coordinator_loads_no_grpc(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(arguments=arguments)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, ""), done


#: What takes longer to load than all that a command needs of the standard library beside gRPC and typer.
_SLOW = {"dataclasses", "email", "hashlib", "json", "random", "secrets", "tempfile", "tomllib", "unittest", "uuid"}
_OTHERS = {"coordinator.engine", "coordinator.run.wrapper", "coordinator.server", "cryptography", "pydantic", "rich"}
_BESIDE = """
import os, sys
import grpc, grpc._channel, typer, coordinator.v1.service_pb2_grpc
before = {*sys.modules}
os._exit = lambda code: print(code, *sorted({*sys.modules} - before))
from coordinator.cli import main
main()
"""


def test_the_full_command_loads_little_beside_grpc_and_typer(coordinator: RunningCoordinator, fleet: str) -> None:
    arguments = ["work-claim", "s", "task:x", "--endpoint", coordinator.endpoint, "--fleet", fleet, "--wait", "1s"]
    done = subprocess.run([sys.executable, "-c", _BESIDE, *arguments], capture_output=True, text=True, timeout=60)
    code, *loaded = done.stdout.splitlines()[-1].split()
    assert code == "0", done
    assert "coordinator.client._sync" in loaded
    assert sorted((_SLOW | _OTHERS) & {*loaded}) == []


def test_every_command_is_in_the_module_that_the_list_names() -> None:
    for module, names in MODULES.items():
        assert (*import_module(f"coordinator.cli.{module}").COMMANDS,) == names


@pytest.mark.parametrize("verb", ["work-claim", "status", "config"])
def test_a_command_loads_no_module_of_another(verb: str) -> None:
    own = {module for module, names in MODULES.items() if verb in names}
    others = [f"coordinator.cli.{module}" for module in MODULES if module not in own]
    # What completes is asked at every start: a shell may be.
    others.remove("coordinator.cli.completion")
    script = f"import sys; from coordinator.cli.entry import run; run([{verb!r}, '--help'])\n"
    script += f"print('loaded:', *sorted({{*sys.modules}} & {{*{others!r}}}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr == "loaded:\n"
