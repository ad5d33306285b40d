"""A real Prometheus, run on a configuration until a block ends, and asked over its HTTP API.

Invariant: its answers are reported unchanged. An expression that it refuses raises; one without a result gives an empty
list.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["PrometheusFailed", "RunningPrometheus", "Sample", "Series", "find_prometheus", "run_prometheus"]

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts/fetch_prometheus.py"
#: Names a Prometheus to run, beside which promtool stands, where Debian's cannot be had.
VARIABLE = "COORDINATION_PROMETHEUS"
#: Seconds for Prometheus to be ready, to end, and to answer a question.
LIMIT_SECONDS = 30.0
#: Another process may take a port between its being chosen and Prometheus' listening on it.
_TRIES = 3
_PAUSE_SECONDS = 0.05


class PrometheusFailed(Exception):
    """Prometheus cannot be had, did not start, or refused what it was asked; the message is one sentence."""


class Sample(NamedTuple):
    """One value of an instant query; a scalar has no labels."""

    labels: Mapping[str, str]
    value: float


class Series(NamedTuple):
    """One series of a range query: pairs of a time, in seconds, and a value."""

    labels: Mapping[str, str]
    values: list[tuple[float, float]]


@cache
def find_prometheus() -> Path:
    """Return the Prometheus to run: that of $COORDINATION_PROMETHEUS, else Debian's, fetched unless it is there.

    promtool stands beside it. Raises ``PrometheusFailed`` if there is none and it cannot be fetched.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise PrometheusFailed(f"${VARIABLE} names {named}, which is no program")
        return Path(named)
    done = subprocess.run([sys.executable, str(_SCRIPT)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PrometheusFailed(f"{done.stderr.strip().removeprefix('error: ')}; ${VARIABLE} may name another")
    return Path(done.stdout.strip())


class RunningPrometheus:
    """A Prometheus that runs at ``url``; ``process`` is its own."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self._port = port
        self._log = log

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Evaluate an expression at a time (Unix time in seconds), now if none is given."""
        found = self._ask("query", query=expression, **({} if at is None else {"time": f"{at:.3f}"}))
        if found["resultType"] == "scalar":
            return [Sample({}, float(found["result"][1]))]
        if found["resultType"] != "vector":
            raise PrometheusFailed(f"{expression} gives a {found['resultType']}, which is no instant value")
        return [Sample(one["metric"], float(one["value"][1])) for one in found["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate an expression from ``start`` to ``end`` (Unix times) every ``step`` seconds, as a graph does."""
        found = self._ask("query_range", query=expression, start=f"{start:.3f}", end=f"{end:.3f}", step=f"{step:g}")
        return [
            Series(one["metric"], [(float(at), float(value)) for at, value in one["values"]]) for one in found["result"]
        ]

    def value(self, expression: str) -> float:
        """Evaluate an expression to the one value that it must have; NaN if there is none."""
        found = self.query(expression)
        if len(found) > 1:
            raise PrometheusFailed(f"{expression} gives {len(found)} values instead of one")
        return found[0].value if found else math.nan

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules as loaded: ``type`` (recording, alerting), ``name``, ``query``, ``health`` and more."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped: ``labels``, ``scrapeUrl``, ``health`` (up, down, unknown), ``lastError`` and more."""
        found: list[dict[str, Any]] = self._ask("targets", state="active")["activeTargets"]
        return found

    def wait_for(
        self, expression: str, enough: Callable[[list[Sample]], bool] = bool, *, seconds: float = LIMIT_SECONDS
    ) -> list[Sample]:
        """Evaluate an expression until the result is enough, at first until there is one; raises if it never is."""
        end = time.monotonic() + seconds
        while True:
            found = self.query(expression)
            if enough(found):
                return found
            if time.monotonic() > end:
                raise PrometheusFailed(f"waited {seconds:g} s for {expression}, which gives {found}")
            time.sleep(2 * _PAUSE_SECONDS)

    def page(self, name: str, **parameters: str) -> str:
        """Return the address of one of its pages, such as ``graph`` or ``alerts``: Debian's has them below /classic.

        Raises ``PrometheusFailed`` if it has no such page.
        """
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        for path in (f"/classic/{name}", f"/{name}"):
            if self._get(path)[0] == http.HTTPStatus.OK:
                return f"{self.url}{path}{query}"
        raise PrometheusFailed(f"this Prometheus has no page {name}")

    def ready(self) -> bool:
        """Return whether it answers already."""
        if self.process.poll() is not None:
            raise PrometheusFailed(f"Prometheus did not start: {self._last_words()}")
        try:
            return self._get("/-/ready")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def _ask(self, what: str, **parameters: str) -> Any:
        status, body = self._get(f"/api/v1/{what}?{urllib.parse.urlencode(parameters)}")
        try:
            answer = json.loads(body)
        except ValueError:
            raise PrometheusFailed(f"Prometheus answers {what} with HTTP status {status}") from None
        if answer["status"] != "success":
            raise PrometheusFailed(f"Prometheus refuses {parameters.get('query', what)}: {answer['error']}")
        return answer["data"]

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in lines if "level=error" in line]
        return (errors or lines or ["it said nothing"])[0]


@contextmanager
def run_prometheus(config: Path, home: Path, *, port: int = 0) -> Iterator[RunningPrometheus]:
    """Run Prometheus on a configuration file until the block ends; its data and its log are kept under ``home``.

    ``port`` 0 picks a free one. Raises ``PrometheusFailed`` if it cannot be had or does not start.
    """
    program = find_prometheus()
    for attempt in range(_TRIES):
        chosen = port or _free_port()
        with (home / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(_command(program, config, home, chosen), stdout=log, stderr=log)
        try:
            running = RunningPrometheus(chosen, process, home / "prometheus.log")
            try:
                _wait_until_ready(running)
            except PrometheusFailed as error:
                if port or attempt + 1 == _TRIES or "address already in use" not in str(error):
                    raise
                continue
            yield running
            return
        finally:
            _end(process)


def _command(program: Path, config: Path, home: Path, port: int) -> list[str]:
    assets = program.parents[1] / "share/prometheus/web"
    return [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        # Debian's Prometheus has its pages in files, others have them inside.
        *([f"--web.local-assets={assets}"] if assets.is_dir() else []),
    ]


def _wait_until_ready(prometheus: RunningPrometheus) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not prometheus.ready():
        if time.monotonic() > end:
            raise PrometheusFailed(f"Prometheus was not ready within {LIMIT_SECONDS:g} s")
        time.sleep(_PAUSE_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
