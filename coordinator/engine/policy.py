"""Policies: what a kind of work, or all work below a prefix of work keys, means.

A pattern is a kind, or a prefix of canonical work keys that ends where one of their segments does: segments are
separated by ``/``, ``#``, ``:`` and ``?``. So ``github:gptme/gptme`` is a pattern of ``github:gptme/gptme#7``, and none
of ``github:gptme/gptme-contrib#1``.

Invariants:
- Of all patterns that match a work key, the longest that sets a field says what it is; each field is looked up for
  itself. A policy that an operator has set counts before a built-in one of the same pattern.
- What cannot be read is left out, and reported: it sets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.documents import OnOff, StoredPolicy
from coordinator.engine.layout import FleetPaths, decode_segment, encode_segment
from coordinator.engine.steps import Damaged, Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.keys import DEFAULT_TOPIC_KINDS, SEPARATORS, WorkKey
from coordinator.limits import DEFAULT_MAX_ATTEMPTS, MAX_POLICIES
from coordinator.model import Policy, PolicyList, Repeat, Similar

__all__ = [
    "BUILT_IN",
    "DEFAULTS",
    "NO_POLICY",
    "PolicyBook",
    "RepeatingBook",
    "WorkPolicy",
    "below",
    "matches",
    "over",
    "patterns_of",
    "policy_at",
    "read_policies",
]

#: What holds where no policy says anything else.
DEFAULTS = Policy("", repeat=Repeat.NEVER, max_attempts=DEFAULT_MAX_ATTEMPTS, loose_ends=True, similar=Similar.OFF)
#: A lock is taken again and again, and so is recurring work: to complete either must not close it for ever.
BUILT_IN = tuple(Policy(kind, repeat=Repeat.ALWAYS, loose_ends=False, built_in=True) for kind in ("lock", "recurring"))


@dataclass(frozen=True, slots=True)
class WorkPolicy:
    """What the policies amount to for one work key; each pattern is where the field before it comes from.

    ``repeat_after`` is how many seconds after its completion finished work may be claimed again: 0 for always, None for
    never. ``max_live`` is how many claims may be live of all work that ``live_pattern`` matches; None means any number.
    ``similar`` is whether a claim looks for the same work under other names; ``similar_pattern`` says so.
    """

    repeat_after: float | None = None
    repeat_pattern: str = ""
    max_live: int | None = None
    live_pattern: str = ""
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    loose_ends: bool = True
    similar: Similar = Similar.OFF
    similar_pattern: str = ""

    def cooldown(self, completed_at: datetime | None, now: datetime) -> float:
        """Return for how many seconds it must not be repeated yet; never more than the policy's time, 0 for never."""
        if not self.repeat_after or completed_at is None:
            return 0.0
        # Not by a time in the future, which may lie beyond the calendar where a clock was wrong.
        left = (completed_at - now).total_seconds() + self.repeat_after
        return min(max(0.0, left), self.repeat_after)

    def may_repeat(self, completed_at: datetime | None, now: datetime) -> bool:
        """Return whether finished work may be claimed again by now."""
        return self.repeat_after is not None and not self.cooldown(completed_at, now)


NO_POLICY = WorkPolicy()


def patterns_of(work_key: WorkKey | str) -> Iterator[str]:
    """Return all patterns that match a work key, the longest first: itself, and last its kind."""
    text = str(work_key)
    yield text
    for place in range(len(text) - 1, 0, -1):
        if text[place] in _separators(text):
            yield text[:place]


def matches(pattern: str, work_key: WorkKey | str) -> bool:
    """Return whether a pattern matches a work key."""
    text = str(work_key)
    return text.startswith(pattern) and (len(text) == len(pattern) or text[len(pattern)] in _separators(text))


def _separators(text: str) -> str:
    """Return what separates the segments of a work key or pattern: epics of GitLab are ``group&12``, tasks ``r&d``."""
    return f"{SEPARATORS}&" if text.startswith("gitlab:") else SEPARATORS


def below(pattern: str) -> Callable[[bytes], bool]:
    """Return what says whether the pattern matches the work key of a key of the store that ends in it."""
    prefix = encode_segment(pattern).encode()
    # A kind matches all keys behind its colon, and no pattern ends within a kind.
    separators = tuple(encode_segment(separator).encode() for separator in _separators(pattern))

    def is_below(key: bytes) -> bool:
        segment = key.rpartition(b"/")[2]
        rest = segment[len(prefix) :]
        return segment.startswith(prefix) and (not rest or rest.startswith(separators))

    return is_below


