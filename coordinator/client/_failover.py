"""Failover: which endpoint a call is tried at, and when. It does no I/O.

Invariants:
- All tries of a call end by its one deadline, and none of them may use all of it. If one is silent for a share of it,
  another endpoint is asked in parallel, and the first definite answer counts.
- A client stays with the endpoint that answered last. One that failed is not used for a while, longer each time, unless
  a call has just begun and finds no other.
- A call that waits for work at a coordinator is tried at one endpoint at a time. Where its wait breaks off, it is tried
  again for the time that other calls have, and gets the rest of its wait where that succeeds.
- What an error says is true of all tries together. Once one of them may have taken effect, the outcome is unknown until
  a later try is answered with it. Without such an answer, the error of the try that says most is raised.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from enum import IntEnum
from typing import NamedTuple

from coordinator.client._jitter import jittered
from coordinator.errors import CoordinatorError, InvalidInput, OutcomeUnknown, Refused, Unavailable

__all__ = ["START", "Absence", "Effort", "Endpoints", "Evidence"]

#: How long one endpoint may be silent before another is asked: this share of a call's time, at most so many seconds. A
#: coordinator answers within milliseconds; one whose etcd elects a leader takes longer than this, and nothing is lost
#: by asking another.
_SILENCE_SHARE, _SILENCE_SECONDS = 0.25, 1.0
#: How long to retry where no coordinator has ever answered this client, in seconds: enough for a coordinator that is
#: just being started, and short enough for a person who has not started one.
_KNOCK_SECONDS = 0.5
#: How long an endpoint rests after it has failed, in seconds, doubling from the first to the second figure.
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.1, 1.0
#: With less time than this left, in seconds, nothing is begun any more.
_LEAST_TRY_SECONDS = 0.02
#: How long after the deadline gRPC may take to say that it has passed, in seconds.
_GRACE_SECONDS = 0.25


#: A try of a call that waits that has lasted so long, in seconds, had begun to wait.
_WAITED_SECONDS = 1.0


class Evidence(IntEnum):
    """How much a failed try says, the least first."""

    #: No coordinator is there.
    ABSENT = 0
    #: No connection came about in time; one still may.
    SLOW = 1
    #: No coordinator is there that this client can use, and the reason is known.
    WHY_ABSENT = 2
    #: The request was sent, and no answer came.
    LOST = 3
    #: A coordinator has said no.
    BY_COORDINATOR = 4


#: What to do where no coordinator runs.
START = "start one with `coordination up`, or say where it is with --endpoint or COORDINATION_ENDPOINT"


class Absence(NamedTuple):
    """Why no coordinator could be asked, and what to do."""

    message: str
    hint: str = START
    evidence: Evidence = Evidence.ABSENT


class Endpoints:
    """The endpoints of one client, and which of them have failed or answered. Calls in all threads share it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._lock = threading.RLock()
        self._current = self.names[0]
        self._failures = dict.fromkeys(self.names, 0)
        self._rests_until = dict.fromkeys(self.names, -math.inf)
        #: Whether a coordinator has ever answered.
        self.met = False

    def choose(self, now: float, busy: Collection[str], *, resting_too: bool) -> str | None:
        """Return the best endpoint that is not ``busy``, None if all others rest and are not wanted all the same."""
        with self._lock:
            free = [name for name in self.names if name not in busy]
            ready = [name for name in free if self._rests_until[name] <= now]
            if ready:
                return min(ready, key=lambda name: (self._failures[name] > 0, name != self._current))
            return min(free, key=self._rests_until.__getitem__) if free and resting_too else None

    def ready_at(self, busy: Collection[str]) -> float:
        """Return when the next one that is not ``busy`` has rested, infinity if all are."""
        with self._lock:
            return min((self._rests_until[name] for name in self.names if name not in busy), default=math.inf)

    def answered(self, name: str, now: float, beaten: Collection[str] = ()) -> None:
        """Note that one has answered, before others that had been asked earlier."""
        with self._lock:
            self.met = True
            self._current = name
            self._failures[name], self._rests_until[name] = 0, -math.inf
            for other in beaten:
                self._let_rest(other, now, 0.0)

    def failed(self, name: str, now: float, at_least: float) -> None:
        """Note that one has failed, and wants to be left alone for ``at_least`` so many seconds."""
        with self._lock:
            self._let_rest(name, now, at_least)

    def _let_rest(self, name: str, now: float, at_least: float) -> None:
        rest = min(_FIRST_REST_SECONDS * 2.0 ** min(self._failures[name], 10), _LONGEST_REST_SECONDS)
        self._failures[name] += 1
        # Spread out, so that a fleet of clients does not come back as one.
        self._rests_until[name] = now + max(at_least, jittered(rest))


