"""The parts that the dashboards are made of, so that panels differ in what they show and not in how.

Every panel has a description that says what good looks like, a unit and a legend; where an alert watches over what is
shown, the description names it, and the runbook has a section of that name. The data source is a variable of the
dashboard: the same file serves where it is provisioned and where it is imported by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import table as table_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = [
    "Query",
    "Steps",
    "Unit",
    "data_source",
    "figure",
    "graph",
    "heat",
    "labels_table",
    "links",
    "quantiles",
    "ratio",
    "select",
]

#: The grid is 24 wide; heights are in its units of 30 pixels.
_FIGURE_HEIGHT = 4
_GRAPH_HEIGHT = 8

_DATA_SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

AnyPanel = stat.Panel | table.Panel | timeseries.Panel | heatmap.Panel


class Unit(StrEnum):
    """Grafana's names of units."""

    BYTES = "bytes"
    COUNT = "short"
    PER_SECOND = "cps"
    SECONDS = "s"
    SHARE = "percentunit"


@dataclass(frozen=True)
class Query:
    """An expression and what the legend calls its series."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Steps:
    """From where on a value is yellow and red; ``falling`` if it is the low ones that are bad."""

    warning: float
    critical: float
    falling: bool = False

    def build(self) -> dashboard_builders.ThresholdsConfig:
        """Return them as Grafana has them: the first has no value."""
        if self.falling:
            bounds = [(None, "red"), (self.critical, "yellow"), (self.warning, "green")]
        else:
            bounds = [(None, "green"), (self.warning, "yellow"), (self.critical, "red")]
        steps = [dashboard.Threshold(value=value, color=color) for value, color in bounds]
        return dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def figure(
    title: str, description: str, query: Query, unit: Unit, *, width: int, steps: Steps | None = None, decimals: int = 1
) -> stat.Panel:
    """Return a number, with its course behind it."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_DATA_SOURCE)
        .unit(unit)
        .decimals(0 if unit is Unit.COUNT else decimals)
        .height(_FIGURE_HEIGHT)
        .span(width)
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE if steps else common.BigValueColorMode.NONE)
        .no_value("none yet")
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    if steps is not None:
        panel = panel.thresholds(steps.build())
    return panel.with_target(_target("A", query))


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: Unit,
    *,
    width: int = 12,
    stacked: bool = False,
    highest: float | None = None,
    steps: Steps | None = None,
) -> timeseries.Panel:
    """Return lines over time, from 0 on; ``stacked`` where their sum means something, ``steps`` as dashed lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_DATA_SOURCE)
        .unit(unit)
        .min(0)
        .height(_GRAPH_HEIGHT)
        .span(width)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.AUTO)
        .legend(_legend())
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if highest is not None:
        panel = panel.max(highest)
    if steps is not None:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(steps.build()).thresholds_style(style)
    for name, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(name, query))
    return panel


def heat(title: str, description: str, query: Query, unit: Unit, *, width: int = 12) -> heatmap.Panel:
    """Return the buckets of a histogram over time; ``query`` gives them by ``le``."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(_DATA_SOURCE)
        .height(_GRAPH_HEIGHT)
        .span(width)
        .calculate(False)
        .cell_gap(1)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit(Unit.PER_SECOND))
        .show_legend()
        .with_target(_target("A", query).format(PromQueryFormat.HEATMAP))
    )


def labels_table(title: str, description: str, query: Query, columns: Sequence[str], *, width: int = 12) -> table.Panel:
    """Return what the labels of the series say now, with ``columns`` in this order and nothing else."""
    organize = dashboard.DataTransformerConfig(
        id_val="filterFieldsByName", options={"include": {"names": list(columns)}}
    )
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(_DATA_SOURCE)
        .unit(Unit.COUNT)
        .height(_GRAPH_HEIGHT)
        .span(width)
        .show_header(True)
        .cell_options(common.TableAutoCellOptions())
        .with_transformation(organize)
        .with_target(_target("A", query).format(PromQueryFormat.TABLE).instant())
    )
    # The builder writes a footer, which Grafana has not had since version 12.
    options = panel.build().options
    assert isinstance(options, table_models.Options)
    options.footer = None
    return panel


def quantiles(histogram: str, selection: str, shares: Sequence[float], by: str = "", legend: str = "") -> list[Query]:
    """Return a query for each quantile of a histogram, over all that the selection has, by the labels named."""
    labels = f"le, {by}" if by else "le"
    buckets = f"sum by ({labels}) (rate({histogram}_bucket{{{selection}}}[$__rate_interval]))"
    return [Query(f"histogram_quantile({share}, {buckets})", f"{legend} p{share * 100:g}".strip()) for share in shares]


def ratio(part: str, whole: str) -> str:
    """Return what share ``part`` is of ``whole``: 0 while it has no series, and nothing while ``whole`` is 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def select(name: str, label: str, expr: str, description: str) -> dashboard_builders.QueryVariable:
    """Return a variable with the values of a label. ``All`` also matches what lacks the label."""
    everything = dashboard.VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard_builders.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(_DATA_SOURCE)
        # As Grafana's own editor writes it: 1 is "label values".
        .query(
            {
                "query": f"label_values({expr}, {name})",
                "refId": "PrometheusVariableQueryEditor-VariableQuery",
                "qryType": 1,
            }
        )
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )


def data_source() -> dashboard_builders.DatasourceVariable:
    """Return the variable that says which Prometheus is asked."""
    return (
        dashboard_builders.DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the coordinators.")
        .type("prometheus")
    )


def links() -> list[Builder[dashboard.DashboardLink]]:
    """Return the links at the top of each dashboard: to all others of the coordinator, the runbook among them."""
    others = (
        dashboard_builders.DashboardLink("Coordinator")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tooltip("The other dashboards of the coordinator, for the same time and the same choice")
        .tags(["coordinator"])
        .keep_time(True)
        .include_vars(True)
    )
    return [others]


def _legend() -> common_builders.VizLegendOptions:
    return (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["mean", "lastNotNull"])
    )


def _target(name: str, query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .ref_id(name)
        .expr(query.expr)
        .legend_format(query.legend)
        .datasource(_DATA_SOURCE)
        .range()
    )
