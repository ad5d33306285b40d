"""The state machine: makes requests, runs them in a fleet of their own, and compares model, answers and etcd.

Who holds a claim, what its token is and which request was sent before is looked up when a request is made.
"""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.listing import ListCommand, LogCommand, count, count_completed, list_records, log
from coordinator.errors import Contended
from coordinator.keys import WorkKey
from coordinator.model import State
from tests.property.history_drafts import DRAFTS, KEY, PASSING, SESSIONS, Draft
from tests.property.history_model import apply
from tests.property.history_orders import possible_orders, same, with_counts_of
from tests.property.history_state import Work, effective
from tests.property.history_store import Disagreement, Stored, check, differences
from tests.property.history_words import (
    Asked,
    Claiming,
    Completing,
    Denied,
    Expiring,
    Getting,
    Granted,
    Reaping,
    Refusal,
    Releasing,
    Renewing,
    Request,
    Revoking,
    Shown,
    Withdrawing,
)
from tests.property.history_world import World, in_words, show_record, token_reported

#: One that is the beginning of another, as text and as a path.
KEYS = (WorkKey("task", "a"), WorkKey("task", "a/0000000001"), WorkKey("github", "gptme/gptme#2880"))
#: What a lease may last longer than was asked for, what rounding adds, and a second for this test's own time.
SLACK = timedelta(seconds=7)

#: Requests that can be withdrawn.
_NAMED = Claiming | Completing | Releasing

Run = Callable[[WorkPaths, Sequence[Asked]], list[Any]]


