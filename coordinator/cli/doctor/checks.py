"""Checks from the client's side: whether coordinators answer, how their clocks differ, how connections are protected.

What coordinators find themselves, above all in their store, is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from coordinator._version import __version__
from coordinator.cli.context import Context
from coordinator.diagnosis.clocks import judge_clock, judge_clocks
from coordinator.diagnosis.findings import Finding, Severity, problem, sound, warning
from coordinator.diagnosis.tls import judge_clear_token, judge_encryption, judge_expiry, read_expiry, shown_expiry
from coordinator.errors import CoordinatorError, InvalidInput, NotImplementedHere
from coordinator.model import ReaperStatus
from coordinator.net.endpoints import parse_endpoints
from coordinator.net.unix_sockets import is_unix
from coordinator.time_text import format_duration

__all__ = ["examine"]


def examine(context: Context) -> tuple[Finding, ...]:
    """Examine every coordinator that is named, and through them their store."""
    endpoints = parse_endpoints(context.endpoint)
    found: list[Finding] = []
    ahead: dict[str, float] = {}
    answered: list[str] = []
    names: set[str] = set()
    for endpoint in endpoints:
        visit = _Visit(context, endpoint)
        found += tuple(_merged(found, visit.findings()))
        if visit.ahead is not None:
            ahead[endpoint] = visit.ahead
        if visit.listens_on is not None:
            answered.append(endpoint)
            names.add(visit.listens_on)
    found += judge_clocks(ahead)
    found += _protection(context, endpoints, tuple(answered))
    return tuple(finding for finding in found if not _is_judged_elsewhere(finding, names))


def _is_judged_elsewhere(finding: Finding, names: set[str]) -> bool:
    """Return whether another coordinator has judged the clock of one that was visited, and whose clock is known better.

    ``names`` are what those that were visited listen on. One that listens on all addresses is not known by that.
    """
    if finding.check != "clock" or "/" not in finding.subject:
        return False
    listens_on = finding.subject.partition("/")[2]
    return listens_on in names and not listens_on.startswith(("0.0.0.0:", "[::]:"))


def _protection(context: Context, endpoints: tuple[str, ...], answered: tuple[str, ...]) -> Iterator[Finding]:
    """Judge the connections to the coordinators that have answered, and the certificates on both ends of them."""
    own = context.certificate
    if answered:
        # Of connections that did not come about there is nothing to say: that they did not is a finding already.
        yield judge_encryption("coordinator-tls", "the coordinator", answered, on=context.encrypted)
    if not context.encrypted:
        if context.shows_token:
            yield from judge_clear_token(answered)
        return
    now = datetime.now(UTC)
    for endpoint in endpoints:
        if is_unix(endpoint):
            continue
        try:
            ends = shown_expiry(endpoint, client=own)
        except (OSError, ValueError):
            continue  # That it does not answer is a finding already.
        yield judge_expiry("certificate", ends, now, whose="the coordinator's certificate", subject=endpoint)
    if own is not None:
        yield judge_expiry("certificate", read_expiry(own[0]), now, whose="this client's certificate")


class _Visit:
    """One coordinator, examined once.

    ``ahead`` is by how many seconds its clock is ahead of ours, and ``listens_on`` its address, if it answers.
    """

    def __init__(self, context: Context, endpoint: str) -> None:
        self._context = context
        self._endpoint = endpoint
        self.ahead: float | None = None
        self.listens_on: str | None = None

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
            self.listens_on = status.coordinator.endpoint
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
        "no coordinator is elected to record expired claims; they are recorded when the same work is claimed again",
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
    clocks = {finding.subject for finding in before if finding.check == "clock"}
    for finding in more:
        if finding.check == "clock" and finding.subject in clocks:
            continue
        if (finding.check, finding.subject, finding.severity, finding.message) in known:
            continue
        if finding.check in checked and finding.severity is Severity.OK:
            continue
        yield finding
