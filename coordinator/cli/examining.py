"""What can be told from here: whether coordinators answer, how their clocks stand, how connections are protected.

What they find themselves, above all in their store, is added to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from coordinator._version import __version__
from coordinator.cli.context import Context
from coordinator.cli.quantities import format_duration
from coordinator.errors import CoordinatorError, InvalidInput, NotImplementedHere
from coordinator.findings import Finding, Severity, problem, sound, warning
from coordinator.model import ReaperStatus
from coordinator.offsets import judge_clock, judge_clocks
from coordinator.peers import judge_encryption, judge_expiry, read_expiry, shown_expiry
from coordinator.transport import parse_endpoints

__all__ = ["examine"]


def examine(context: Context) -> tuple[Finding, ...]:
    """Examine every coordinator that is named, and through them their store."""
    endpoints = parse_endpoints(context.endpoint)
    found: list[Finding] = []
    ahead: dict[str, float] = {}
    for endpoint in endpoints:
        visit = _Visit(context, endpoint)
        found += tuple(_merged(found, visit.findings()))
        if visit.ahead is not None:
            ahead[endpoint] = visit.ahead
    found += judge_clocks(ahead)
    found += _protection(context, endpoints)
    return tuple(found)


def _protection(context: Context, endpoints: tuple[str, ...]) -> Iterator[Finding]:
    """Judge the connections to the coordinators, and the certificates on both ends of them."""
    own = context.certificate
    yield judge_encryption("coordinator-tls", "the coordinator", endpoints, on=context.encrypted)
    if not context.encrypted:
        return
    now = datetime.now(UTC)
    for endpoint in endpoints:
        try:
            ends = shown_expiry(endpoint, client=own)
        except (OSError, ValueError):
            continue  # That it does not answer is a finding already.
        yield judge_expiry("certificate", ends, now, whose="the coordinator's certificate", subject=endpoint)
    if own is not None:
        yield judge_expiry("certificate", read_expiry(own[0]), now, whose="this client's certificate")


class _Visit:
    """One coordinator, examined once; ``ahead`` is by how many seconds its clock is ahead of ours, if it answers."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self._context = context
        self._endpoint = endpoint
        self.ahead: float | None = None

    def findings(self) -> Iterator[Finding]:
        """Call on it, and yield what it finds."""
        with self._context.client(self._endpoint) as client:
            try:
                # This call makes the connection, so that the next one's way back takes as long as its way there.
                status = client.status()
            except InvalidInput:
                raise
            except CoordinatorError as error:
                yield problem(
                    "coordinator", error.message, error.hint or "see the coordinator's log", subject=self._endpoint
                )
                return
            uptime = format_duration(status.coordinator.uptime_seconds)
            yield _version(self._endpoint, status.coordinator.version, uptime)
            if status.etcd.quorum:
                yield _reaper(status.reaper)
            sent = datetime.now(UTC)
            try:
                diagnosis = client.diagnose()
            except NotImplementedHere:
                yield warning("coordinator", "it cannot examine itself yet", "upgrade it", subject=self._endpoint)
                return
            except CoordinatorError as error:
                yield problem(
                    "coordinator",
                    f"it was not examined: {error.message}",
                    error.hint or "see the coordinator's log",
                    subject=self._endpoint,
                )
                return
            clock, self.ahead = judge_clock(self._endpoint, diagnosis, sent=sent, got=datetime.now(UTC))
            yield clock
            yield from diagnosis.findings


def _reaper(reaper: ReaperStatus) -> Finding:
    if reaper.leader is not None:
        return sound("reaper", f"{reaper.leader} records what expires")
    return warning(
        "reaper",
        "nobody is elected to record what expires; it is recorded when somebody claims the same work",
        "run a coordinator without --no-reaper; right after a start, ask again",
    )


def _version(endpoint: str, version: str, uptime: str) -> Finding:
    message = f"version {version} answers, up {uptime}"
    if version == __version__:
        return sound("coordinator", message, subject=endpoint)
    return warning(
        "coordinator",
        f"{message}; this command is of version {__version__}",
        "upgrade the older of them",
        subject=endpoint,
    )


def _merged(before: list[Finding], more: Iterator[Finding]) -> Iterator[Finding]:
    """Leave out what another coordinator has found of the store already: they share it."""
    known = {(finding.check, finding.subject, finding.severity, finding.message) for finding in before}
    checked = {finding.check for finding in before if finding.check.startswith("etcd-")}
    for finding in more:
        if (finding.check, finding.subject, finding.severity, finding.message) in known:
            continue
        if finding.check in checked and finding.severity is Severity.OK:
            continue
        yield finding
