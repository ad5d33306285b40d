"""The dashboard for those who run the coordinators: are they quick, is etcd well, is a reaper elected."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from panels import Query, Steps, Unit, data_source, figure, graph, heat, labels_table, links, quantiles, ratio, select

__all__ = ["service_dashboard"]

_FLEET = 'fleet=~"$fleet"'
#: What every panel is narrowed down to.
_REPLICA = f'{_FLEET}, instance=~"$instance"'
_CALLS = "coordination_rpc_seconds"
#: A refused argument or a denied lease is the caller's affair; these are the service's.
_OWN_FAULTS = "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|DATA_LOSS"


def service_dashboard() -> Dashboard:
    """Return the dashboard."""
    made = (
        Dashboard("Coordinator: service")
        .uid("coordinator-service")
        .description("How quick the coordinators are, how etcd is, who reaps and what fails.")
        .tags(["coordinator"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .links(links())
        .variables([data_source(), _fleets(), _instances()])
    )
    for part in (_glance, _calls, _etcd, _members, _reaper, _replicas):
        made = part(made)
    return made


def _fleets() -> QueryVariable:
    return select(
        "fleet",
        "Fleet",
        "coordination_build_info",
        "The label `fleet` that the scrape configuration gives to a group of coordinators.",
    )


def _instances() -> QueryVariable:
    return select(
        "instance",
        "Replica",
        f"coordination_build_info{{{_FLEET}}}",
        "A coordinator, by the address that Prometheus scrapes.",
    )


def _glance(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("At a glance"))
        .with_panel(
            figure(
                "Replicas",
                "Coordinators that Prometheus reaches. Good is as many as you run, two or more. Alert: "
                "CoordinatorDown.",
                Query(f"count(coordination_build_info{{{_REPLICA}}})", "replicas"),
                Unit.COUNT,
                width=4,
                steps=Steps(warning=2, critical=1, falling=True),
            )
        )
        .with_panel(
            figure(
                "Elected reapers",
                "Replicas that hold the election; whichever replicas are chosen above. Good is exactly 1 for each "
                "group of coordinators; at 0 no expired claim is written down. Alert: CoordinationReaperMissing.",
                Query(f"sum(coordination_reaper_is_leader{{{_FLEET}}})", "elected"),
                Unit.COUNT,
                width=4,
                steps=Steps(warning=1, critical=0.5, falling=True),
            )
        )
        .with_panel(
            figure(
                "Calls",
                "gRPC calls answered per second. Good is what you are used to.",
                Query(f"sum(rate({_CALLS}_count{{{_REPLICA}}}[$__rate_interval]))", "calls"),
                Unit.PER_SECOND,
                width=4,
            )
        )
        .with_panel(
            figure(
                "Call latency, p99",
                "Within this 99 of 100 calls are answered. Good is below 50 ms; from 1 s on sessions begin to give up.",
                quantiles(_CALLS, f'{_REPLICA}, method!="Watch"', (0.99,))[0],
                Unit.SECONDS,
                width=4,
                steps=Steps(warning=0.05, critical=1),
            )
        )
        .with_panel(
            figure(
                "Calls that failed because of internal errors",
                "Share of calls answered with UNAVAILABLE, INTERNAL and the like over 5 minutes; refused arguments "
                "are not among them. Good is 0.",
                Query(_own_faults(), "failed"),
                Unit.SHARE,
                width=4,
                steps=Steps(warning=0.001, critical=0.01),
                decimals=2,
            )
        )
        .with_panel(
            figure(
                "Quota used",
                "Share of etcd's storage quota that counts, on the fullest member; none where it is not known (see "
                "--etcd-quota-bytes). Good is below 60 %; from 80 % on new claims are refused. Alerts: EtcdQuotaNear, "
                "CoordinationQuotaUnknown.",
                Query(_quota_used(), "used"),
                Unit.SHARE,
                width=4,
                steps=Steps(warning=0.6, critical=0.75),
            )
        )
    )


def _quota_used() -> str:
    return f"max(coordination_etcd_used_bytes{{{_REPLICA}}} / coordination_etcd_quota_bytes{{{_REPLICA}}})"


def _own_faults() -> str:
    return ratio(
        f'sum(rate({_CALLS}_count{{{_REPLICA}, code=~"{_OWN_FAULTS}"}}[5m]))',
        f"sum(rate({_CALLS}_count{{{_REPLICA}}}[5m]))",
    )


def _calls(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Calls"))
        .with_panel(
            graph(
                "Calls by method",
                "gRPC calls answered per second. Good is Renew and Claim in proportion to the sessions at work.",
                [Query(f"sum by (method) (rate({_CALLS}_count{{{_REPLICA}}}[$__rate_interval]))", "{{method}}")],
                Unit.PER_SECOND,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Errors by code",
                "Calls per second that were not answered with OK. Good is few, and none of UNAVAILABLE, INTERNAL and "
                "DEADLINE_EXCEEDED; FAILED_PRECONDITION and INVALID_ARGUMENT are the callers' own.",
                [
                    Query(
                        f'sum by (code) (rate({_CALLS}_count{{{_REPLICA}, code!="OK"}}[$__rate_interval]))', "{{code}}"
                    )
                ],
                Unit.PER_SECOND,
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Latency",
                "Time to answer a call, without watches, which last as long as their clients read. Good is a p50 of "
                "a few milliseconds and a p99 below 50 ms.",
                quantiles(_CALLS, f'{_REPLICA}, method!="Watch"', (0.5, 0.9, 0.99)),
                Unit.SECONDS,
            )
        )
        .with_panel(
            graph(
                "Latency by method, p99",
                "Time to answer a call. Good is Claim, Renew and Complete below 50 ms; listings take longer.",
                quantiles(_CALLS, f'{_REPLICA}, method!="Watch"', (0.99,), by="method", legend="{{method}}"),
                Unit.SECONDS,
            )
        )
    )


def _etcd(board: Dashboard) -> Dashboard:
    transactions = "coordination_etcd_transaction_seconds"
    return (
        board.with_row(Row("etcd"))
        .with_panel(
            graph(
                "Transaction latency",
                "Time until etcd has answered a transaction, retries included. Good is a p99 below 25 ms, which is "
                "what a disk of its own gives. Alert: EtcdTransactionsSlow.",
                quantiles(transactions, _REPLICA, (0.5, 0.9, 0.99)),
                Unit.SECONDS,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Transactions",
                "Transactions that etcd has answered, per second and replica. Good rises more slowly than the calls: "
                "those that come together go as one.",
                [
                    Query(
                        f"sum by (instance) (rate({transactions}_count{{{_REPLICA}}}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
                Unit.PER_SECOND,
                width=8,
                stacked=True,
            )
        )
        .with_panel(
            heat(
                "Batch sizes",
                "Batches per second by how many calls went to etcd as one. Good is 1 while there is little to do, and "
                "more under load; always the largest means that etcd cannot keep up.",
                Query(f"sum by (le) (rate(coordination_batch_size_bucket{{{_REPLICA}}}[$__rate_interval]))", "{{le}}"),
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Leases, watchers and waiters",
                "Leases in each replica's pool, streams of Watch that it serves, and calls that wait for work. Good "
                "follows the live claims, many of which share a lease, and the sessions; watchers that only rise are "
                "never closed, and waiters that only rise find too little work.",
                [
                    Query(f"sum by (instance) (coordination_leases{{{_REPLICA}}})", "leases {{instance}}"),
                    Query(f"sum by (instance) (coordination_watchers{{{_REPLICA}}})", "watchers {{instance}}"),
                    Query(f"sum by (instance) (coordination_waiters{{{_REPLICA}}})", "waiters {{instance}}"),
                ],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Database size",
                "What etcd's largest member has on disk, what of it counts, and the quota where it is known. Good is "
                "a saw-tooth far below the quota; a line that only rises ends at 80 % of it, where new claims are "
                "refused.",
                [
                    Query(f"max(coordination_etcd_db_size_bytes{{{_REPLICA}}})", "on disk"),
                    Query(f"max(coordination_etcd_used_bytes{{{_REPLICA}}})", "counts"),
                    Query(f"min(coordination_etcd_quota_bytes{{{_REPLICA}}})", "quota"),
                ],
                Unit.BYTES,
                width=8,
            )
        )
        .with_panel(
            graph(
                "etcd has a leader",
                "1 while a member that answers the replica sees a leader. Good is 1 always; at 0 etcd has no quorum "
                "and nothing can be claimed, renewed or completed. Alert: EtcdWithoutQuorum.",
                [Query(f"min by (instance) (coordination_etcd_has_leader{{{_REPLICA}}})", "{{instance}}")],
                Unit.COUNT,
                width=8,
                highest=1,
            )
        )
    )


def _members(board: Dashboard) -> Dashboard:
    """Add what etcd's members say of themselves: of whatever is chosen above, as they belong to no replica."""
    return (
        board.with_row(Row("etcd's members (where Prometheus scrapes them)"))
        .with_panel(
            graph(
                "Members",
                "How many members there are to scrape, how many of them Prometheus reaches, and how many see a leader. "
                "Good is one line: all three the same. Alerts: EtcdMemberDown, EtcdWithoutLeader, EtcdWithoutQuorum.",
                [
                    Query('count(up{job="etcd"})', "there are"),
                    Query('sum(up{job="etcd"})', "are reached"),
                    Query("sum(etcd_server_has_leader)", "see a leader"),
                ],
                Unit.COUNT,
            )
        )
        .with_panel(
            graph(
                "Disk of each member, p99",
                "How long etcd's log takes to be on disk, which every claim waits for. Good is below 10 ms; from "
                "100 ms on leaders miss their heartbeats. Alert: EtcdDiskSlow.",
                [
                    Query(
                        "histogram_quantile(0.99, sum by (instance, le) "
                        "(rate(etcd_disk_wal_fsync_duration_seconds_bucket[$__rate_interval])))",
                        "{{instance}}",
                    )
                ],
                Unit.SECONDS,
                steps=Steps(warning=0.01, critical=0.1),
            )
        )
    )


