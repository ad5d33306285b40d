"""The dashboard for those who run fleets: is the work shared out, or do all sessions run after the same things."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from panels import Query, Steps, Unit, data_source, figure, graph, heat, links, quantiles, ratio, select

__all__ = ["fleet_dashboard"]

#: What every panel is narrowed down to; contenders are not counted by kind.
_FLEET = 'fleet=~"$fleet"'
_KIND = f'{_FLEET}, kind=~"$kind"'
#: The alert on convergence fires above 0.8.
_CONVERGENCE = Steps(warning=0.5, critical=0.8)


def fleet_dashboard() -> Dashboard:
    """Return the dashboard."""
    made = (
        Dashboard("Coordinator: fleet")
        .uid("coordinator-fleet")
        .description("Which sessions get the work, which are denied, and what becomes of it.")
        .tags(["coordinator"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .links(links())
        .variables([data_source(), _fleets(), _kinds()])
    )
    for part in (_glance, _convergence, _denials, _live, _ends, _contenders):
        made = part(made)
    return made


def _fleets() -> QueryVariable:
    return select(
        "fleet",
        "Fleet",
        "coordination_claims_total",
        "The label `fleet` that the scrape configuration gives to a group of coordinators.",
    )


def _kinds() -> QueryVariable:
    return select(
        "kind",
        "Kind",
        f"coordination_claims_total{{{_FLEET}}}",
        "What stands before the colon of a work key; kinds beyond the first 64 are counted as other.",
    )


def _share_denied(window: str, by: str = "") -> str:
    """Contended of all asks, as the recording rules have it: renewals are the holder's own and no contention."""
    clause = f" by ({by}) " if by else ""
    return ratio(
        f'sum{clause}(rate(coordination_claims_total{{{_KIND}, outcome="denied"}}[{window}])'
        f' or rate(coordination_placements_total{{{_KIND}, place=~"later|none"}}[{window}]))',
        f'sum{clause}(rate(coordination_claims_total{{{_KIND}, outcome=~"granted|denied"}}[{window}])'
        f' or rate(coordination_placements_total{{{_KIND}, place="none"}}[{window}]))',
    )


def _share_abandoned() -> str:
    """Abandoned of all that ended; what is completed late has expired before and is both."""
    return ratio(
        f"sum(rate(coordination_abandonments_total{{{_KIND}}}[1h]))",
        f'sum(rate({{__name__=~"coordination_(abandonments|completions)_total", {_KIND}}}[1h]))',
    )


def _rate(metric: str, by: str, *, selection: str = _KIND) -> str:
    return f"sum by ({by}) (rate({metric}{{{selection}}}[$__rate_interval]))"


def _glance(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("At a glance"))
        .with_panel(
            figure(
                "Convergence, 5 minutes",
                "Share of claims that were denied because the work was taken. Good is below a half: a fleet that looks "
                "around; above 80 % nearly all sessions run after the same few things and there is too little work, "
                "or they all choose in the same order.",
                Query(_share_denied("5m"), "5 m"),
                Unit.SHARE,
                width=4,
                steps=_CONVERGENCE,
            )
        )
        .with_panel(
            figure(
                "Convergence, 1 hour",
                "The same over an hour. Good is below a half, and not far from the 5 minutes' value.",
                Query(_share_denied("1h"), "1 h"),
                Unit.SHARE,
                width=4,
                steps=_CONVERGENCE,
            )
        )
        .with_panel(
            figure(
                "Live claims",
                "Attempts that are held now. Good is about one for each session at work.",
                Query(f"sum(coordination_live_claims{{{_KIND}}})", "live"),
                Unit.COUNT,
                width=4,
            )
        )
        .with_panel(
            figure(
                "Loose ends",
                "Work that was abandoned and has not been taken up since. Good is a number that goes back to 0.",
                Query(f"sum(coordination_loose_ends{{{_KIND}}})", "open"),
                Unit.COUNT,
                width=4,
            )
        )
        .with_panel(
            figure(
                "Duplicates avoided, 1 hour",
                "Sessions that were denied while another was at the work, each counted once per attempt, when it "
                "ends: so often the same would have been done again. Good is any number but 0 for days; of all kinds.",
                Query(f"sum(increase(coordination_contenders_per_claim_sum{{{_FLEET}}}[1h]))", "avoided"),
                Unit.COUNT,
                width=4,
            )
        )
        .with_panel(
            figure(
                "Abandoned, 1 hour",
                "Share of ended attempts that were abandoned. Good is below 20 %; from a half on more is given up "
                "than done. Alert: CoordinationAbandonmentsExceedCompletions.",
                Query(_share_abandoned(), "abandoned"),
                Unit.SHARE,
                width=4,
                steps=Steps(warning=0.2, critical=0.5),
            )
        )
    )


def _convergence(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Convergence"))
        .with_panel(
            graph(
                "Convergence over time",
                "Share of claims that were denied, and of choices (work-next) whose first choice was taken, over the "
                "last 5 minutes and the last hour. Good is a line below 50 % that comes back after each peak. Alert: "
                "CoordinationConvergenceHigh, after 15 minutes above 80 %.",
                [Query(_share_denied("5m"), "5 m"), Query(_share_denied("1h"), "1 h")],
                Unit.SHARE,
                highest=1,
                steps=_CONVERGENCE,
            )
        )
        .with_panel(
            graph(
                "Convergence by kind, 5 minutes",
                "Which kind of work is fought over. Good is no kind that stays at the top: one that does has more "
                "sessions than work.",
                [Query(_share_denied("5m", by="kind"), "{{kind}}")],
                Unit.SHARE,
                highest=1,
            )
        )
    )


