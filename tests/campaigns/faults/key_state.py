"""What a work key can be, and what each answer means for it: the specification that histories are held against.

It is written from docs/guarantees.md and docs/storage.md and from nothing else. ``after`` returns every state that a
work key may be in once a step has been done to it, none where its answer could not have been given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["NEW", "End", "KeyState", "Live", "Rest", "Shown", "Step", "after", "expired", "withdrawn"]


class Late(NamedTuple):
    """The attempt that has expired and may still be completed."""

    attempt: int
    session: str
    token: int


class Rest(NamedTuple):
    """What the work is while no session holds it; ``late`` may still be completed."""

    state: str
    session: str = ""
    attempt: int = 0
    late: Late | None = None


class Live(NamedTuple):
    """A live claim: ``until`` is the latest deadline that its holder was promised, ``before`` what the work was.

    A claim ``repeats`` finished work where its policy allows that, and reopens it otherwise. A token of 0 is not known.
    """

    session: str
    instance: str
    attempt: int
    token: int
    request: str
    until: float
    before: Rest
    repeats: bool = False
    revoked: bool = False


class End(NamedTuple):
    """How an attempt has ended."""

    attempt: int
    session: str
    ended: str
    late: bool = False


class KeyState(NamedTuple):
    """All of a work key. ``done`` are the requests that have taken effect, of those that were sent more than once."""

    attempts: int = 0
    token: int = 0
    live: Live | None = None
    rest: Rest = Rest("available")
    ends: tuple[End, ...] = ()
    done: frozenset[str] = frozenset()


class Shown(NamedTuple):
    """What a reader was shown; ``ends`` is None where no history was asked for."""

    state: str
    session: str
    attempt: int
    token: int = 0
    ends: tuple[End, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one call has done to one work key, or has learned of it.

    ``outcome`` is granted, renewed, held, completed, free (it was denied, and nothing follows), ok, refused or shown.
    One that need not be has no ``must``: its caller never learned of it. ``attempt``, ``token`` and ``until`` are what
    was answered, ``named`` the token that was given. ``repeat`` says whether finished work may be claimed again: never,
    always, or either where that has changed.
    """

    call: str
    do: str
    outcome: str
    session: str
    began: float
    ended: float = math.inf
    must: bool = True
    instance: str = ""
    request: str = ""
    sent_again: bool = False
    named: int = 0
    attempt: int = 0
    token: int = 0
    until: float = 0.0
    holder: str = ""
    late: bool = False
    reopen: bool = False
    at_once: bool = True
    pooled: bool = False
    repeat: str = "never"
    shown: Shown | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether it only learns something."""
        return self.outcome in ("held", "completed", "free", "refused", "shown")


NEW = KeyState()
#: Among how many of the latest attempts a repeated completion or release is recognized.
REMEMBERED = 10
States = tuple[KeyState, ...]


def after(step: Step, state: KeyState) -> States:
    """Return the states that a step may leave; none where it cannot have come out as it did."""
    if step.request in state.done and step.do != "claim":
        # A repetition returns what the first has done, as long as that is remembered.
        return (state,) if step.outcome == "ok" or state.attempts > REMEMBERED else ()
    return _RULES[step.do](step, state)


def _claim(step: Step, state: KeyState) -> States:
    live = state.live
    if step.outcome == "granted":
        return _granted(step, state)
    if step.outcome == "renewed":
        if live is None or live.session != step.session or not _same(step.token, live.token) or live.revoked:
            return ()
        # Another process of the session proves by the token that the claim is its own.
        if step.instance != live.instance and not step.named:
            return ()
        return (_prolonged(state, live, step),)
    if step.outcome == "held":
        as_said = not step.holder or (live is not None and live.session == step.holder)
        return (state,) if as_said else ()
    if step.outcome == "completed":
        finished = live is None and state.rest.state == "completed" and not step.reopen and step.repeat != "always"
        return (state,) if finished and state.rest.session == step.holder else ()
    return (state,)


def _granted(step: Step, state: KeyState) -> States:
    live = state.live
    if live is not None:
        repeated = live.request == step.request and live.session == step.session
        if repeated and step.must and step.attempt in (0, live.attempt) and _same(step.token, live.token):
            return (_prolonged(state, live, step),)
        return ()
    if step.attempt not in (0, state.attempts + 1) or (step.token and step.token <= state.token):
        return ()
    finished = state.rest.state == "completed"
    if finished and not step.reopen and step.repeat == "never":
        return ()
    choices = {"never": (False,), "always": (True,), "either": (False, True)}[step.repeat] if finished else (False,)
    attempt = state.attempts + 1
    return tuple(
        state._replace(
            attempts=attempt,
            token=step.token or state.token,
            live=Live(
                step.session, step.instance, attempt, step.token, step.request, step.until, state.rest, repeats=repeats
            ),
        )
        for repeats in choices
    )


def _prolonged(state: KeyState, live: Live, step: Step) -> KeyState:
    token = live.token or step.token
    longer = live._replace(until=max(live.until, step.until), token=token)
    return state._replace(live=longer, token=max(state.token, token))


def _renew(step: Step, state: KeyState) -> States:
    own = _own(step, state.live)
    if step.outcome == "refused":
        return (state,) if own is None or own.revoked else ()
    return () if own is None or own.revoked else (_prolonged(state, own, step),)


def _complete(step: Step, state: KeyState) -> States:
    own, late = _own(step, state.live), state.rest.late if state.live is None else None
    if late is not None and (late.session != step.session or not _same(step.named, late.token)):
        late = None
    if step.outcome == "refused":
        return (state,) if own is None and late is None else ()
    if own is not None and not step.late:
        done = Rest("completed", own.session, own.attempt)
        return (_ended(state, own, "completed", done, step),)
    if late is not None and (step.late or not step.must):
        done = Rest("completed", late.session, late.attempt)
        ends = tuple(end for end in state.ends if end.attempt != late.attempt)
        ends = tuple(sorted((*ends, End(late.attempt, late.session, "completed", late=True))))
        return (state._replace(rest=done, ends=ends, done=_done(step, state)),)
    return ()


def _release(step: Step, state: KeyState) -> States:
    own = _own(step, state.live)
    if step.outcome == "refused":
        return (state,) if own is None else ()
    return () if own is None else (_ended(state, own, "abandoned", _left_by(own), step),)


def _revoke(step: Step, state: KeyState) -> States:
    live = state.live
    if step.outcome == "refused":
        return (state,) if live is None else ()
    if live is None or (step.holder and step.holder != live.session):
        return ()
    if step.at_once:
        return (_ended(state, live, "abandoned", _left_by(live), step),)
    return (state._replace(live=live._replace(revoked=True), done=_done(step, state)),)


def _acknowledge(step: Step, state: KeyState) -> States:
    abandoned = state.live is None and state.rest.state == "abandoned"
    return (state,) if abandoned == (step.outcome == "ok") else ()


def _reopen(step: Step, state: KeyState) -> States:
    finished = state.live is None and state.rest.state == "completed"
    if step.outcome == "refused":
        return () if finished else (state,)
    if finished:
        back = Rest("abandoned", state.rest.session, state.rest.attempt)
        return (state._replace(rest=back, done=_done(step, state)),)
    # Work that has failed in the pool is put back there, and is otherwise as it was.
    return (state,) if step.pooled and state.live is None else ()


def _get(step: Step, state: KeyState) -> States:
    shown = step.shown
    if shown is None:
        return (state,)
    if state.live is not None:
        live = state.live
        is_so = (shown.state, shown.session, shown.attempt) == ("claimed", live.session, live.attempt)
        is_so = is_so and _same(shown.token, live.token)
    else:
        rest = state.rest
        is_so = (shown.state, shown.session, shown.attempt) == (rest.state, rest.session, rest.attempt)
    if not is_so or shown.ends is None or shown.ends == state.ends:
        return (state,) if is_so else ()
    # What has expired is written down a little later.
    late = state.rest.late
    unwritten = state.live is None and state.ends and state.ends[-1].ended == "abandoned"
    if unwritten and (late is None or late.attempt == state.ends[-1].attempt) and shown.ends == state.ends[:-1]:
        return (state,)
    return ()


_RULES: dict[str, Callable[[Step, KeyState], States]] = {
    "claim": _claim,
    "renew": _renew,
    "complete": _complete,
    "release": _release,
    "revoke": _revoke,
    "acknowledge": _acknowledge,
    "reopen": _reopen,
    "get": _get,
}


def expired(state: KeyState, by: float) -> KeyState | None:
    """Return the state once the live claim has expired, None if it cannot have by then: its deadline comes later."""
    live = state.live
    if live is None or live.until > by:
        return None
    left = _left_by(live)
    if not live.revoked:
        left = left._replace(late=Late(live.attempt, live.session, live.token))
    return _ended(state, live, "abandoned", left, None)


def withdrawn(state: KeyState) -> KeyState | None:
    """Return the state once a live claim of which no caller knew was taken back; the work is as it was before."""
    live = state.live
    if live is None:
        return None
    before = live.before
    if before.state == "available":
        before = Rest("abandoned", live.session, live.attempt)
    return _ended(state, live, "abandoned", before, None)


def _own(step: Step, live: Live | None) -> Live | None:
    if live is None or live.session != step.session or not _same(step.named, live.token):
        return None
    return live


def _left_by(live: Live) -> Rest:
    if live.before.state == "completed" and not live.repeats:
        return live.before._replace(late=None)
    return Rest("abandoned", live.session, live.attempt)


def _ended(state: KeyState, live: Live, how: str, rest: Rest, step: Step | None) -> KeyState:
    done = state.done if step is None else _done(step, state)
    ends = (*state.ends, End(live.attempt, live.session, how))
    return state._replace(live=None, rest=rest, ends=ends, done=done)


def _done(step: Step, state: KeyState) -> frozenset[str]:
    return state.done | {step.request} if step.sent_again else state.done


def _same(one: int, other: int) -> bool:
    """Whether two tokens are of one claim, as far as they are known."""
    return one == other or not one or not other
