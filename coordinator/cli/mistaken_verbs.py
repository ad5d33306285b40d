"""Verbs that people and agents type for ours: those of other trackers of work, and the plain words.

Invariant: what is suggested does what was meant. A command that is only spelt alike may do something else: ``down``,
which stops a coordinator, is not what ``done`` means.
"""

from __future__ import annotations

from coordinator.patterns import Pattern

__all__ = ["instead_of", "what_to_use"]

_MEANT = {
    "work-claim": ("claim", "take", "lock", "acquire", "start", "begin", "checkout"),
    "work-complete": ("complete", "done", "finish", "close", "resolve", "work-done", "work-finish", "work-close"),
    "work-abandon": (
        "abandon",
        "release",
        "unlock",
        "unclaim",
        "drop",
        "fail",
        "handback",
        "work-release",
        "work-fail",
    ),
    "work-renew": ("renew", "heartbeat", "extend", "touch", "note", "work-heartbeat", "work-extend", "work-note"),
    "work-next": ("next", "pick", "pop", "work-pick", "work-take"),
    "work-submit": ("submit", "add", "create", "enqueue", "push", "work-add", "work-create"),
    "work-list": ("list", "ls", "ready", "claims", "work-ls"),
    "work-show": ("show", "get", "look", "find", "who", "work-get", "work-status"),
    "work-log": ("log", "history", "work-history"),
    "work-watch": ("watch", "tail", "events", "follow"),
    "work-reap": ("reap", "sweep", "gc"),
    "work-revoke": ("revoke", "steal", "kick"),
    "work-ack": ("ack", "acknowledge", "work-acknowledge"),
    "work-reopen": ("reopen", "redo"),
    "briefing": ("brief", "summary"),
    "doctor": ("diagnose", "check", "health"),
    "up": ("init", "daemon"),
    "serve": ("server",),
}
_INSTEAD = {verb: command for command, verbs in _MEANT.items() for verb in verbs}
#: What to use for what there is not here, by the verbs of gptme-coordination and their like.
_OF_MESSAGES = (
    "there are no messages here: `work-renew KEY --note TEXT` tells those who ask for that work how far it is, and "
    "`briefing` shows what all others are at"
)
_OF_FACTS = (
    "there are no facts here: keep what others must know with the work, in `work-renew --note` or "
    "`work-complete --result`; `work-show KEY` reads it"
)
_NOTHING_LIKE = {
    **dict.fromkeys(("announce", "inbox", "send", "message", "messages", "broadcast"), _OF_MESSAGES),
    **dict.fromkeys(("fact", "facts", "fact-get", "fact-list", "fact-publish", "fact-query", "fact-set"), _OF_FACTS),
    "queue-ingest": "the pool is the queue here: `work-submit KEY --brief TEXT --priority N`",
    "queue-list": "the pool is the queue here: `work-list --available` lists it",
    "queue-stats": "the pool is the queue here: `status` counts it",
    "queue-retry": "work that failed too often is put back by `work-reopen KEY --reason TEXT`",
    "queue-discard": "work is taken out of the pool by `work-submit KEY --withdraw`",
}
_UNKNOWN = Pattern(r"No such command '(?P<verb>[^']*)'")


def instead_of(message: str) -> tuple[str, str] | None:
    """Return the verb that a message says is unknown, and the command that is meant; None if none is known."""
    found = _UNKNOWN.match(message)
    meant = _INSTEAD.get(found["verb"].casefold()) if found else None
    return (found["verb"], meant) if found and meant else None


def what_to_use(message: str) -> tuple[str, str] | None:
    """Return the verb that a message says is unknown, and what to use where no one command does what it means."""
    found = _UNKNOWN.match(message)
    hint = _NOTHING_LIKE.get(found["verb"].casefold()) if found else None
    return (found["verb"], hint) if found and hint else None