def _denials(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Claims"))
        .with_panel(
            graph(
                "Claims by outcome",
                "Claims answered per second. Good is granted above denied, and renewed steady: it is the sign of "
                "life of the sessions at work.",
                [Query(_rate("coordination_claims_total", "outcome"), "{{outcome}}")],
                Unit.PER_SECOND,
                width=8,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Denials by reason",
                "Why claims were denied. Good is nearly all held; much completed means that sessions do not look "
                "at what is done before they claim.",
                [Query(_rate("coordination_denials_total", "reason"), "{{reason}}")],
                Unit.PER_SECOND,
                width=8,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Denials by kind",
                "Which kind of work is denied how often per second. Good is in proportion to how much of it there is.",
                [Query(_rate("coordination_denials_total", "kind"), "{{kind}}")],
                Unit.PER_SECOND,
                width=8,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Choices by place",
                "What sessions got that asked for one of many (work-next) per second: their first choice, a later "
                "one, or none. Good is little none: it means that there are more sessions than work.",
                [Query(_rate("coordination_placements_total", "place"), "{{place}}")],
                Unit.PER_SECOND,
                width=12,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Candidates passed over, by reason",
                "How many candidates a choice has passed over per second, and why. Good is mostly held; much "
                "completed means that lists are old.",
                [Query(_rate("coordination_skips_total", "reason"), "{{reason}}")],
                Unit.PER_SECOND,
                width=12,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Similar topics, by what came of it",
                "For how many claims per second similar topics were found: they were shown, or the claimant was asked "
                "first; and what claimants then did: they said that the work is distinct, completed or released what "
                "they had been shown similar topics for. Good is little distinct: the policy asks about the same work "
                "only.",
                [Query(_rate("coordination_similar_found_total", "answer"), "{{answer}}")],
                Unit.PER_SECOND,
                width=12,
                stacked=True,
            )
        )
    )


def _live(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Work"))
        .with_panel(
            graph(
                "Live claims by kind",
                "Attempts that are held, as the elected reaper counts them. Good follows the number of sessions at "
                "work; a line that only rises belongs to sessions that renew and never finish.",
                [Query(f"sum by (kind) (coordination_live_claims{{{_KIND}}})", "{{kind}}")],
                Unit.COUNT,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Loose ends by kind",
                "Abandoned work that has not been taken up since, as the elected reaper counts it. Good falls as fast "
                "as it rises. Alert: CoordinationLooseEndsGrowing, when it has grown for hours.",
                [Query(f"sum by (kind) (coordination_loose_ends{{{_KIND}}})", "{{kind}}")],
                Unit.COUNT,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Available in the pool, by kind",
                "Submitted work that no session holds, whether or not it must wait. Good falls while workers run; a "
                "line that stays waits for other work, or for workers. Alert: CoordinationPoolStarving.",
                [Query(f"sum by (kind) (coordination_available{{{_KIND}}})", "{{kind}}")],
                Unit.COUNT,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Failed in the pool, by kind",
                "Submitted work that has failed too often, and is not handed out any more. Good is 0. Alert: "
                "CoordinationPoolFailed.",
                [Query(f"sum by (kind) (coordination_failed{{{_KIND}}})", "{{kind}}")],
                Unit.COUNT,
                stacked=True,
            )
        )
    )


def _ends(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("How attempts end"))
        .with_panel(
            graph(
                "Completions",
                "Attempts completed per second. Good is next to none that are late: those had expired before, "
                "and the time claimed for was too short.",
                [Query(_rate("coordination_completions_total", "late"), "late: {{late}}")],
                Unit.PER_SECOND,
                width=8,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Abandonments by cause",
                "Attempts given up per second. released is a session's own word; Good is little else: "
                "expired means that sessions die or forget to renew, revoked that an operator stepped in.",
                [Query(_rate("coordination_abandonments_total", "cause"), "{{cause}}")],
                Unit.PER_SECOND,
                width=8,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Time held",
                "From claim to end, by how the attempt ended. Good is a p90 of the completed well below the time "
                "claimed for; abandoned ones that were held long are lost work.",
                quantiles("coordination_claim_held_seconds", _KIND, (0.5, 0.9), by="ended", legend="{{ended}}"),
                Unit.SECONDS,
                width=8,
            )
        )
    )


def _contenders(board: Dashboard) -> Dashboard:
    name = "coordination_contenders_per_claim"
    return (
        board.with_row(Row("Contenders (of all kinds)"))
        .with_panel(
            heat(
                "Contenders per claim",
                "Ended attempts per second by how many other sessions had wanted the same; polling does not count "
                "twice. Good is most of the colour at 0 to 2.",
                Query(_rate(f"{name}_bucket", "le", selection=_FLEET), "{{le}}"),
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Contenders per claim, quantiles",
                "How many other sessions wanted the same. Good is a p50 of 0; a p99 in the dozens is one key that "
                "the whole fleet runs after: `coordination hot` names it.",
                quantiles(name, _FLEET, (0.5, 0.9, 0.99)),
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Duplicates avoided per hour",
                "Sessions per hour that were denied while another was at the work, counted when that attempt ends. "
                "Good is more than 0: it is what the coordinator is there for, and 0 for days means that no sessions "
                "share work.",
                [Query(f"3600 * sum(rate({name}_sum{{{_FLEET}}}[$__rate_interval]))", "avoided per hour")],
                Unit.COUNT,
                width=8,
            )
        )
    )
