"""Make the dashboards from code: ``python deploy/grafana/build.py [--check]``.

With ``--check`` nothing is written, and the exit code is 1 if the files in the tree are not what the code makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fleet_dashboard import fleet_dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from runbook_dashboard import runbook_dashboard
from service_dashboard import service_dashboard

__all__ = ["dashboards"]

DIRECTORY = Path(__file__).resolve().parent / "dashboards"


def dashboards() -> dict[str, str]:
    """Return the files' names and what is in them."""
    made = {
        "fleet.json": fleet_dashboard(),
        "service.json": service_dashboard(),
        "runbook.json": runbook_dashboard(),
    }
    files = {}
    for name, builder in made.items():
        board = builder.build()
        # Seen by who opens the file, and by who looks at the dashboard's settings.
        source = f"deploy/grafana/{name.removesuffix('.json')}_dashboard.py"
        board.description = f"{board.description} Generated from {source} by `make dashboards`; do not edit."
        # The builder leaves these to Grafana, which then gives other numbers with each change.
        for number, panel in enumerate(board.panels or [], start=1):
            panel.id_val = number
        for variable in board.templating.list_val or []:
            # Belong to variables that are intervals, of which there are none.
            variable.auto = variable.auto_min = variable.auto_count = None
        for link in board.links or []:
            # Otherwise they are in a menu, where an operator in a hurry does not look.
            link.placement = None  # type: ignore[assignment]  # it is left out then, as its type does not say
        files[name] = json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return files


def main() -> int:
    """Write the files, or check them."""
    made = dashboards()
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.glob("*.json")}
        stale = sorted(name for name in {*made, *found} if made.get(name) != found.get(name))
        for name in stale:
            print(f"{name} is not what deploy/grafana makes; run `make dashboards`", file=sys.stderr)
        return 1 if stale else 0
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in made.items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