def _reaper(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Reaper"))
        .with_panel(
            graph(
                "Who reaps",
                "1 for the replica that is elected. Good is one line at 1, and a change only when that replica ended.",
                [Query(f"coordination_reaper_is_leader{{{_REPLICA}}}", "{{instance}}")],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Revisions behind",
                "By how many revisions of the store the elected reaper is behind. Good is 0, with short peaks when "
                "thousands of claims end together. Alert: CoordinationReaperLagging.",
                [Query(f"coordination_reaper_revision_lag{{{_REPLICA}}}", "{{instance}}")],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "From expiry to record",
                "How long after its expiry a claim was written down as abandoned. Good is a p50 of about a second and "
                "a p99 below 10 s. Alert: CoordinationExpiriesRecordedLate.",
                quantiles("coordination_reap_lag_seconds", _REPLICA, (0.5, 0.99)),
                Unit.SECONDS,
                width=8,
            )
        )
    )


def _replicas(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Replicas"))
        .with_panel(
            labels_table(
                "Versions",
                "The version that each replica runs. Good is one version, but for the minutes of an upgrade.",
                Query(f"coordination_build_info{{{_REPLICA}}}", "{{instance}}"),
                ["instance", "fleet", "version"],
                width=8,
            )
        )
        .with_panel(
            graph(
                "Damaged values",
                "Values in etcd that could not be read, per hour. Good is 0: anything else was written by another "
                "program or by a newer version, and `coordination doctor` says where.",
                [
                    Query(
                        f"sum by (instance) (increase(coordination_damaged_values_total{{{_REPLICA}}}[1h]))",
                        "{{instance}}",
                    )
                ],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Refused writes",
                "Writes that were refused because a budget of bytes was used up, per hour, by the owner of the "
                "budget. Good is 0: otherwise a caller writes more than its share of etcd's quota (docs/limits.md).",
                [
                    Query(
                        f"sum by (budget) (increase(coordination_refused_writes_total{{{_REPLICA}}}[1h]))",
                        "{{budget}}",
                    )
                ],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Failing in the background",
                "How many of the things that each replica does in the background fail each time, or are not heard of. "
                "Good is 0. Alert: CoordinationTaskFailing.",
                [
                    Query(
                        f"sum by (instance, task) (coordination_background_task_failing{{{_REPLICA}}})",
                        "{{instance}} {{task}}",
                    )
                ],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Failures in the background",
                "Failures of what each replica does in the background, per hour; each is tried again. Good is 0, and a "
                "few when etcd is restarted. Alert: CoordinationTaskFailing, for what fails each time.",
                [
                    Query(
                        f"sum by (instance, task) "
                        f"(increase(coordination_background_task_failures_total{{{_REPLICA}}}[1h]))",
                        "{{instance}} {{task}}",
                    )
                ],
                Unit.COUNT,
                width=8,
            )
        )
        .with_panel(
            graph(
                "Dropped lines of the log",
                "Lines that each replica could not write into its log, per hour: claims do not wait for it. Good is 0. "
                "Alert: CoordinationLogLinesDropped.",
                [
                    Query(
                        f"sum by (instance) (increase(coordination_log_lines_dropped_total{{{_REPLICA}}}[1h]))",
                        "{{instance}}",
                    )
                ],
                Unit.COUNT,
                width=8,
            )
        )
    )
