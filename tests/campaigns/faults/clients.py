"""The processes of the clients: started, stopped, killed, and started again under the same sessions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.freezing import freeze

__all__ = ["SESSIONS", "Worker"]

#: How many sessions a process of clients has.
SESSIONS = 5


@dataclass
class Worker:
    """One process of clients. What it writes goes to a file for each of its lives."""

    number: int
    endpoints: str
    fleet: str
    seed: int
    started: float
    until: float
    directory: Path
    as_released: bool = False
    life: int = 0
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    files: list[Path] = field(default_factory=list)

    def start(self) -> None:
        """Start it, with sessions of the same names."""
        self.life += 1
        name = f"w{self.number}"
        self.files.append(self.directory / f"{name}-{self.life}.jsonl")
        options = {
            "name": name,
            "life": self.life,
            "first": self.number * SESSIONS,
            "sessions": SESSIONS,
            "endpoints": self.endpoints,
            "fleet": self.fleet,
            "seed": self.seed,
            "started": self.started,
            "until": self.until,
            "out": self.files[-1],
        }
        command = [sys.executable, "-m", "tests.campaigns.faults.worker"]
        for option, value in options.items():
            command += [f"--{option}", str(value)]
        command += ["--as-released"] if self.as_released else []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        with self.files[-1].with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.stopped = False

    def kill(self) -> None:
        """Kill it: its calls are never answered."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Have it hang, past its deadlines."""
        if self.process is not None and self.process.poll() is None:
            freeze(self.process.pid)
            self.stopped = True

    def go_on(self) -> None:
        """Let it go on, or start it again if it was killed."""
        if self.process is None:
            self.start()
        elif self.stopped:
            os.kill(self.process.pid, signal.SIGCONT)
            self.stopped = False
