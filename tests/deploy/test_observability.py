"""``python -m demo.observability``: what it prints leads somewhere, and it leaves nothing behind, however it ends.

Number 32.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
LAST_LINE = "Ctrl-C ends all of it.\n"


class Demo:
    """A run whose processes all have a mark in their environment; ``reported`` is its first output."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._mark = f"OBSERVABILITY_TEST_MARK={uuid.uuid4().hex}"
        self._home = home
        name, _, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo.observability", *arguments],
            cwd=ROOT,
            env={key: found for key, found in os.environ.items() if not key.startswith("COORDINATION_")}
            | {name: value, "TMPDIR": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reported = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=60)

    def _read(self) -> str:
        assert self.process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1] not in (LAST_LINE, ""):
            lines.append(self.process.stdout.readline())
        return "".join(lines)

    def left_behind(self) -> list[object]:
        """What there is of it after its end: processes and files."""
        found: list[object] = [*self._home.iterdir()]
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(path)
            except OSError:
                continue  # it has ended meanwhile, or is another's
        return found


def test_what_it_prints_leads_somewhere_and_at_the_end_it_says_what_was_seen(tmp_path: Path) -> None:
    with Demo(tmp_path, "--seconds", "12") as demo:
        assert demo.reported.endswith(LAST_LINE), demo.process.communicate()
        urls = re.findall(r"http://\S+", demo.reported)
        assert len(urls) == 6
        assert re.search(r"^board +http://\S+/\?fleet=observed$", demo.reported, re.MULTILINE)
        for url in urls:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # the addresses of our own
                assert answer.status == 200
        out, err = demo.process.communicate(timeout=90)
        assert (demo.process.returncode, err) == (0, "")
        reported = r"denied \d+\.\d% of all claims, .* \d+\.\d% in the last five minutes, as Prometheus says\n"
        assert re.fullmatch(reported, out)
        assert demo.left_behind() == []


def test_an_interrupt_is_its_ordinary_end(tmp_path: Path) -> None:
    with Demo(tmp_path) as demo:
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.communicate(timeout=60) == ("", "")
        assert demo.process.returncode == 0
        assert demo.left_behind() == []
