"""The figure of a simulation: three small plots side by side, on a light and on a dark background, as SVG.

The same figures give the same bytes. Letters are drawn as shapes, so that it looks the same on every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

__all__ = ["NAMES", "THEMES", "draw"]

#: What the ways are called.
NAMES = {"nothing": "without claims", "claims": "work-claim, from the top", "next": "work-next, one call"}


class Theme(NamedTuple):
    """Colours: of text, of the grid, and of each way."""

    text: str
    grid: str
    ways: dict[str, str]


#: By the end of the file's name. The colours are those of GitHub's pages; the colour-blind can distinguish them, too.
THEMES = {
    "light": Theme("#1f2328", "#d1d9e0", {"nothing": "#cf222e", "claims": "#54aeff", "next": "#0a3069"}),
    "dark": Theme("#e6edf3", "#3d444d", {"nothing": "#ff7b72", "claims": "#1f6feb", "next": "#cae8ff"}),
}
#: Wide under the thin line of next: where both are the same, both are seen.
_WIDTHS = {"nothing": 1.8, "claims": 4.5, "next": 1.5}
#: Inches: 598 points, which is about the width of a README.
_SIZE = (8.3, 2.9)


def draw(found: dict[str, Any], path: Path, theme: Theme) -> None:
    """Write the figure of a simulation to a file, whose ending says in which form."""
    settings = {"svg.fonttype": "path", "svg.hashsalt": "simulate", "font.size": 9, "text.color": theme.text}
    settings |= {f"{axis}tick.color": theme.text for axis in "xy"} | {"axes.labelcolor": theme.text}
    with mpl.rc_context(settings):
        figure = Figure(figsize=_SIZE, layout="constrained")
        done_twice, covered, calls = figure.subplots(1, 3)
        pieces = found["pieces"]
        _plot(done_twice, found, theme, "done_twice", "Work done twice", "pieces of work")
        _plot(covered, found, theme, "covered_percent", "List covered", f"% of {pieces} pieces of work")
        _plot(calls, found, theme, "calls_per_piece", "Calls for each piece got", "calls (logarithmic)")
        calls.set_yscale("log")
        ticks = [1, 2, 5, 10, 20, 50, 100, 200]
        calls.yaxis.set_major_locator(FixedLocator(ticks))
        calls.yaxis.set_major_formatter(FixedFormatter([str(tick) for tick in ticks]))
        calls.yaxis.set_minor_locator(NullLocator())
        lines = done_twice.get_lines()
        figure.legend(lines, list(NAMES.values()), loc="outside upper center", ncols=3, frameon=False)
        figure.savefig(path, transparent=True, metadata={"Date": None} if path.suffix == ".svg" else {})


def _plot(axes: Any, found: dict[str, Any], theme: Theme, what: str, title: str, label: str) -> None:
    for way, rows in found["ways"].items():
        if what == "calls_per_piece" and way == "nothing":
            continue  # none are made
        sessions, values = [row["sessions"] for row in rows], [row[what] for row in rows]
        axes.plot(sessions, values, color=theme.ways[way], linewidth=_WIDTHS[way], solid_capstyle="round")
        if way != "claims" or what == "calls_per_piece":
            said = f"{values[-1]:.0f}"
            axes.annotate(
                said, (sessions[-1], values[-1]), (5, 0), textcoords="offset points", va="center", fontsize=8.5
            )
    axes.set_title(title, fontsize=10, color=theme.text)
    axes.set_xlabel("sessions")
    axes.set_ylabel(label)
    axes.set_xlim(0, 230)
    axes.set_xticks(range(0, 201, 50))
    axes.grid(color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.grid)
