"""A coordinator that is attacked, a normal client beside it, and what is measured of both."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from coordinator.security.ca import make_certificates
from coordinator.security.new_tokens import add_credential
from coordinator.security.tokens_file import Wanted

COMMAND = str(Path(sys.executable).with_name("coordination"))
CLAIM = "coordinator.v1.CoordinatorService/Claim"
#: What a coordinator may have in memory, whatever is sent to it, in MiB.
MOST_MIB = 200
#: How many times its quiet p99 a normal client's claim may take, and what is always allowed, in seconds.
TIMES, ALWAYS = 5, 0.05
#: How long the normal client's claims are counted at least, in seconds.
_LEAST_SECONDS = 1.0
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+?)(?:, board http://(\S+)/)?\n?")
_NORMAL_CLIENT = Path(__file__).with_name("normal_client.py")


class Setting(NamedTuple):
    """How the coordinator that is attacked is protected: by TLS, by tokens, and how many files it may have open.

    ``hard_files`` is the hard limit where it is not the same.
    """

    tls: bool = False
    tokens: bool = True
    files: int | None = None
    hard_files: int | None = None


@dataclass
class Target:
    """A running coordinator. ``http`` is where it answers calls over HTTP, ``HOST:PORT``, "" where it does not."""

    endpoint: str
    metrics: str
    http: str
    pid: int
    log: Path
    audit: Path
    ca: Path | None
    token: str
    token_file: Path | None
    process: subprocess.Popen[str]

    def mib(self, name: str = "VmRSS") -> int:
        """What it has in memory, in MiB; with VmHWM the most that it has had."""
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) // 1024

    @property
    def lives(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def running(directory: Path, etcd: str, setting: Setting, *more: str, command: str | None = None) -> Iterator[Target]:
    """Run a coordinator beside an etcd until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    certs, tokens, options = directory / "certs", directory / "tokens.toml", [*more]
    token_file = directory / "normal.token"
    if setting.tls:
        make_certificates(certs, (), ())
        options += ["--tls-cert", str(certs / "server.crt"), "--tls-key", str(certs / "server.key")]
    if setting.tokens:
        add_credential(tokens, Wanted("normal", sessions=("*",), fleets=("default",)), token_file)
        options += ["--tokens", str(tokens)]
    options += ["--log-file", str(directory / "log"), "--audit-log", str(directory / "audit")]
    options += ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--no-reaper"]
    limit: list[str] = []
    if setting.files is not None:
        # By a shell, because this process has threads, and what is run between fork and exec may hang on their locks.
        lower = f"ulimit -S -n {setting.files} && ulimit -H -n {setting.hard_files or setting.files}"
        limit = ["sh", "-c", f'{lower} && exec "$@"', "sh"]
    with subprocess.Popen(
        [*limit, command or COMMAND, "serve", "--etcd", etcd, *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ready = _READY.fullmatch(process.stdout.readline())
        assert ready, (directory / "log").read_text()
        try:
            yield Target(
                endpoint=ready[1],
                metrics=ready[2],
                http=ready[4] or "",
                pid=process.pid,
                log=directory / "log",
                audit=directory / "audit",
                ca=certs / "ca.crt" if setting.tls else None,
                token=token_file.read_text().strip() if setting.tokens else "",
                token_file=token_file if setting.tokens else None,
                process=process,
            )
        finally:
            process.terminate()
            process.wait(timeout=30)


@dataclass
class Outcome:
    """What an attack has come to. Times are in seconds."""

    attack: str
    sent: str = ""
    lives: bool = False
    quiet_mib: int = 0
    peak_mib: int = 0
    quiet_p99: float = 0.0
    attacked: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    fresh: float = 0.0

    @property
    def allowed(self) -> float:
        """How long a claim may take under attack."""
        return max(TIMES * self.quiet_p99, ALWAYS)

    @property
    def attacked_p50(self) -> float:
        return statistics.median(self.attacked) if self.attacked else float("inf")

    @property
    def attacked_p99(self) -> float:
        return percentile(self.attacked, 0.99)


def percentile(values: list[float], share: float) -> float:
    """Return a percentile, infinity where there is no value."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


class NormalClient:
    """A caller in a process of its own that claims again and again, on one connection."""

    def __init__(self, target: Target) -> None:
        words = [
            sys.executable,
            str(_NORMAL_CLIENT),
            target.endpoint,
            str(target.ca or ""),
            str(target.token_file or ""),
        ]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, word: str) -> dict[str, list[float] | list[str]]:
        """Return what it has seen since it was asked last."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        found: dict[str, list[float] | list[str]] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


Attack = Callable[[Target, float], str]


def measure(name: str, target: Target, attack: Attack, share: float, *, quiet_seconds: float) -> Outcome:
    """Attack, and measure. ``share`` of what the attack would send at full strength is sent."""
    outcome = Outcome(name)
    client = NormalClient(target)
    try:
        client.ask("begin")
        time.sleep(quiet_seconds)
        quiet = [float(each) for each in client.ask("report")["seconds"]]
        outcome.quiet_p99 = percentile(quiet, 0.99)
        outcome.quiet_mib = target.mib()
        began = time.monotonic()
        outcome.sent = attack(target, share)
        # So that what was left behind counts too.
        time.sleep(max(0.2, began + _LEAST_SECONDS - time.monotonic()))
        found = client.ask("report")
        outcome.attacked = [float(each) for each in found["seconds"]]
        outcome.failures = [str(each) for each in found["failures"]]
        outcome.lives = target.lives
        if outcome.lives:
            outcome.peak_mib = target.mib("VmHWM")
            outcome.fresh = float(client.ask("fresh")["seconds"][0])
    finally:
        client.close()
    return outcome