class Effort:
    """What is done for one call; ``timeout`` is its time in seconds, counted from when this is made.

    One that ``waits`` has so many seconds more, for as long as a coordinator holds it. One that is not ``repeatable``
    is never tried at two endpoints at the same time. ``unanswered`` makes the error for an endpoint of which gRPC says
    nothing even when the time is over.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        timeout: float,
        unanswered: Callable[[str], CoordinatorError],
        repeatable: bool = True,
        waits: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._unanswered = unanswered
        self._monotonic = monotonic
        self._started = monotonic()
        self._timeout = timeout
        self._deadline = self._started + timeout + waits
        self._waits = waits
        #: Since when no wait has come about again, where one broke off.
        self._failing_since: float | None = None
        self._silence = min(_SILENCE_SHARE * timeout, _SILENCE_SECONDS) if repeatable else math.inf
        self._least_try = min(_LEAST_TRY_SECONDS, timeout / 2)
        #: The endpoints that have been asked and have not answered, and since when.
        self._asked: dict[str, float] = {}
        self._tried: set[str] = set()
        #: Those that have said no to this call, for themselves only.
        self._declined: set[str] = set()
        #: When another endpoint is to be asked beside them.
        self._next_at = self._started
        self._in_doubt: OutcomeUnknown | None = None
        self._problem: CoordinatorError | None = None
        #: How much the problem says.
        self._evidence = Evidence.ABSENT
        #: The endpoints where the last try found no coordinator.
        self._absent: set[str] = set()
        #: The error of the last try at each endpoint that found no coordinator or no connection in time.
        self._unreached: dict[str, CoordinatorError] = {}

    @property
    def remaining(self) -> float:
        """How much of the call's time is left, in seconds, for gRPC's deadline."""
        return max(0.001, self._deadline - self._monotonic())

    @property
    def leaves_tries(self) -> bool:
        """Whether other tries than the one that was answered may still take effect, or may have done so unseen."""
        return bool(self._asked) or self._in_doubt is not None

    def next_endpoint(self) -> str | None:
        """Return the endpoint to ask now, None while there is nothing to do but wait; raises when all is over."""
        now = self._monotonic()
        if now + self._least_try >= self._deadline:
            if not self._asked or now >= self._deadline + _GRACE_SECONDS:
                raise self._verdict()
            return None
        if self._asked and now < self._next_at:
            return None
        if self._waits and self._failing_since is not None and now - self._failing_since >= self._timeout:
            raise self._verdict()
        endpoint = self._endpoints.choose(now, self._busy, resting_too=not self._tried)
        if endpoint is not None:
            self.asked(endpoint)
        elif not self._asked and self._endpoints.ready_at(self._busy) + self._least_try >= self._deadline:
            raise self._verdict()
        return endpoint

    def asked(self, endpoint: str) -> None:
        """Note that an endpoint has been asked."""
        now = self._monotonic()
        self._asked[endpoint] = now
        self._tried.add(endpoint)
        self._next_at = now + self._silence

    def patience(self) -> float:
        """Return for how many seconds to wait for an answer before ``next_endpoint`` is to be asked again."""
        due = self._endpoints.ready_at(self._busy)
        if self._asked:
            due = max(due, self._next_at)
            if due + self._least_try >= self._deadline:
                due = self._deadline + _GRACE_SECONDS
        return max(0.0, due - self._monotonic())

    def succeeded(self, endpoint: str) -> None:
        """Note an answer."""
        since = self._asked.pop(endpoint)
        beaten = [other for other, asked in self._asked.items() if asked < since]
        self._endpoints.answered(endpoint, self._monotonic(), beaten)

    def again(self, endpoint: str) -> None:
        """Have the endpoint asked once more, at once."""
        del self._asked[endpoint]
        self._next_at = self._monotonic()

    def failed(self, endpoint: str, problem: CoordinatorError, evidence: Evidence) -> None:
        """Note a failure, and raise what it means where no other endpoint can know better."""
        now = self._monotonic()
        answered = evidence is Evidence.BY_COORDINATOR
        if answered and not isinstance(problem, Unavailable | OutcomeUnknown):
            self.succeeded(endpoint)
            if isinstance(problem, Refused | InvalidInput) or not (self._asked or self._in_doubt):
                raise problem
            # It speaks of its own try only; the others may have taken effect, or still may.
            self._problem, self._evidence = problem, evidence
            self._declined.add(endpoint)
            return
        since = self._asked.pop(endpoint)
        if self._failing_since is None or now - since > _WAITED_SECONDS:
            self._failing_since = now
        if isinstance(problem, OutcomeUnknown):
            self._in_doubt = self._in_doubt or problem
        if evidence >= self._evidence:
            self._problem, self._evidence = problem, evidence
        if evidence <= Evidence.WHY_ABSENT:
            self._unreached[endpoint] = problem
        if evidence in (Evidence.ABSENT, Evidence.WHY_ABSENT):
            self._absent.add(endpoint)
        else:
            self._absent.discard(endpoint)
        if answered:
            self._endpoints.met = True
        self._endpoints.failed(endpoint, now, problem.retry_after_seconds or 0.0 if answered else 0.0)
        self._next_at = now
        if self._none_is_there(now):
            raise self._verdict()

    def ended_by(self, problem: CoordinatorError) -> CoordinatorError:
        """Return what to raise where the call ends before its time: ``problem``, unless a try may have taken effect."""
        verdict = self._verdict()
        return verdict if isinstance(verdict, OutcomeUnknown) else problem

    @property
    def _busy(self) -> set[str]:
        return self._declined.union(self._asked)

    def _none_is_there(self, now: float) -> bool:
        knocked_long_enough = now - self._started > min(_KNOCK_SECONDS, self._timeout)
        everywhere = len(self._absent) == len(self._endpoints.names) and not self._asked
        unanswered = self._evidence <= Evidence.WHY_ABSENT and not self._endpoints.met
        return everywhere and unanswered and knocked_long_enough

    def _verdict(self) -> CoordinatorError:
        """Return the error that stands for all tries."""
        for endpoint, problem in [(each, self._unanswered(each)) for each in self._asked]:
            self._problem = self._problem or problem
            self._unreached[endpoint] = problem
            if isinstance(problem, OutcomeUnknown):
                self._in_doubt = self._in_doubt or problem
        if self._in_doubt is not None:
            self._in_doubt.__cause__ = self._problem if self._problem is not self._in_doubt else None
            return self._in_doubt
        if self._evidence <= Evidence.WHY_ABSENT and len(self._unreached) > 1:
            return _together([self._unreached[name] for name in self._endpoints.names if name in self._unreached])
        return self._problem or Unavailable("no coordinator was asked in time", hint="give it more time")


def _together(problems: Sequence[CoordinatorError]) -> CoordinatorError:
    """Return the error for a call that none of several endpoints could be asked; it names each with its reason."""
    distinct = {problem.message: problem for problem in problems}
    if len(distinct) == 1:
        return problems[0]
    hints = dict.fromkeys(problem.hint for problem in distinct.values() if problem.hint)
    return Unavailable("; ".join(distinct), hint="; ".join(hints) or None)