class PolicyBook:
    """The policies of one fleet: those that were set, and the built-in ones.

    For ``topic_kinds`` claims tell by themselves what is similar.
    """

    def __init__(self, policies: Iterable[Policy] = (), topic_kinds: Collection[str] = DEFAULT_TOPIC_KINDS) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: policy.pattern))
        self.topic_kinds = topic_kinds
        telling = (Policy(kind, similar=Similar.TELL, built_in=True) for kind in sorted(topic_kinds))
        self._by_pattern = {policy.pattern: policy for policy in telling}
        for policy in BUILT_IN:
            self._by_pattern[policy.pattern] = over(policy, self._by_pattern.get(policy.pattern))
        self._built_in = tuple(self._by_pattern.values())
        for policy in self.policies:
            self._by_pattern[policy.pattern] = over(policy, self._by_pattern.get(policy.pattern))
        self._kinds = frozenset(pattern.partition(":")[0] for pattern in self._by_pattern)
        self._lookers = frozenset(
            pattern.partition(":")[0]
            for pattern, policy in self._by_pattern.items()
            if policy.similar not in (None, Similar.OFF)
        )

    def of(self, work_key: WorkKey) -> WorkPolicy:
        """Return what holds for a work key."""
        if work_key.kind not in self._kinds:
            return NO_POLICY
        found = [policy for pattern in patterns_of(work_key) if (policy := self._by_pattern.get(pattern)) is not None]
        repeat = next((policy for policy in found if policy.repeat is not None), DEFAULTS)
        live = next((policy for policy in found if policy.max_live is not None), DEFAULTS)
        attempts = next((policy.max_attempts for policy in found if policy.max_attempts is not None), None)
        loose_ends = next((policy.loose_ends for policy in found if policy.loose_ends is not None), True)
        similar = next((policy for policy in found if policy.similar is not None), DEFAULTS)
        return WorkPolicy(
            repeat_after=_repeat_after(repeat),
            repeat_pattern=repeat.pattern,
            max_live=live.max_live,
            live_pattern=live.pattern,
            max_attempts=DEFAULT_MAX_ATTEMPTS if attempts is None else attempts,
            loose_ends=loose_ends,
            similar=similar.similar or Similar.OFF,
            similar_pattern=similar.pattern,
        )

    @property
    def kinds_with_similar(self) -> frozenset[str]:
        """The kinds of which any work looks for the same work under other names."""
        return self._lookers

    def listed(self) -> PolicyList:
        """Return all of them, the built-in ones first, and what holds where none says anything else."""
        return PolicyList((*self._built_in, *self.policies), DEFAULTS)


class RepeatingBook(PolicyBook):
    """The policies of ``book``, but for when finished work may be repeated: ``seconds`` after its completion."""

    def __init__(self, book: PolicyBook, seconds: float) -> None:
        super().__init__(book.policies, book.topic_kinds)
        self._seconds = seconds

    def of(self, work_key: WorkKey) -> WorkPolicy:
        """Return what holds for a work key."""
        return replace(super().of(work_key), repeat_after=self._seconds, repeat_pattern="")


def read_policies(paths: FleetPaths, topic_kinds: Collection[str] = DEFAULT_TOPIC_KINDS) -> Operation[PolicyBook]:
    """Read the policies of a fleet; ``topic_kinds`` are those of the coordinator."""
    prefix = paths.prefix("policy")
    # A few more than are let in may be there: two operators may set the last ones at the same time.
    reply = yield from commit(Txn((), (Range(prefix, end_of_prefix(prefix), limit=2 * MAX_POLICIES),)))
    found = []
    for kv in reply.range(0).kvs:
        policy = yield from policy_at(kv, prefix)
        if policy is not None:
            found.append(policy)
    return PolicyBook(found, topic_kinds)


def over(policy: Policy, below: Policy | None) -> Policy:
    """Return a policy with the fields of another one where it has none itself."""
    if below is None:
        return policy
    repeat = policy if policy.repeat is not None else below
    return policy._replace(
        repeat=repeat.repeat,
        repeat_after_seconds=repeat.repeat_after_seconds,
        max_live=below.max_live if policy.max_live is None else policy.max_live,
        max_attempts=below.max_attempts if policy.max_attempts is None else policy.max_attempts,
        loose_ends=below.loose_ends if policy.loose_ends is None else policy.loose_ends,
        similar=below.similar if policy.similar is None else policy.similar,
    )


def _repeat_after(policy: Policy) -> float | None:
    if policy.repeat is Repeat.AFTER:
        return policy.repeat_after_seconds
    return 0.0 if policy.repeat is Repeat.ALWAYS else None


def policy_at(kv: KeyValue, prefix: bytes) -> Operation[Policy | None]:
    """Return the policy that a key below ``prefix``, that of the table, holds; None where it cannot be read."""
    segment = kv.key.removeprefix(prefix).decode(errors="replace")
    pattern = decode_segment(segment)
    if encode_segment(pattern) != segment:
        yield Damaged(kv.key, "not a pattern")
        return None
    stored = yield from decode(StoredPolicy, kv)
    if stored is None:
        return None
    return Policy(
        pattern=pattern,
        repeat=stored.repeat,
        repeat_after_seconds=stored.repeat_after,
        max_live=stored.max_live,
        max_attempts=stored.max_attempts,
        loose_ends=None if stored.loose_ends is None else stored.loose_ends is OnOff.ON,
        similar=stored.similar,
    )
