"""The runbook as a dashboard, so that it is at hand where the graphs are: one panel for each section of the page."""

from __future__ import annotations

import re
from pathlib import Path

from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.text import TextMode
from panels import links

__all__ = ["runbook_dashboard"]

PAGE = Path(__file__).resolve().parents[2] / "docs/runbook.md"
#: In the grid's units of 30 pixels. What is longer can be scrolled.
_HEIGHT = 11


def runbook_dashboard() -> Dashboard:
    """Return the dashboard."""
    page = re.sub(r"<!--.*?-->\n+", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    _, _, introduction, *sections = re.split(r"^##? (.+)\n+", page, flags=re.MULTILINE)
    made = (
        Dashboard("Coordinator: runbook")
        .uid("coordinator-runbook")
        .description("What each alert means, where to look and what to do.")
        .tags(["coordinator"])
        .time("now-6h", "now")
        .timezone("browser")
        .links(links())
        .with_panel(_panel("How to read the figures, and which alerts are silent where", introduction, width=24))
    )
    for title, content in zip(sections[::2], sections[1::2], strict=True):
        made = made.with_panel(_panel(title, content, width=12))
    return made


def _panel(title: str, content: str, *, width: int) -> text.Panel:
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(content.strip()).height(_HEIGHT).span(width)
