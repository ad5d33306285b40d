"""The rules of deploy/prometheus as a manifest for Prometheus' operator; with ``--check`` they are only compared."""

from __future__ import annotations

import sys
from pathlib import Path

from generated_files import write_or_check

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
RULES, MANIFEST = DEPLOY / "prometheus" / "rules", DEPLOY / "kubernetes" / "monitoring" / "rules.yaml"
_HEAD = """\
---
# Made from deploy/prometheus/rules by `make dashboards`: do not edit.
# yamllint disable rule:line-length
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: coordination
  labels: {app.kubernetes.io/name: coordination}
spec:
  groups:
"""
_GROUPS = "\ngroups:\n"


def manifest() -> str:
    """Return the manifest: the groups of all files, as they are written there, comments included."""
    text = _HEAD
    for path in sorted(RULES.glob("*.yml")):
        before, found, groups = path.read_text(encoding="utf-8").partition(_GROUPS)
        if not found:
            raise ValueError(f"{path} has no groups")
        notes = [line for line in before.splitlines() if line.startswith("#")]
        text += "".join(f"    {line}\n" for line in notes)
        text += "".join(f"  {line}\n" if line else "\n" for line in groups.rstrip("\n").split("\n"))
    return text


if __name__ == "__main__":
    sys.exit(write_or_check({MANIFEST: manifest()}, source="deploy/prometheus/rules", target="dashboards"))
