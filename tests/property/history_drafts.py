"""What is drawn: requests before it is known what they meet.

What is drawn never depends on what came out, so that a history can be replayed and shrunk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.property.history_world import REPLICAS

SESSIONS = ("session-1", "session-2", "session-3")
HOUR_MS = 3_600_000


class Draft(NamedTuple):
    """A request before it is known what it meets. ``session`` None is the holder of the work, or its last one."""

    verb: str
    session: str | None = None
    instance: str = ""
    naming: str = "no token"
    ttl: float | None = None
    text: str = ""
    reopen: bool = False
    min_age: float = 0.0
    back: int = 0
    replica: int = 0


_REPLICA = st.integers(0, REPLICAS - 1)
_TEXT = st.sampled_from(("", "half way", "no database"))
_TTL = st.sampled_from((None, 60.0, 1800.0, 7200.0))
_NAMING = st.sampled_from(("no token", "no token", "its token", "a stale token"))
_HOLDER = st.sampled_from((*SESSIONS, None, None, None))
_WHO = {
    "session": st.sampled_from((*SESSIONS, None)),
    "instance": st.sampled_from(("", "", "i1", "i2")),
    "naming": _NAMING,
}


def _drafts(*verbs: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Draft]:
    # Not builds(): it draws what has a default, too.
    fields = {"verb": st.sampled_from(verbs), "replica": _REPLICA, **more}
    return st.fixed_dictionaries(fields).map(lambda drawn: Draft(**drawn))


_CLAIMS = _drafts("claim", **_WHO, ttl=_TTL, text=_TEXT, reopen=st.booleans())
#: As often as they stand here; one_of() would take the same strategy only once.
DRAFTS = st.sampled_from(
    (
        *4 * [_CLAIMS],
        *2
        * [
            _drafts(
                "renew", **_WHO | {"session": _HOLDER}, ttl=_TTL, text=st.sampled_from(("", "half way", "unchanged"))
            )
        ],
        *2 * [_drafts("complete", session=_HOLDER, naming=_NAMING, text=_TEXT)],
        *2 * [_drafts("release", session=_HOLDER, naming=_NAMING, text=_TEXT)],
        *2 * [_drafts("withdraw", back=st.integers(0, 3), naming=_NAMING)],
        _drafts("revoke", text=_TEXT),
        _drafts("reap", min_age=st.sampled_from((0.0, 0.0, 3600.0))),
        _drafts("expire"),
        *2 * [_drafts("again", back=st.integers(0, 9))],
        _drafts("get"),
    )
).flatmap(lambda drafts: drafts)
#: One key is asked for more often than the others.
KEY = st.sampled_from((0, 0, 0, 1, 2))
#: Milliseconds from one step to the next.
PASSING = st.sampled_from((0, 1, 1, 1500, HOUR_MS, 3 * HOUR_MS))
