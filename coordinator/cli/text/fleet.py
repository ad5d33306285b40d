"""The text of ``status``, ``hot`` and ``policy``: a fleet, and the coordinator and store behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from coordinator.cli.quantities import format_bytes, format_count
from coordinator.model import (
    Claim,
    HotKey,
    HotKeys,
    Policy,
    PolicyList,
    PoolBlocker,
    PoolCounts,
    PoolStanding,
    State,
    Status,
    TaskStatus,
)
from coordinator.quotation import key, name
from coordinator.time_text import format_duration, format_time

__all__ = ["HOT_IS_INCOMPLETE", "describe_hot", "describe_policies", "describe_policy", "describe_status"]

HOT_IS_INCOMPLETE = "there was more than could be looked at, so that others may be hotter; --kind looks at less"


def describe_policy(policy: Policy) -> str:
    """Say what a policy sets: ``repeat after 20 h, at most 3 live``."""
    parts = []
    if policy.repeat_after_seconds is not None:
        parts.append(f"repeat after {format_duration(policy.repeat_after_seconds)}")
    elif policy.repeat is not None:
        parts.append(f"repeat {policy.repeat.value}")
    if policy.max_live is not None:
        parts.append(f"at most {policy.max_live} live" if policy.max_live else "paused (at most 0 live)")
    if policy.max_attempts is not None:
        parts.append(format_count(policy.max_attempts, "attempt"))
    if policy.loose_ends is not None:
        parts.append(f"loose ends {'on' if policy.loose_ends else 'off'}")
    if policy.similar is not None:
        parts.append(f"similar {policy.similar.value}")
    return ", ".join(parts) or "nothing"


def describe_policies(found: PolicyList) -> str:
    """List policies, one a line, and what holds for all other work."""
    rows = [
        (key(policy.pattern), describe_policy(policy) + " (built in)" * policy.built_in) for policy in found.policies
    ]
    rows.append(("all other work", describe_policy(found.defaults)))
    width = max(len(pattern) for pattern, _ in rows)
    return "\n".join(f"{pattern:<{width}}  {what}" for pattern, what in rows)


def describe_status(
    status: Status,
    fleet: str,
    taken: Sequence[Claim] = (),
    *,
    paused: Sequence[str] = (),
    now: datetime | None = None,
) -> str:
    """Describe the state of the coordinator, its store and the fleet.

    ``taken`` are its latest live claims, ``paused`` the patterns of which no work is handed out, and ``now`` is for
    saying how long ago something was.
    """
    coordinator, etcd, rate = status.coordinator, status.etcd, status.convergence_rate
    health = "healthy"
    if not status.healthy:
        failing = ", ".join(task.name for task in status.tasks if task.failing)
        health = f"NOT HEALTHY: {f'tasks fail: {failing}' if etcd.quorum else 'etcd does not answer'}"
    size = "size unknown" if etcd.db_size_bytes is None else format_bytes(etcd.db_size_bytes)
    quota = "" if etcd.quota_bytes is None else f" of {format_bytes(etcd.quota_bytes)}"
    members = (
        "" if etcd.members is None else f"{format_count(etcd.members, 'member')}, leader {etcd.leader or 'none'}, "
    )
    uptime = format_duration(coordinator.uptime_seconds)
    lines = [
        health,
        f"coordinator {coordinator.version} at {coordinator.endpoint}, up {uptime}",
        f"etcd {etcd.version or '(no answer)'}: {members}{size}{quota}",
        *(f"  warning: {warning}" for warning in etcd.warnings),
        _describe_reaper(status),
        *map(_describe_task, filter(lambda task: task.failing, status.tasks)),
        f"fleet {fleet}: {_counts(status)}",
        *_describe_progress(status, paused, now or datetime.now(UTC)),
        *(
            f"  {name(claim.session)} holds {key(claim.work_key)} until {format_time(claim.expires_at)}"
            for claim in taken
        ),
    ]
    if taken and (more := (status.live_claims or 0) - len(taken)) > 0:
        lines.append(f"  … and {more} more: coordination work-list --state claimed")
    if rate.value is not None:
        window = format_duration(rate.window_seconds)
        counts = f"{rate.denied} denied, {rate.granted} granted"
        lines.append(f"  convergence {rate.value:.0%} over {window} at this coordinator: {counts}")
    return "\n".join(lines)


def _describe_progress(status: Status, paused: Sequence[str], now: datetime) -> list[str]:
    """Say what a fleet that does not progress waits for, and since when nothing has happened."""
    lines = []
    progress = status.progress
    if progress is not None and (status.live_claims or status.loose_ends or status.completed):
        granted, completed = _ago(progress.last_grant_at, now), _ago(progress.last_completion_at, now)
        lines.append(f"  last grant {granted}, last completion {completed}")
    pool = None if progress is None else progress.pool
    if pool is not None and pool != PoolCounts():
        lines += _describe_pool(pool, progress.pool_blockers if progress else ())
    if status.loose_ends:
        lines.append(f"  free: {status.loose_ends} left unfinished: coordination work-list --state abandoned")
    elif status.live_claims and not (pool is not None and pool.available):
        lines.append("  free: nothing of what is known; all of it is held or finished")
    lines += [f"  paused by its policy: {key(pattern)}" for pattern in paused]
    if progress is not None:
        lines += [
            f"  held longest: {key(claim.work_key)} by {name(claim.session)}, claimed {_ago(claim.claimed_at, now)}"
            for claim in progress.longest_held
        ]
        lines += [
            f"  in the way of {format_count(entry.contenders, 'other session')}: {key(entry.work_key)}, held by "
            f"{name(entry.holder)}"
            for entry in progress.blockers
        ]
    return lines


def _describe_pool(pool: PoolCounts, blockers: Sequence[PoolBlocker]) -> list[str]:
    """Say how the pool stands, and what most of it waits for."""
    counts = [f"{pool.available} available", f"{pool.held} held", f"{pool.blocked} blocked"]
    counts += [f"{pool.returned} given back a short time ago"] if pool.returned else []
    lines = [f"  pool: {', '.join(counts)}, {pool.failed} failed"]
    lines += [
        f"    {format_count(each.blocks, 'piece')} of work waits for {key(each.work_key)}, {_how_it_blocks(each)}"
        if each.blocks == 1
        else f"    {each.blocks} pieces of work wait for {key(each.work_key)}, {_how_it_blocks(each)}"
        for each in blockers
    ]
    if pool.failed:
        lines.append("    what failed too often: coordination work-list --failed")
    return lines


def _how_it_blocks(blocker: PoolBlocker) -> str:
    if blocker.holder is not None:
        return f"held by {name(blocker.holder)}"
    if blocker.unknown:
        return "of which nothing is known"
    match blocker.state:
        case None:
            return "which is not in the pool"
        case PoolStanding.FAILED:
            return "which has failed too often"
        case PoolStanding.RETURNED:
            return "which was given back"
    return f"which is {blocker.state.value}"


def _ago(moment: datetime | None, now: datetime) -> str:
    return "not known" if moment is None else f"{format_duration(max(0.0, (now - moment).total_seconds()))} ago"


def describe_hot(found: HotKeys) -> str:
    """List them, one a line: the sessions denied in the present attempt and in earlier ones, and the holder."""
    if not found.entries:
        return f"no session was denied work held now or in the last {format_duration(found.max_age_seconds)}"
    return "\n".join(_describe_hot_key(entry) for entry in found.entries)


def _describe_hot_key(entry: HotKey) -> str:
    counted = f"{entry.contenders:>4} denied now  {entry.recent_contenders:>4} before"
    held = "finished" if entry.state is State.COMPLETED else "free"
    if entry.state is State.CLAIMED:
        held = "held"
    if entry.holder is not None:
        until = "" if entry.expires_at is None else f" until {format_time(entry.expires_at)}"
        held = f"held by {name(entry.holder)}{until}, attempt {entry.attempt}"
    return f"{counted}  {key(entry.work_key)}  {held}"


def _describe_task(task: TaskStatus) -> str:
    lasting = format_duration(task.failing_seconds)
    often = (
        f"has failed {format_count(task.consecutive_failures, 'time')} in a row"
        if task.consecutive_failures
        else "hangs"
    )
    return f"task {task.name} {often}, for {lasting}: {task.error}"


def _describe_reaper(status: Status) -> str:
    reaper = status.reaper
    if not status.etcd.quorum:
        return "reaper: not known while etcd does not answer"
    if reaper.leader is None:
        return "reaper: none; expired claims are recorded only when they are claimed again, or by work-reap"
    behind = f", {format_count(reaper.revision_lag, 'revision')} behind" if reaper.revision_lag else ""
    return f"reaper: {reaper.leader}{behind}"


def _counts(status: Status) -> str:
    if status.live_claims is None or status.loose_ends is None:
        return "not known while etcd does not answer"
    completed = "many completed" if status.completed is None else f"{status.completed} completed"
    return (
        f"{format_count(status.live_claims, 'live claim')}, {format_count(status.loose_ends, 'loose end')}, {completed}"
    )
