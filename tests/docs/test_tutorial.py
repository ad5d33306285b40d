"""The tutorial, done as it stands there: each command is typed into a shell, and answers what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"(<!-- not run: [^\n]* -->\n)?```console\n(.*?)```", re.DOTALL)
_READY = re.compile(r"coordinator ready: grpc \S+:(\d+), .*?https?://127\.0\.0\.1:(\d+)/")
_END = "-- the end of this command --"


def _exchanges() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what the page says it answers."""
    typed = "\n".join(block for not_run, block in _BLOCK.findall(PAGE) if not not_run)
    found = []
    for exchange in re.split(r"^\$ ", typed, flags=re.MULTILINE)[1:]:
        lines = exchange.splitlines()
        more = 1
        while more < len(lines) and lines[more].startswith("> "):
            more += 1
        command = "\n".join([lines[0], *(line.removeprefix("> ") for line in lines[1:more])])
        found.append((command, "".join(f"{line}\n" for line in lines[more:] if line)))
    return found


def _pattern(answer: str) -> str:
    """Return the regular expression of an answer: … stands for any text, and alone on a line for any lines."""
    escaped = re.escape(answer)
    return re.sub(r"(?m)^\s*(?:\\ )*…\\\n", "(?:.*\n)*", escaped).replace("…", ".*")


class _Shell:
    """A shell that runs one command after the other, as that of a reader does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def type(self, command: str) -> str:
        """Run a command; returns what it prints."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        # The next command may ask for the exit code of this one.
        stdin.write(f"{command}\ncode=$?\necho '{_END}'\n(exit $code)\n")
        stdin.flush()
        printed = ""
        while not printed.endswith(f"{_END}\n"):
            line = stdout.readline()
            assert line, f"the shell ended: {printed}"
            printed += line
        return printed.removesuffix(f"{_END}\n")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[_Shell]:
    """A shell in an empty home directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    kept |= {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}
    # The page has the usual ports, which may be taken here.
    kept |= {"COORDINATION_LISTEN": "127.0.0.1:0", "COORDINATION_HTTP_LISTEN": "127.0.0.1:0"}
    with subprocess.Popen(
        ["bash"],
        cwd=tmp_path,
        env=kept,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        shell = _Shell(process)
        try:
            yield shell
        finally:
            shell.type("coordination down")
            process.kill()


def test_the_tutorial_works_as_it_stands(shell: _Shell) -> None:
    exchanges = _exchanges()
    assert len(exchanges) > 30
    port = ""
    for command, answer in exchanges:
        typed = command.replace("--listen 0.0.0.0:7420", "--listen 127.0.0.1:0")
        printed = shell.type(typed.replace("coordinator.example:7420", f"localhost:{port}"))
        ready = _READY.search(printed)
        if ready is not None:
            port = ready[1]
            assert shell.type(f"export COORDINATION_ENDPOINT=127.0.0.1:{port}") == ""
            address = "0.0.0.0:7420" if "0.0.0.0" in command else "127.0.0.1:7420"  # noqa: S104  # what the page has
            printed = printed.replace(f"127.0.0.1:{port}", address).replace(f"127.0.0.1:{ready[2]}", "127.0.0.1:7421")
        assert re.fullmatch(_pattern(answer), printed), f"$ {command}\n{printed}\ninstead of\n{answer}"
