"""What a coordinator answers about a fleet as a whole, read into the model: its briefing, hot keys and status."""

from __future__ import annotations

from coordinator import model
from coordinator.client._answers import claim_from, record_from
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import POOL_STANDINGS, STATES, seconds_of, time_of, time_or_none

__all__ = ["briefing_from", "hot_from", "pool_page_from", "status_from"]


def briefing_from(message: pb.BriefingResponse, session: str) -> model.Briefing:
    """Read a briefing that ``session`` has asked for, "" for none."""
    return model.Briefing(
        generated_at=time_of(message.generated_at),
        revision=message.revision,
        taken=tuple(claim_from(claim) for claim in message.taken),
        loose_ends=tuple(record_from(record) for record in message.loose_ends),
        finished=tuple(record_from(record) for record in message.finished),
        omitted_taken=message.omitted_taken,
        omitted_loose_ends=message.omitted_loose_ends,
        omitted_finished=message.omitted_finished,
        markdown=message.markdown,
        session=session or None,
        omitted_held=message.omitted_held,
        repository=message.repository or None,
        elsewhere_taken=message.elsewhere_taken,
        elsewhere_loose_ends=message.elsewhere_loose_ends,
        elsewhere_finished=message.elsewhere_finished,
        pooled=message.pooled,
        failed=message.failed,
    )


def fleets_from(message: pb.ListFleetsResponse) -> model.FleetList:
    """Read fleets."""
    uses = (model.FleetUse(use.name, use.live_claims, use.records) for use in message.fleets)
    return model.FleetList(tuple(uses), message.complete)


def hot_from(message: pb.HotResponse) -> model.HotKeys:
    """Read the work keys that are fought over."""
    return model.HotKeys(tuple(map(_hot_key, message.entries)), seconds_of(message.max_age), message.complete)


def _hot_key(entry: pb.HotKey) -> model.HotKey:
    return model.HotKey(
        work_key=entry.work_key,
        kind=entry.kind,
        contenders=entry.contenders,
        recent_contenders=entry.recent_contenders,
        holder=entry.holder or None,
        attempt=entry.attempt or None,
        expires_at=time_or_none(entry, "expires_at"),
        state=STATES.get(entry.state),
    )


def _progress(message: pb.Progress) -> model.Progress:
    return model.Progress(
        last_grant_at=time_or_none(message, "last_grant"),
        last_completion_at=time_or_none(message, "last_completion"),
        longest_held=tuple(claim_from(claim) for claim in message.longest_held),
        blockers=tuple(map(_hot_key, message.blockers)),
        pool=_pool_counts(message.pool) if message.HasField("pool") else None,
        pool_blockers=tuple(
            model.PoolBlocker(
                work_key=each.work_key,
                blocks=each.blocks,
                state=POOL_STANDINGS.get(each.state),
                holder=each.holder or None,
                unknown=each.unknown,
            )
            for each in message.pool_blockers
        ),
    )


def pool_page_from(message: pb.ListPoolResponse) -> model.PoolPage:
    """Read a page of what is in the pool."""
    entries = tuple(
        model.PoolEntry(
            work_key=entry.work_key,
            kind=entry.kind,
            state=POOL_STANDINGS[entry.state],
            priority=entry.priority,
            submitted_at=time_or_none(entry, "submitted_at"),
            holder=entry.holder or None,
            expires_at=time_or_none(entry, "expires_at"),
            blocked_by=tuple(entry.blocked_by),
            not_before=time_or_none(entry, "not_before"),
            failure_count=entry.failure_count,
            failed_at=time_or_none(entry, "failed_at"),
        )
        for entry in message.entries
    )
    return model.PoolPage(entries, message.next_page_token or None, _pool_counts(message.counts))


def _pool_counts(message: pb.PoolCounts) -> model.PoolCounts:
    return model.PoolCounts(message.available, message.held, message.blocked, message.returned, message.failed)


def status_from(message: pb.StatusResponse) -> model.Status:
    """Read a status."""
    etcd, rate = message.etcd, message.convergence_rate
    quorum = etcd.quorum
    return model.Status(
        healthy=message.healthy,
        coordinator=model.CoordinatorStatus(
            message.coordinator.version, message.coordinator.endpoint, seconds_of(message.coordinator.uptime)
        ),
        etcd=model.EtcdStatus(
            version=etcd.version or None,
            members=etcd.members or None,
            leader=etcd.leader or None,
            quorum=quorum,
            db_size_bytes=etcd.db_size_bytes or None,
            quota_bytes=etcd.quota_bytes or None,
            warnings=tuple(etcd.warnings),
        ),
        reaper=model.ReaperStatus(
            message.reaper.leader or None, message.reaper.revision_lag if message.reaper.leader else None
        ),
        live_claims=message.live_claims if quorum else None,
        loose_ends=message.loose_ends if quorum else None,
        completed=message.completed if message.HasField("completed") else None,
        convergence_rate=model.ConvergenceRate(
            window_seconds=seconds_of(rate.window),
            value=rate.value if rate.HasField("value") else None,
            granted=rate.granted,
            denied=rate.denied,
        ),
        tasks=tuple(_task(task) for task in message.tasks),
        progress=_progress(message.progress) if message.HasField("progress") else None,
    )


def _task(message: pb.BackgroundTask) -> model.TaskStatus:
    return model.TaskStatus(
        name=message.name,
        failing=message.failing,
        consecutive_failures=message.consecutive_failures,
        error=message.error,
        failing_seconds=seconds_of(message.failing_for),
        running_seconds=seconds_of(message.running_for) if message.HasField("running_for") else None,
        since_success_seconds=seconds_of(message.since_success) if message.HasField("since_success") else None,
    )
