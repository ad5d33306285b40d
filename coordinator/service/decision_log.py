"""What calls have decided about claims: counted for the metrics, and one line each in the log.

Invariants:
- A grant is counted where it is made, and not here: a repeated request gets it again, and its caller may be gone.
- The end of an attempt (``completed``, ``released``, ``revoked``, ``expired``) is logged where it is written, by the
  operation driver, once and with the number of that attempt.
"""

from __future__ import annotations

import logging

from coordinator import model
from coordinator.logs.format import log_event
from coordinator.recorder import Recorder
from coordinator.service.request_fields import Keyed

__all__ = ["Decisions"]

_LOG = logging.getLogger(__name__)


class Decisions:
    """Records decisions; ``recorder`` counts them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def claim_answered(self, keyed: Keyed, session: str, answer: model.Claim | model.Denial) -> None:
        """Record the answer to a claim or a renewal."""
        if isinstance(answer, model.Denial):
            self._recorder.claim_answered(keyed.fleet, keyed.work_key.kind, model.Outcome.DENIED, answer.reason)
            _log_decision(
                "denied",
                keyed,
                session,
                reason=answer.reason.value,
                holder=answer.holder or answer.completed_by or "",
                **({} if answer.policy is None else {"policy": answer.policy}),
            )
            return
        if answer.outcome is not model.Outcome.GRANTED:
            self._recorder.claim_answered(keyed.fleet, keyed.work_key.kind, answer.outcome, None)
        _log_decision(answer.outcome.value, keyed, session, attempt=answer.attempt, fencing_token=answer.fencing_token)

    def placed(self, keyed: Keyed, session: str, answer: model.Claim | model.Denial) -> None:
        """Log the answer to a ClaimNext; it is counted where it is found."""
        choice = answer.choice or model.Choice()
        skipped = sum(count for _, count in choice.skipped_counts)
        if isinstance(answer, model.Denial):
            _log_decision("nothing free", keyed, session, why=choice.nothing_free or "", skipped=skipped)
            return
        _log_decision(
            answer.outcome.value,
            keyed,
            session,
            attempt=answer.attempt,
            fencing_token=answer.fencing_token,
            place=choice.place or 0,
            skipped=skipped,
        )

    def record_changed(self, event: str, keyed: Keyed, record: model.Record) -> None:
        """Log what became of a work key: ``event`` is ``revoking``, ``reopened`` or ``acknowledged``."""
        _log_decision(event, keyed, record.session or "", attempt=record.attempt or 0, late=record.late)

    def submitted(self, keyed: Keyed, session: str, outcome: model.Submitted) -> None:
        """Log that work was put into the pool, changed there or taken out."""
        _log_decision("submitted", keyed, session, outcome=outcome.value)

    def imported(self, keyed: Keyed, imported: model.Imported) -> None:
        """Log that work was taken over from another tool."""
        _log_decision("imported", keyed, imported.session or "", state=imported.state.value)

    def withdrawn(self, keyed: Keyed, session: str, request_id: str) -> None:
        """Log that a withdrawal has released a claim."""
        _log_decision("withdrawn", keyed, session, request_id=request_id)

    def reaped(self, fleet: str, reaped: int, min_age_seconds: float) -> None:
        """Log how many expired claims a call has recorded."""
        log_event(_LOG, "reaped", fleet=fleet, reaped=reaped, min_age_seconds=min_age_seconds)


def _log_decision(event: str, keyed: Keyed, session: str, **more: object) -> None:
    log_event(_LOG, event, fleet=keyed.fleet, work_key=keyed.work_key, session=session, **more)