class HistoryMachine(RuleBasedStateMachine):
    """Random histories, each of a fleet of its own in ``world``, that come out the same whenever they are run."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.fleet = f"history-{uuid.uuid4().hex[:12]}"
        self.paths = FleetPaths(self.fleet)
        self.works = {str(key): Work() for key in KEYS}
        self.sent: dict[str, list[Request]] = {str(key): [] for key in KEYS}
        self.requests = 0
        #: How long the lease of a live claim was the last time, by the time that is set here.
        self.lasting: dict[tuple[str, int], timedelta] = {}
        self.journal: list[str] = []
        self.world.listener.heard.clear()
        self.world.tally["examples"] += 1

    @rule(key=KEY, draft=DRAFTS, passing=PASSING)
    def one_request(self, key: int, draft: Draft, passing: int) -> None:
        self._step("one after the other", KEYS[key], [draft], partial(self.world.at_once, starts=[0]), passing)

    @rule(key=KEY, draft=DRAFTS, passing=PASSING)
    def another_request(self, key: int, draft: Draft, passing: int) -> None:
        self._step("one after the other", KEYS[key], [draft], partial(self.world.at_once, starts=[0]), passing)

    @rule(
        key=KEY,
        drafts=st.lists(DRAFTS, min_size=2, max_size=4),
        order=st.lists(st.integers(0, 3), max_size=16),
        passing=PASSING,
    )
    def interleaved_requests(self, key: int, drafts: list[Draft], order: list[int], passing: int) -> None:
        self._step("interleaved", KEYS[key], drafts, partial(self.world.interleaved, order=order), passing)

    @rule(key=KEY, passing=PASSING)
    def a_lease_ends(self, key: int, passing: int) -> None:
        self._begin("a lease ends", passing)
        claim = self.world.read(self.fleet).get(str(KEYS[key]), Stored()).claim
        if claim is None:
            return
        on_it = [
            name for name, stored in self._read().items() if stored.claim and stored.claim[0].lease == claim[0].lease
        ]
        self.world.revoke_lease(claim[0].lease)
        self.world.tally["claims ended with a lease"] += len(on_it)
        for name in on_it:
            self.works[name], _ = apply(self.works[name], Expiring(), self.world.now)
        self._compare_all(self._read())

    @rule(
        states=st.sets(st.sampled_from(tuple(State))),
        kind=st.sampled_from(("", "task")),
        session=st.sampled_from(SESSIONS),
        page=st.integers(1, 3),
    )
    def lists(self, states: set[State], kind: str, session: str, page: int) -> None:
        self._begin("lists", 0)
        self._list(states, kind, page)
        self._count()
        self._log(session, page)

    def _list(self, states: set[State], kind: str, page: int) -> None:
        shown, token = [], ""
        while True:
            command = ListCommand(frozenset(states), kind, page_size=page, page_token=token)
            found = self.world.ask(partial(list_records, command, self.paths))
            shown += [(record.work_key, show_record(record)) for record in found.records]
            if found.next_page_token is None:
                break
            token = found.next_page_token
        expected = [
            (name, effective(work))
            for name, work in sorted(self.works.items(), key=lambda item: self.paths.of(_key(item[0])).segment)
            if work.known and (not states or effective(work).state in states) and name.startswith(kind)
        ]
        self._expect(shown == expected, f"listed {shown}, expected {expected}")

    def _count(self) -> None:
        counts = self.world.ask(partial(count, self.paths))
        works = [work for work in self.works.values() if work.known]
        states_of = Counter(work.known.state for work in works if work.known and not work.known.withdrawn)
        live = sum(work.held is not None for work in works)
        completed = self.world.ask(partial(count_completed, self.paths))
        reported = (counts.live_claims, counts.loose_ends, completed)
        self._expect(
            reported == (live, states_of[State.ABANDONED], states_of[State.COMPLETED]),
            f"counted {counts}, {completed} completed, in {states_of}",
        )

    def _log(self, session: str, page: int) -> None:
        shown, token = [], ""
        while True:
            command = LogCommand(session, self.world.now, page_size=page, page_token=token)
            found = self.world.ask(partial(log, command, self.paths))
            shown += [
                (entry.ended_at, entry.work_key, entry.attempt, entry.ended, entry.cause) for entry in found.entries
            ]
            if found.next_page_token is None:
                break
            token = found.next_page_token
        expected = [
            (end.ended_at, name, end.attempt, end.ended, end.cause)
            for name, work in self.works.items()
            for end in work.history
            if end.session == session
        ]
        expected.sort(key=lambda row: self.paths.of(_key(row[1])).ended(row[0], row[2]), reverse=True)
        self._expect(shown == expected, f"log of {session}: {shown}, expected {expected}")

    # One step: make the requests, run them, and find an order in which the model does the same.

    def _step(self, how: str, key: WorkKey, drafts: Sequence[Draft], run: Run, passing: int) -> None:
        self._begin(how, passing)
        name = str(key)
        requests: list[Asked] = []
        for draft in drafts:
            request = self._request(name, draft)
            requests.append(Asked(request, draft.replica, self.world.now))
            self.sent[name].append(request)
            self.world.tally["operations"] += 1
        answers = run(self.paths.of(key), requests)
        self.journal.append(f"{how}, {name}: {[*zip(requests, map(in_words, answers), strict=True)]}")
        stored = self._read()
        self._settle(name, requests, answers, stored.get(name, Stored()), shared=how == "at once")
        self._compare_all(stored)
        for asked, answer, draft in zip(requests, answers, drafts, strict=True):
            self.world.tally[_outcome(asked.request, answer, draft)] += 1

    def _begin(self, how: str, passing: int) -> None:
        self.world.advance(passing)
        self.world.tally["steps"] += 1
        self.world.tally[f"steps: {how}"] += 1

    def _request(self, name: str, draft: Draft) -> Request:
        work = self.works[name]
        session = draft.session or (work.known.session if work.known else SESSIONS[0])
        latest = max(work.tokens, default=0)
        token = {
            "no token": 0,
            "its token": work.tokens.get(latest, 0),
            "a stale token": work.tokens.get(latest - 1, 1),
        }[draft.naming]
        self.requests += 1
        request_id = f"request-{self.requests}"
        match draft.verb:
            case "claim":
                return Claiming(session, request_id, draft.instance, token, draft.ttl, draft.text, draft.reopen)
            case "renew":
                note = None if draft.text == "unchanged" else draft.text
                return Renewing(session, draft.instance, token, draft.ttl, note)
            case "complete":
                return Completing(session, request_id, token, draft.text)
            case "release":
                return Releasing(session, request_id, token, draft.text)
            case "withdraw" if named := [each for each in self.sent[name] if isinstance(each, _NAMED)]:
                withdrawn = named[-1 - draft.back % len(named)]
                return Withdrawing(withdrawn.session, withdrawn.request_id, token)
            case "revoke":
                return Revoking(request_id, draft.text)
            case "reap":
                return Reaping(draft.min_age)
            case "expire":
                return Expiring()
            case "again" if self.sent[name]:
                return self.sent[name][-1 - draft.back % len(self.sent[name])]
            case _:
                return Getting()

    def _settle(self, name: str, asked: list[Asked], answers: list[Any], stored: Stored, *, shared: bool) -> None:
        """Find an order of the requests in which the model answers the same and comes to what is stored."""
        before = replace(self.works[name], events=())
        requests = [one.request for one in asked]
        alone = len(requests) == 1
        # A request that lost all its races has done nothing.
        done = [number for number, answer in enumerate(answers) if alone or not isinstance(answer, Contended)]
        tries: list[str] = []
        for start, order in possible_orders(before, requests, done):
            work, expected = start, {}
            for number in order:
                work, expected[number] = apply(work, requests[number], asked[number].now)
            work = work if alone else with_counts_of(work, before, stored, requests, shared=shared)
            wrong = [
                f"{requests[number]}: expected {expected[number]}, answered {in_words(answers[number])}"
                for number in order
                if not same(expected[number], in_words(answers[number]), exactly=alone)
            ]
            wrong += differences(work, stored)
            if not wrong and Counter(work.events) == self.world.listener.heard:
                self._learn(name, work, stored, answers)
                return
            wrong = wrong or [f"expected the events {work.events}"]
            tries.append(f"in the order {order}:\n    " + "\n    ".join(wrong))
        raise Disagreement(
            f"{name}: no order of {requests} explains {[*map(in_words, answers)]}\n  before: {before}\n  "
            f"events: {self.world.listener.heard}\n  " + "\n  ".join((*tries, "the history:", *self.journal))
        )

    def _learn(self, name: str, work: Work, stored: Stored, answers: list[Any]) -> None:
        """Take over what only the store knows, and check that the answers were the same."""
        tokens = dict(self.works[name].tokens) | stored.tokens
        for reported in filter(None, map(token_reported, answers)):
            self._expect(
                tokens[reported[0]] == reported[1], f"{name}: token {reported} was answered, {tokens} is stored"
            )
        known_deadline = self.works[name].deadlines
        if work.held is not None and work.promised is not None:
            deadline = stored.deadlines[work.held.attempt]
            latest = known_deadline.get(work.held.attempt, work.promised)
            # For etcd no time passes here, as if it had started the lease again at every step. A renewal never takes a
            # claim to a lease that is shorter than that; if another replica granted that, to one that is a bit longer.
            lasting = self.lasting.get((name, work.held.attempt), work.promised - self.world.now)
            latest = max(latest, max(work.promised, self.world.now + lasting) + len(answers) * SLACK)
            if deadline != known_deadline.get(work.held.attempt):
                # One that stays on its lease is shown with what it was renewed for, which may be less than that lasts.
                self.lasting[name, work.held.attempt] = max(lasting, deadline - self.world.now)
            self._expect(work.promised <= deadline <= latest, f"{name}: {deadline}, promised was {work.promised}")
        self.works[name] = replace(
            work, tokens=tokens, deadlines=dict(known_deadline) | stored.deadlines, events=(), seen=None, pinned=None
        )
        self.world.listener.heard.clear()

    def _read(self) -> dict[str, Stored]:
        return self.world.read(self.fleet)

    def _compare_all(self, stored: dict[str, Stored]) -> None:
        self._expect(set(stored) <= set(self.works), f"work keys that no call named: {set(stored) - set(self.works)}")
        for name, work in self.works.items():
            found = stored.get(name, Stored())
            self._expect(not (wrong := differences(work, found)), f"{name}: {wrong}")
            if work.known is not None:
                check(found, work.tokens)

    @staticmethod
    def _expect(holds: bool, message: str) -> None:
        if not holds:
            raise Disagreement(message)


class RacingMachine(HistoryMachine):
    """With requests that really run at once, so that no history of it is sure to come out the same again.

    The first disagreement is kept in ``world``: when the history is run again to report it, there may be none.
    """

    def teardown(self) -> None:
        error = sys.exception()
        if isinstance(error, Disagreement):
            self.world.disagreements.append(error)

    @rule(
        key=KEY,
        drafts=st.lists(DRAFTS, min_size=2, max_size=4),
        starts=st.lists(st.integers(0, 40), min_size=4, max_size=4),
        passing=PASSING,
    )
    def requests_at_once(self, key: int, drafts: list[Draft], starts: list[int], passing: int) -> None:
        self._step("at once", KEYS[key], drafts, partial(self.world.at_once, starts=starts), passing)


def _key(name: str) -> WorkKey:
    kind, _, identity = name.partition(":")
    return WorkKey(kind, identity)


_VERBS: dict[type, str] = {
    Claiming: "claim",
    Renewing: "renew",
    Completing: "complete",
    Releasing: "release",
    Withdrawing: "withdraw",
    Revoking: "revoke",
    Reaping: "reap",
    Expiring: "expire",
    Getting: "get",
}


def _outcome(request: Request, answer: object, draft: Draft) -> str:
    verb = f"{_VERBS[type(request)]} again" if draft.verb == "again" else _VERBS[type(request)]
    if isinstance(answer, Contended):
        return f"{verb}: contended"
    words = in_words(answer)
    match words:
        case Granted():
            over = words.previous.cause or State.COMPLETED if words.previous else "new work"
            return f"{verb}: {words.outcome}" + (f" after {over}" if words.outcome == "granted" else "")
        case Denied():
            return f"{verb}: denied, {words.reason}" + (", own session" if words.own_session else "")
        case Shown(state=State.COMPLETED, late=True):
            return f"{verb}: completed late"
        case Shown():
            return f"{verb}: {words.state}"
        case Refusal():
            return f"{verb}: refused"
        case bool():
            return f"{verb}: {'done' if words else 'nothing to do'}"
        case _:
            return verb
