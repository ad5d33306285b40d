"""The checker: what of a history cannot be, if the promises of docs/guarantees.md are kept.

It imports nothing of the product. ``check`` returns what it has found, with what else is worth knowing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from tests.campaigns.faults.choices import over_choices
from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import History
from tests.campaigns.faults.key_state import Step
from tests.campaigns.faults.linearizability import Verdict, linearize
from tests.campaigns.faults.pool_promises import over_pool
from tests.campaigns.faults.promises import over_answers
from tests.campaigns.faults.steps import steps_of
from tests.campaigns.faults.store_promises import over_store
from tests.campaigns.faults.store_view import StoreView

__all__ = ["ORDER", "Checked", "check"]

#: The rule that a work key's steps have an order.
ORDER = "the answers have an order"


@dataclass(frozen=True)
class Checked:
    """What was found. ``undecided`` are the work keys whose search was given up."""

    findings: list[Finding] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    keys: int = 0
    nodes: int = 0


def check(history: History, only: Collection[str] | None = None) -> Checked:
    """Check a history, or the order of the steps of ``only`` some of its work keys."""
    store = StoreView(history.store, history.header.get("fleet", "default")) if history.store else None
    findings: list[Finding] = []
    if only is None:
        findings += [*over_answers(history), *over_choices(history, store)]
        if store is not None:
            findings += over_store(history, store)
            findings += over_pool(history, store)
    undecided, nodes, keys = [], 0, 0
    for key, steps in sorted(steps_of(history, store).items()):
        if only is not None and key not in only:
            continue
        taken_back = taken_back_of(store, key)
        verdict = linearize(steps, taken_back)
        keys, nodes = keys + 1, nodes + verdict.nodes
        if verdict.possible is None:
            undecided.append(key)
        elif not verdict.possible:
            findings.append(Finding(ORDER, key, describe(verdict)))
    return Checked(sorted({*findings}), undecided, keys, nodes)


def taken_back_of(store: StoreView | None, key: str) -> set[int]:
    """Return the attempts of a work key that were withdrawn, as the store says."""
    attempts = () if store is None else store.attempts.get(key, ())
    return {attempt.number for attempt in attempts if attempt.is_taken_back}


def describe(verdict: Verdict) -> str:
    """Return in words where the search did not get any further."""
    live, rest = verdict.state.live, verdict.state.rest
    held = f"held by {live.session}, attempt {live.attempt}, until {live.until:.3f}" if live else rest.state
    return f"the furthest order leaves it {held}; then not possible: " + "; ".join(_words(verdict.stuck))


def _words(steps: Collection[Step]) -> Iterator[str]:
    for step in [*steps][:4]:
        shown = step.shown or step.holder or (f"attempt {step.attempt}" if step.attempt else "")
        yield f"call {step.call} of {step.session}: {step.do} {step.outcome} {shown}".rstrip()
