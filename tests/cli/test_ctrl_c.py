"""Ctrl-C ends a command quietly with 130, whenever it comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("coordination"))
_INTERRUPT = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize("module", ["typer", "coordinator.cli.app"])
def test_while_the_command_is_loaded(module: str, tmp_path: Path) -> None:
    """A module that the command loads interrupts it."""
    hook = f"""
import sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            {_INTERRUPT.splitlines()[0]}
            {_INTERRUPT.splitlines()[1]}

sys.meta_path.insert(0, Interrupting())
"""
    (tmp_path / "sitecustomize.py").write_text(hook)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [COMMAND, "--version"], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.argv[1:] = ['--version']; "
        "from coordinator.cli import entry, main; invoke = entry._invoke; "
        "entry._invoke = lambda arguments: signal.raise_signal(signal.SIGINT) or invoke(arguments); main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("coordination ")
