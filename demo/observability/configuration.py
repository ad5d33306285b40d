"""The configuration of ``deploy/prometheus``, copied with other targets.

Invariant: the copy has the very same rules. Only the targets differ and, where asked for, how often is scraped and how
long the windows of the rules are: five minutes and an hour are longer than a reader waits.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DEPLOYED", "copy_config", "with_window"]

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy/prometheus"
_WINDOW = re.compile(r"(?<=\[)\d+[smhd](?=\])|(?<= offset )\d+[smhd]")
_INTERVAL = re.compile(r"(?<=_interval: )\d+[smhd]$", re.MULTILINE)


def copy_config(
    into: Path, *, coordinators: Sequence[str], etcd: Sequence[str], interval: str = "15s", window: str | None = None
) -> Path:
    """Copy the configuration into a new directory and return the path of its main file.

    ``coordinators`` and ``etcd`` are ``host:port`` each, or URLs with these; ``interval`` is how often is scraped and
    evaluated, ``window`` what every window of the rules is replaced by.
    """
    shutil.copytree(DEPLOYED, into)
    for name, targets in (("coordinators", coordinators), ("etcd", etcd)):
        # JSON is YAML.
        content = json.dumps([{"targets": [_host_port(target) for target in targets]}])
        (into / f"targets/{name}.yml").write_text(content, encoding="utf-8")
    main = into / "prometheus.yml"
    main.write_text(_INTERVAL.sub(interval, main.read_text(encoding="utf-8")), encoding="utf-8")
    if window is not None:
        for rules in (into / "rules").glob("*.yml"):
            rules.write_text(with_window(rules.read_text(encoding="utf-8"), window), encoding="utf-8")
    return main


def with_window(expressions: str, window: str) -> str:
    """Return expressions with every window and every offset replaced by another."""
    return _WINDOW.sub(window, expressions)


def _host_port(target: str) -> str:
    return re.sub(r"^\w+://|/.*$", "", target)
