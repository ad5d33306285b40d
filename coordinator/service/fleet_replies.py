"""Replies about a fleet as a whole: its briefing, its hot keys and its status."""

from __future__ import annotations

from coordinator import model
from coordinator.service.replies import in_portions, live_claim, record
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import POOL_STANDINGS_ON_WIRE, STATES_ON_WIRE, duration, timestamp

__all__ = ["briefing", "hot_reply", "pool_reply", "status_reply"]


def hot_reply(found: model.HotKeys) -> pb.HotResponse:
    """Write the work keys that are fought over."""
    entries = map(_hot_key, found.entries)
    return pb.HotResponse(entries=entries, complete=found.complete, max_age=duration(found.max_age_seconds))


def _hot_key(entry: model.HotKey) -> pb.HotKey:
    return pb.HotKey(
        work_key=entry.work_key,
        kind=entry.kind,
        contenders=entry.contenders,
        recent_contenders=entry.recent_contenders,
        holder=entry.holder,
        attempt=entry.attempt,
        expires_at=timestamp(entry.expires_at),
        state=None if entry.state is None else STATES_ON_WIRE[entry.state],
    )


def status_reply(status: model.Status) -> pb.StatusResponse:
    """Write a status."""
    etcd, rate = status.etcd, status.convergence_rate
    return pb.StatusResponse(
        healthy=status.healthy,
        coordinator=pb.CoordinatorStatus(
            version=status.coordinator.version,
            endpoint=status.coordinator.endpoint,
            uptime=duration(status.coordinator.uptime_seconds),
        ),
        etcd=pb.EtcdStatus(
            version=etcd.version,
            members=etcd.members,
            leader=etcd.leader,
            quorum=etcd.quorum,
            db_size_bytes=etcd.db_size_bytes,
            quota_bytes=etcd.quota_bytes,
            warnings=etcd.warnings,
        ),
        reaper=pb.ReaperStatus(leader=status.reaper.leader, revision_lag=status.reaper.revision_lag),
        live_claims=status.live_claims,
        loose_ends=status.loose_ends,
        completed=status.completed,
        convergence_rate=pb.ConvergenceRate(
            window=duration(rate.window_seconds), value=rate.value, granted=rate.granted, denied=rate.denied
        ),
        tasks=[_task(task) for task in status.tasks],
        progress=None if status.progress is None else _progress(status.progress),
    )


def _progress(progress: model.Progress) -> pb.Progress:
    return pb.Progress(
        last_grant=timestamp(progress.last_grant_at),
        last_completion=timestamp(progress.last_completion_at),
        longest_held=map(live_claim, progress.longest_held),
        blockers=map(_hot_key, progress.blockers),
        pool=None if progress.pool is None else _pool_counts(progress.pool),
        pool_blockers=map(_pool_blocker, progress.pool_blockers),
    )


def pool_reply(page: model.PoolPage) -> pb.ListPoolResponse:
    """Write a page of what is in the pool."""
    return pb.ListPoolResponse(
        entries=map(_pool_entry, page.entries),
        next_page_token=page.next_page_token or "",
        counts=_pool_counts(page.counts),
    )


def _pool_entry(entry: model.PoolEntry) -> pb.PoolEntry:
    return pb.PoolEntry(
        work_key=entry.work_key,
        kind=entry.kind,
        state=POOL_STANDINGS_ON_WIRE[entry.state],
        priority=entry.priority,
        submitted_at=timestamp(entry.submitted_at),
        holder=entry.holder or "",
        expires_at=timestamp(entry.expires_at),
        blocked_by=entry.blocked_by,
        not_before=timestamp(entry.not_before),
        failure_count=entry.failure_count,
        failed_at=timestamp(entry.failed_at),
    )


def _pool_counts(counts: model.PoolCounts) -> pb.PoolCounts:
    return pb.PoolCounts(
        available=counts.available,
        held=counts.held,
        blocked=counts.blocked,
        returned=counts.returned,
        failed=counts.failed,
    )


def _pool_blocker(blocker: model.PoolBlocker) -> pb.PoolBlocker:
    return pb.PoolBlocker(
        work_key=blocker.work_key,
        blocks=blocker.blocks,
        state=None if blocker.state is None else POOL_STANDINGS_ON_WIRE[blocker.state],
        holder=blocker.holder or "",
        unknown=blocker.unknown,
    )


def _task(task: model.TaskStatus) -> pb.BackgroundTask:
    running, success = task.running_seconds, task.since_success_seconds
    return pb.BackgroundTask(
        name=task.name,
        failing=task.failing,
        consecutive_failures=task.consecutive_failures,
        error=task.error,
        failing_for=duration(task.failing_seconds),
        running_for=None if running is None else duration(running),
        since_success=None if success is None else duration(success),
    )


async def briefing(found: model.Briefing) -> pb.BriefingResponse:
    """Write a briefing."""
    return pb.BriefingResponse(
        generated_at=timestamp(found.generated_at),
        revision=found.revision,
        taken=await in_portions(live_claim, found.taken),
        loose_ends=await in_portions(record, found.loose_ends),
        finished=await in_portions(record, found.finished),
        omitted_taken=found.omitted_taken,
        omitted_loose_ends=found.omitted_loose_ends,
        omitted_finished=found.omitted_finished,
        markdown=found.markdown,
        omitted_held=found.omitted_held,
        repository=found.repository or "",
        elsewhere_taken=found.elsewhere_taken,
        elsewhere_loose_ends=found.elsewhere_loose_ends,
        elsewhere_finished=found.elsewhere_finished,
        pooled=found.pooled,
        failed=found.failed,
    )
