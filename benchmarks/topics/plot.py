"""The figure of an evaluation of topics: three small plots, on a light and on a dark background, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from benchmarks.topics.labelled import DIFFICULTIES
from benchmarks.topics.quality import OUTCOMES, STRICT

__all__ = ["THEMES", "draw"]


class Theme(NamedTuple):
    """Colours: of text, of the grid, of what becomes of a pair, and of lines."""

    text: str
    grid: str
    outcomes: tuple[str, ...]
    lines: tuple[str, ...]


#: By the end of the file's name. The colours are those of GitHub's pages; the colour-blind can distinguish them, too.
THEMES = {
    "light": Theme(
        "#1f2328", "#d1d9e0", ("#0a3069", "#218bff", "#b6e3ff", "#eaeef2"), ("#0a3069", "#218bff", "#cf222e")
    ),
    "dark": Theme(
        "#e6edf3", "#3d444d", ("#cae8ff", "#388bfd", "#0c2d6b", "#212830"), ("#cae8ff", "#388bfd", "#ff7b72")
    ),
}
#: Inches: 598 points, which is about the width of a README.
_SIZE = (8.3, 2.9)


def draw(found: dict[str, Any], path: Path, theme: Theme) -> None:
    """Write the figure of an evaluation to a file, whose ending says in which form."""
    settings = {"svg.fonttype": "path", "svg.hashsalt": "topics", "font.size": 9, "text.color": theme.text}
    settings |= {f"{axis}tick.color": theme.text for axis in "xy"} | {"axes.labelcolor": theme.text}
    with mpl.rc_context(settings):
        figure = Figure(figsize=_SIZE, layout="constrained")
        outcomes, recall, times = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
        _plot_outcomes(outcomes, found, theme)
        _plot_recall(recall, found, theme)
        _plot_times(times, found, theme)
        for axes in (outcomes, recall, times):
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(theme.grid)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(path, transparent=True, metadata={"Date": None} if path.suffix == ".svg" else {})


def _groups(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return what became of the pairs, by what is asked for, the bottom bar first."""
    others = found["unrelated"]
    strict = [counts for source, counts in found["siblings"].items() if source in STRICT]
    loose = [counts for source, counts in found["siblings"].items() if source not in STRICT]
    return {
        "unrelated": {"alike": others["shown"], "not shown": others["titles"] - others["shown"]},
        "other part, place": {outcome: sum(counts[outcome] for counts in loose) for outcome in OUTCOMES},
        "number, version,\ndirection": {outcome: sum(counts[outcome] for counts in strict) for outcome in OUTCOMES},
        **{f"same work, {difficulty}": found["same"][difficulty] for difficulty in reversed(DIFFICULTIES)},
    }


def _plot_outcomes(axes: Any, found: dict[str, Any], theme: Theme) -> None:
    groups = _groups(found)
    left = [0.0] * len(groups)
    for outcome, colour in zip(OUTCOMES, theme.outcomes, strict=True):
        widths = [100 * counts.get(outcome, 0) / sum(counts.values()) for counts in groups.values()]
        axes.barh(list(groups), widths, left=left, color=colour, label=outcome, height=0.72)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_title("What is shown", fontsize=10, color=theme.text)
    axes.set_xlabel("% of pairs, of titles")
    axes.set_xlim(0, 100)


def _plot_recall(axes: Any, found: dict[str, Any], theme: Theme) -> None:
    sizes = [int(size) for size in found["crowds"]]
    for difficulty, colour in zip(DIFFICULTIES, theme.lines, strict=True):
        parts = [found["crowds"][str(size)][difficulty] for size in sizes]
        values = [100 * part / whole for part, whole in parts]
        axes.plot(sizes, values, color=colour, linewidth=1.8, marker="o", markersize=3)
        place = (-4, -12 if difficulty == "medium" else 4)
        axes.annotate(difficulty, (sizes[-1], values[-1]), place, textcoords="offset points", ha="right", fontsize=8.5)
    _over_topics(axes, sizes, theme, "Same work found", "% among the five shown")
    axes.set_ylim(-4, 114)
    axes.set_yticks(range(0, 101, 20))


def _plot_times(axes: Any, found: dict[str, Any], theme: Theme) -> None:
    sizes = [cost["topics"] for cost in found["costs"]]
    for name, title, colour in (("found_p99", "99 %", theme.lines[1]), ("found", "median", theme.lines[0])):
        values = [cost[name] / 1000 for cost in found["costs"]]
        axes.plot(sizes, values, color=colour, linewidth=1.8, marker="o", markersize=3)
        axes.annotate(title, (sizes[-1], values[-1]), (-8, 3), textcoords="offset points", ha="right", fontsize=8.5)
    _over_topics(axes, sizes, theme, "Time to find", "ms")
    axes.set_ylim(0, 1.15 * max(cost["found_p99"] for cost in found["costs"]) / 1000)


def _over_topics(axes: Any, sizes: list[int], theme: Theme, title: str, label: str) -> None:
    axes.set_title(title, fontsize=10, color=theme.text)
    axes.set_xscale("log")
    axes.set_xlabel("topics")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{size:,}" for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color=theme.grid, linewidth=0.6)
