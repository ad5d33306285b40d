"""The JSON objects of ``briefing``, ``status``, ``hot``, ``top`` and ``policy``."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator import model
from coordinator.cli.json_objects.fields import Object, format_moment, value_or_none
from coordinator.cli.json_objects.work import live_claim_object, record_object

__all__ = ["briefing_object", "hot_object", "policies_object", "policy_object", "status_object", "top_object"]


def policy_object(policy: model.Policy) -> Object:
    """The answer to ``policy set``, and one element of ``policy list``."""
    return {
        "pattern": policy.pattern,
        "repeat": value_or_none(policy.repeat),
        "repeat_after_seconds": policy.repeat_after_seconds,
        "max_live": policy.max_live,
        "max_attempts": policy.max_attempts,
        "loose_ends": policy.loose_ends,
        "similar": value_or_none(policy.similar),
        "built_in": policy.built_in,
    }


def policies_object(found: model.PolicyList) -> Object:
    """The answer to ``policy list``."""
    return {
        "policies": [policy_object(policy) for policy in found.policies],
        "defaults": policy_object(found.defaults),
    }


def briefing_object(briefing: model.Briefing) -> Object:
    """The answer to ``briefing``."""
    return {
        "generated_at": format_moment(briefing.generated_at),
        "revision": briefing.revision,
        "taken": [live_claim_object(claim) for claim in briefing.taken],
        "loose_ends": [record_object(record) for record in briefing.loose_ends],
        "finished": [record_object(record) for record in briefing.finished],
        "omitted": {
            "taken": briefing.omitted_taken,
            "loose_ends": briefing.omitted_loose_ends,
            "finished": briefing.omitted_finished,
        },
        "markdown": briefing.markdown,
        "session": briefing.session,
        "held": [live_claim_object(claim) for claim in briefing.held],
        "omitted_held": briefing.omitted_held,
        "repository": briefing.repository,
        "elsewhere": {
            "taken": briefing.elsewhere_taken,
            "loose_ends": briefing.elsewhere_loose_ends,
            "finished": briefing.elsewhere_finished,
        },
        "pool": {"pooled": briefing.pooled, "failed": briefing.failed},
    }


def _task_object(task: model.TaskStatus) -> Object:
    return {
        "name": task.name,
        "failing": task.failing,
        "consecutive_failures": task.consecutive_failures,
        "error": task.error or None,
        "failing_seconds": round(task.failing_seconds, 3),
        "running_seconds": _rounded(task.running_seconds),
        "since_success_seconds": _rounded(task.since_success_seconds),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def status_object(status: model.Status, taken: Iterable[model.Claim] = (), paused: Iterable[str] = ()) -> Object:
    """The answer to ``status``; ``taken`` are the latest live claims, ``paused`` the patterns that are paused."""
    coordinator, etcd, rate = status.coordinator, status.etcd, status.convergence_rate
    return {
        "healthy": status.healthy,
        "coordinator": {
            "version": coordinator.version,
            "endpoint": coordinator.endpoint,
            "uptime_seconds": round(coordinator.uptime_seconds, 3),
        },
        "etcd": {
            "version": etcd.version,
            "members": etcd.members,
            "leader": etcd.leader,
            "quorum": etcd.quorum,
            "db_size_bytes": etcd.db_size_bytes,
            "quota_bytes": etcd.quota_bytes,
            "warnings": list(etcd.warnings),
        },
        "reaper": {"leader": status.reaper.leader, "revision_lag": status.reaper.revision_lag},
        "tasks": [_task_object(task) for task in status.tasks],
        "live_claims": status.live_claims,
        "taken": [live_claim_object(claim) for claim in taken],
        "loose_ends": status.loose_ends,
        "completed": status.completed,
        "convergence_rate": {
            "window_seconds": rate.window_seconds,
            "value": rate.value,
            "granted": rate.granted,
            "denied": rate.denied,
            "scope": "replica",
        },
        "progress": None if status.progress is None else _progress_object(status.progress),
        "paused": list(paused),
    }


def _progress_object(progress: model.Progress) -> Object:
    return {
        "last_grant_at": format_moment(progress.last_grant_at),
        "last_completion_at": format_moment(progress.last_completion_at),
        "longest_held": [live_claim_object(claim) for claim in progress.longest_held],
        "blockers": [_hot_key(entry) for entry in progress.blockers],
        "pool": None if progress.pool is None else progress.pool._asdict(),
        "pool_blockers": [
            {
                "work_key": each.work_key,
                "blocks": each.blocks,
                "state": value_or_none(each.state),
                "holder": each.holder,
                "unknown": each.unknown,
            }
            for each in progress.pool_blockers
        ],
    }


def fleets_object(found: model.FleetList) -> Object:
    """The answer to ``fleets``."""
    fleets = [{"name": use.name, "live_claims": use.live_claims, "records": use.records} for use in found.fleets]
    return {"fleets": fleets, "complete": found.complete}


def hot_object(found: model.HotKeys) -> Object:
    """The answer to ``hot``."""
    return {
        "entries": [_hot_key(entry) for entry in found.entries],
        "max_age_seconds": found.max_age_seconds,
        "complete": found.complete,
    }


def _hot_key(entry: model.HotKey) -> Object:
    """One work key that is fought over."""
    return {
        "work_key": entry.work_key,
        "kind": entry.kind,
        "contenders": entry.contenders,
        "recent_contenders": entry.recent_contenders,
        "holder": entry.holder,
        "attempt": entry.attempt,
        "expires_at": format_moment(entry.expires_at),
        "state": value_or_none(entry.state),
    }


def top_object(briefing: model.Briefing, hot: model.HotKeys, status: model.Status) -> Object:
    """The answer to ``top``."""
    briefed = briefing_object(briefing)
    return {
        "generated_at": briefed["generated_at"],
        "taken": briefed["taken"],
        "loose_ends": briefed["loose_ends"],
        "omitted": {"taken": briefed["omitted"]["taken"], "loose_ends": briefed["omitted"]["loose_ends"]},
        "hot": [_hot_key(entry) for entry in hot.entries],
        "convergence_rate": status_object(status)["convergence_rate"],
    }
