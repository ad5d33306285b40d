"""Directions: which of two things work goes from, and which it goes to; and words that say the opposite.

Invariant: "a to b" and "b to a" are never taken for the same work, in whatever way it is said: "from b to a",
"a from b", "a into b", "a -> b", "replace a with b", "b instead of a", "a before b", "b after a".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from coordinator.engine.topics.stems import stem
from coordinator.engine.topics.vocabulary import lines_of, words_in

__all__ = [
    "NO_DIRECTION",
    "Direction",
    "Item",
    "direction_of",
    "is_number",
    "marker_of",
    "opposed",
    "opposites_of",
]


class Item(NamedTuple):
    """What stands at a place of a title: a ``stem`` or number; or, with an empty one, a ``marker``.

    Markers: ">" before what work goes to, "<" before what it comes from, "><" between the two, as "instead of" is; ""
    for any other word that is left out.
    """

    stem: str
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Direction:
    """What work goes to, its ``goals``, and from, its ``sources``; by stem.

    ``stated``: that the sources are such is said by a word before them, and not only by their place.
    """

    goals: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    stated: bool = False


NO_DIRECTION = Direction()

_MARKERS = {
    **dict.fromkeys(("to", "into", "onto", "toward", "towards", "before"), ">"),
    **dict.fromkeys(("from", "after"), "<"),
}
#: Behind these verbs "with", "by" and "for" stand before what work goes to.
_EXCHANGES = {
    "replac": ("with", "by"), "substitut": ("with", "by"), "swap": ("for", "with"), "depend": ("on", "upon"),
}  # fmt: skip
#: Two words that are a marker together.
_PAIRS = {
    ("instead", "of"): "><",
    ("rather", "than"): "><",
    ("out", "of"): "<",
    ("favor", "of"): ">",
    ("favour", "of"): ">",
}
#: What is done is neither where it goes nor where it comes from.
_DEEDS = frozenset(
    map(
        stem,
        words_in(
            """
            convert migrate move port transition switch upgrade transfer translate transform copy synchronize add change
            make replace swap substitute depend import export rewrite send write read map bind pipe forward merge
            """
        ),
    )
)

#: Words that are kept and stand in markers of two words; and "use", as in "use a instead of b".
_FILLERS = frozenset(map(stem, ("instead", "rather", "out", "favor", "use")))

_OPPOSITES = """
import: export
include: exclude
upload: download
enable: disable
add, insert, create, introduce: remove, delete, drop
install: uninstall
encrypt: decrypt
encode: decode
serialize, marshal: deserialize, unmarshal
compress: decompress
lock: unlock
push: pull
read: write
read, get: set, put
load: save, store, dump
send: receive
start, begin: stop, end, finish
open: close
increase, raise, grow: decrease, lower, reduce, shrink
upgrade, update: downgrade
promote: demote
attach, mount: detach, unmount
connect: disconnect
subscribe, follow: unsubscribe, unfollow
register: unregister, deregister
activate: deactivate
allow, permit, grant, allowlist, whitelist: deny, forbid, block, revoke, denylist, blacklist
accept, approve: reject, decline
show, expand: hide, collapse
split: merge, join
login: logout
login: signup
optin: optout
backup: restore
publish: unpublish
pin: unpin
freeze: unfreeze, thaw
archive: unarchive
mute: unmute
ban: unban
wrap, pack: unwrap, unpack
commit: revert, rollback
rollout: rollback
startup: shutdown
input: output
inbound, incoming, ingress: outbound, outgoing, egress
upstream: downstream
producer, publisher, sender: consumer, subscriber, receiver
client: server
request: response, respond
source: sink, target
parent: child
old, previous: new, next
first: last
internal: external
public: private
local: remote
manual: automatic
maximum: minimum
synchronous, synchronize: asynchronous
forward: backward
up: down
left: right
on: off
top: bottom
before: after
light: dark
online: offline
horizontal: vertical
row: column
ascending: descending
success, succeed: fail
positive: negative
frontend: backend
with: without
single: multiple
hot: cold
strict: lenient, loose
required, mandatory: optional
static: dynamic
pre: post
inner: outer
prepend: append
prefix: suffix
push: pop
escape: unescape
follow: lead
staging, test, development: production
production: test, development, staging
staging: test, development
ios: android
linux: windows, macos
windows: macos
mac: windows, linux
chrome: firefox, safari
firefox: safari
postgres: mysql, sqlite, mongodb
mysql: sqlite, mongodb
unit: integration, e2e
integration: e2e
daily: weekly, monthly, hourly, yearly
weekly: monthly, yearly, hourly
monthly: yearly, quarterly
"""
_AXES = tuple(
    (frozenset(map(stem, left.split(", "))), frozenset(stem(word) for word in right))
    for left, right in lines_of(_OPPOSITES)
)
_OPPOSITE: dict[str, frozenset[str]] = {}
for _one, _other in _AXES:
    for _these, _those in ((_one, _other), (_other, _one)):
        for _word in _these:
            _OPPOSITE[_word] = _OPPOSITE.get(_word, frozenset()) | _those
_NONE: frozenset[str] = frozenset()
#: Shorter stems are not negated: "into" is no negation of "to".
_NEGATED_CHARACTERS = 3
#: How many stems are remembered with their opposites.
_REMEMBERED = 16_384
_NEGATIONS = ("un", "de", "dis", "non", "in", "im", "mis")


def is_number(stem_or_number: str) -> bool:
    """Return whether what stands at a place of a title is a number; no word begins with a digit."""
    return stem_or_number[:1].isdigit()


def marker_of(words: Sequence[str], at: int, stems: Iterable[str]) -> str:
    """Return what kind of marker a word that is left out is; ``stems`` are those before it."""
    word = words[at]
    if word in _MARKERS:
        return _MARKERS[word]
    if at and (words[at - 1], word) in _PAIRS:
        return _PAIRS[words[at - 1], word]
    return ">" if any(word in _EXCHANGES.get(before, ()) for before in stems) else ""


def direction_of(items: Sequence[Item]) -> Direction:
    """Return the direction of a title by its items."""
    goals: set[str] = set()
    stated: set[str] = set()
    implied: set[str] = set()
    for at, item in enumerate(items):
        if item.stem or not item.marker:
            continue
        behind = {other.stem for other in takewhile(lambda other: other.stem, items[at + 1 :])} - _DEEDS
        before = {other.stem for other in takewhile(lambda other: other.stem, items[at - 1 :: -1] if at else ())}
        if item.marker == ">":
            goals |= behind
            implied |= before
        else:
            stated |= behind
            goals |= before - _DEEDS - _FILLERS if item.marker == "><" else set()
    if not goals and not stated:
        return NO_DIRECTION
    sources = stated or implied - _DEEDS
    if goals and not stated and all(map(is_number, goals)) and not any(map(is_number, sources)):
        return NO_DIRECTION  # "upgrade Kubernetes to 1.29" moves nothing away from Kubernetes
    return Direction(frozenset(goals), frozenset(sources), stated=bool(stated))


def opposed(one: Direction, other: Direction) -> bool:
    """Return whether two directions are opposite: what one goes to, the other comes from."""
    if one is NO_DIRECTION or other is NO_DIRECTION:
        return False
    there = (one.goals - one.sources) & (other.sources - other.goals)
    back = (other.goals - other.sources) & (one.sources - one.goals)
    return bool((there and back) or (there and other.stated) or (back and one.stated))


@lru_cache(maxsize=_REMEMBERED)
def opposites_of(word: str) -> frozenset[str]:
    """Return the stems that say the opposite of a stem: those that are listed, and those that differ in a negation.

    So of "lock", "unlock" is one; most of the latter are no words.
    """
    longer = {negation + word for negation in _NEGATIONS}
    shorter = {word.removeprefix(negation) for negation in _NEGATIONS} - {word}
    return _OPPOSITE.get(word, _NONE) | longer | {other for other in shorter if len(other) >= _NEGATED_CHARACTERS}
