"""Golden files: what is written for each agent, and what its hooks answer.

``python -m tests.agents.golden_files`` writes those of the installer again, after a change that is meant.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from coordinator.agents.install import look, plan_install
from coordinator.agents.places import Places
from coordinator.agents.registry import AGENTS, load_agent

GOLDEN = Path(__file__).with_name("golden")
GUARD = ["git push*"]
_ROOT = Path("/nowhere/project")
_BRIEFING = re.compile(r'\\n\\n.*?(?<!\\)"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def written(agent: str) -> str:
    """Return all files of an agent as they are written where there are none, with the guard of its tests."""
    pieces = load_agent(agent).pieces(Places(_ROOT, user=False), GUARD)
    plans = plan_install(look(pieces), _ROOT)
    return "".join(f"=== {plan.found.piece.path.relative_to(_ROOT)}\n{plan.after}" for plan in plans)


def hooks(agent: str) -> dict[str, Any]:
    """Return the events of an agent by what happens at them: each with its input and what is answered."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{agent}-hooks.json").read_text())
    return found


def shown(value: dict[str, Any], endpoint: str) -> Any:
    """Return an answer with words in the place of what differs: times, the address, and the briefing itself."""
    text = _TIME.sub("TIME", json.dumps(value)).replace(endpoint, "ENDPOINT")
    return json.loads(_BRIEFING.sub('\\\\n\\\\nBRIEFING"', text))


if __name__ == "__main__":
    for name in AGENTS:
        (GOLDEN / f"{name}-installed.txt").write_text(written(name))
