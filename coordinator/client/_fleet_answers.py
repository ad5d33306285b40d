"""What a coordinator answers about a fleet as a whole, read into the model: its briefing, hot keys and status."""

from __future__ import annotations

from coordinator import model
from coordinator.client._answers import claim_from, record_from
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import STATES, seconds_of, time_of, time_or_none

__all__ = ["briefing_from", "hot_from", "status_from"]


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
    )


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
