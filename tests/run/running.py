"""Runs ``coordination run`` against the coordinator that tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator import Client
from tests.conftest import COMMAND, RunningCoordinator

__all__ = ["SHORT", "World", "world"]

#: The shortest TTL there is, so that a renewal is due after 2.1 s.
SHORT = ("--ttl", "6.3s", "--grace", "0.1s")
_LIMIT_SECONDS = 120.0


class World:
    """A fleet of its own, a client that looks at it, and commands that run in it."""

    def __init__(self, endpoint: str, fleet: str) -> None:
        self.fleet = fleet
        self.client = Client(endpoint, fleet=fleet, timeout=30)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        # `coordination` is for commands inside COMMAND.
        path = os.pathsep.join([str(Path(COMMAND).parent), kept["PATH"]])
        self.environment = kept | {
            "COORDINATION_ENDPOINT": endpoint,
            "COORDINATION_FLEET": fleet,
            "COORDINATION_TIMEOUT": "30",
            "PATH": path,
        }

    def run(
        self, *arguments: str | bytes, before: Sequence[str] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, by the command that stands ``before`` it, if any."""
        environment = self.environment | options.pop("env", {})
        options = {"capture_output": True, "text": True, "timeout": _LIMIT_SECONDS, "env": environment} | options
        return subprocess.run([*before, COMMAND, "run", *arguments], **options)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Begin to run it."""
        given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([COMMAND, "run", *arguments], **given | {"env": self.environment} | options)

    def python(self, program: str) -> tuple[str, ...]:
        """Return COMMAND for a Python program."""
        return ("--", sys.executable, "-I", "-S", "-c", program)


@pytest.fixture
def world(coordinator: RunningCoordinator, fleet: str) -> Iterator[World]:
    found = World(coordinator.endpoint, fleet)
    with found.client:
        yield found
