"""A briefing: what a session should know before it chooses its work.

Invariants:
- What the session that asks holds comes first, of whatever kind and repository: after its context was lost it must be
  able to take up again what it was doing.
- The rest is the same for all sessions, but for which claims are of others (``survey.py``). What the limit on
  the text leaves out is counted.
"""

from __future__ import annotations

from typing import NamedTuple

from coordinator.engine.briefing.length import fit
from coordinator.engine.briefing.records import Room, find_held, read_claims
from coordinator.engine.briefing.survey import BriefingCommand, Survey, entries_of, segments_of, survey
from coordinator.engine.briefing.text import NOTHING, Section, heading_of_held, last_lines, line_of_held, write
from coordinator.engine.layout import FleetPaths
from coordinator.engine.portions import Portion
from coordinator.engine.steps import Operation
from coordinator.model import Briefing, Claim

__all__ = ["BriefingCommand", "brief", "brief_from"]


class _Held(NamedTuple):
    """What the session that asks holds, the latest first; how much that is, and how much of it is in the scope."""

    claims: list[Claim]
    total: int
    in_scope: int


def brief(command: BriefingCommand, paths: FleetPaths) -> Operation[Briefing]:
    """Put a briefing together."""
    found = yield from survey(command, paths)
    return (yield from brief_from(found, command, paths))


def brief_from(found: Survey, command: BriefingCommand, paths: FleetPaths) -> Operation[Briefing]:
    """Write the briefing for the session of ``command`` from a survey of the same scope."""
    session, portion, repository = command.session, Portion(), command.scope.repository
    held = yield from _held(found, command, paths, portion)
    of_others = [index for index, claim in enumerate(found.claims) if not session or claim.session != session]
    others = [found.claims[index] for index in of_others]
    all_others = max(len(others), found.all_claims - held.in_scope)
    sections = found.sections([found.claim_entries[index] for index in of_others], all_others)
    if session:
        lines = yield from entries_of(held.claims, line_of_held, portion)
        sections = (Section(heading_of_held(session), lines, held.total), *sections)
    elsewhere = found.elsewhere(max(0, found.claims_elsewhere - (held.total - held.in_scope)))
    last = last_lines(repository, elsewhere, found.in_pool)
    shown = fit(sections, command.max_characters, last, all_or_none=-3)
    own, taken, loose, finished = (NOTHING, *shown)[-4:]
    room = Room()
    claims = (*held.claims[: own.total], *others[: taken.total])
    return Briefing(
        generated_at=found.now,
        revision=found.revision,
        taken=tuple(map(room.fit, claims)),
        loose_ends=tuple(map(room.fit, found.loose_ends.records[: loose.total])),
        finished=tuple(map(room.fit, found.finished.records[: finished.total])),
        omitted_taken=held.total + all_others - len(claims),
        omitted_loose_ends=found.loose_ends.total - loose.total,
        omitted_finished=found.finished.total - finished.total,
        markdown=write(sections, shown, last),
        session=session or None,
        omitted_held=held.total - own.total,
        repository=repository or None,
        elsewhere_taken=elsewhere.taken,
        elsewhere_loose_ends=elsewhere.loose_ends,
        elsewhere_finished=elsewhere.finished,
        pooled=found.in_pool.pooled,
        failed=found.in_pool.failed,
    )


def _held(found: Survey, command: BriefingCommand, paths: FleetPaths, portion: Portion) -> Operation[_Held]:
    if not command.session:
        return _Held([], 0, 0)
    if found.claims_everywhere > found.claims_read:
        kvs = yield from find_held(paths, command.session, portion)
        claims = yield from read_claims(paths, kvs[: command.most_shown], portion)
        return _Held(claims, len(kvs), sum(map(command.scope.has, segments_of(paths, "claim", kvs))))
    held = [claim for claim in found.claims if claim.session == command.session]
    return _Held(held, len(held), len(held))
