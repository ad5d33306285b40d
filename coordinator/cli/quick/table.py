# Generated from the commands by scripts/quick_table.py; do not edit.
"""What the quick way takes and says, read from the full command."""

# ruff: noqa: E501  # sentences as they are
from __future__ import annotations

__all__ = [
    "AGENT_VARIABLES",
    "BECAME",
    "BRIEF",
    "BRIEF_HEAD",
    "BRIEF_LINE",
    "CAUSES",
    "CLAIMED",
    "CLAIM_OBJECT",
    "COMMON",
    "COMPLETED",
    "DENIAL_OBJECT",
    "DENIAL_REASONS",
    "DONE",
    "HELD",
    "HINT_DONE",
    "HINT_HELD",
    "HINT_NOTHING",
    "HINT_OTHERS",
    "HINT_OWN",
    "HINT_SHARED",
    "KNOWN_KINDS",
    "MOST_CANDIDATES",
    "MOST_FLEET",
    "MOST_KEY",
    "MOST_LINES",
    "MOST_OF_BLOCK",
    "MOST_OF_LINE",
    "MOST_SESSION",
    "NEW_FLEET",
    "NEXT_OBJECT",
    "NOTHING",
    "NOTHING_FREE",
    "NOTHING_OBJECT",
    "OPTIONS",
    "OUTCOMES",
    "PASSED_OVER",
    "RECORD_OBJECT",
    "RELEASED",
    "SESSION_VARIABLES",
    "SETTINGS",
    "SKIPPED_OBJECT",
    "SKIP_REASONS",
    "STATES",
    "TIMEOUT_RANGE",
    "TTL_RANGE",
    "UNITS",
]

COMMON = {
    "--ca": ("ca", True),
    "--cert": ("cert", True),
    "--endpoint": ("endpoint", True),
    "--fleet": ("fleet", True),
    "--json": ("json", False),
    "--key": ("key", True),
    "--repo": ("repo", True),
    "--timeout": ("timeout", True),
    "--tls": ("tls", True),
    "--token-file": ("token_file", True),
    "--verbose": ("verbose", False),
}
OPTIONS = {
    "work-claim": {
        "--agent": ("session", True),
        "--note": ("note", True),
        "--reopen": ("reopen", False),
        "--request-id": ("request_id", True),
        "--session": ("session", True),
        "--token": ("token", True),
        "--ttl": ("ttl", True),
    },
    "work-renew": {
        "--agent": ("session", True),
        "--note": ("note", True),
        "--request-id": ("request_id", True),
        "--session": ("session", True),
        "--token": ("token", True),
        "--ttl": ("ttl", True),
    },
    "work-complete": {
        "--agent": ("session", True),
        "--request-id": ("request_id", True),
        "--result": ("result", True),
        "--session": ("session", True),
        "--token": ("token", True),
    },
    "work-abandon": {
        "--agent": ("session", True),
        "--reason": ("reason", True),
        "--request-id": ("request_id", True),
        "--session": ("session", True),
        "--token": ("token", True),
    },
    "work-next": {
        "--agent": ("session", True),
        "--note": ("note", True),
        "--request-id": ("request_id", True),
        "--session": ("session", True),
        "--ttl": ("ttl", True),
    },
}
SETTINGS = {
    "endpoint": ("COORDINATION_ENDPOINT", "127.0.0.1:7420"),
    "fleet": ("COORDINATION_FLEET", "default"),
    "repo": ("COORDINATION_REPO", ""),
    "timeout": ("COORDINATION_TIMEOUT", "5"),
    "token_file": ("COORDINATION_TOKEN_FILE", ""),
    "tls": ("COORDINATION_TLS", "auto"),
    "ca": ("COORDINATION_CA", ""),
    "cert": ("COORDINATION_CERT", ""),
    "key": ("COORDINATION_CERT_KEY", ""),
}
SESSION_VARIABLES = ("COORDINATION_SESSION", "CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID")
AGENT_VARIABLES = ("CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID")
KNOWN_KINDS = (
    "bb",
    "bitbucket",
    "blog",
    "codeberg",
    "forgejo",
    "gh",
    "gitea",
    "github",
    "gitlab",
    "gl",
    "idea",
    "jira",
    "linear",
    "lock",
    "recurring",
    "research",
    "task",
    "topic",
    "url",
)
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
TTL_RANGE = (5.0, 604800.0)
TIMEOUT_RANGE = (0.05, 3600.0)
MOST_CANDIDATES = 1000
MOST_SESSION = 128
MOST_FLEET = 63
MOST_KEY = 512
MOST_OF_LINE = 160
MOST_OF_BLOCK = 4000
MOST_LINES = 60
STATES = {1: "available", 2: "claimed", 3: "completed", 4: "abandoned"}
CAUSES = {1: "expired", 2: "released", 3: "revoked"}
OUTCOMES = {1: "granted", 2: "renewed", 3: "denied"}
DENIAL_REASONS = {1: "held", 2: "completed", 3: "cooldown", 4: "limit", 5: "similar"}
SKIP_REASONS = {
    1: "held",
    2: "completed",
    3: "cooldown",
    4: "limit",
    5: "similar",
    6: "own",
    7: "blocked",
    8: "returned",
    9: "failed",
}
NOTHING_FREE = {1: "empty", 2: "held", 3: "blocked", 4: "failed"}
CLAIMED = {
    "granted": "claimed %(work_key)s (expires in %(remaining_seconds)s)\n",
    "renewed": "renewed %(work_key)s (expires in %(remaining_seconds)s)\n",
}
PASSED_OVER = "  passed over: %(counts)s\n"
BRIEF = '  brief by the session that submitted it: "%(brief)s"\n'
BRIEF_HEAD = "  brief by the session that submitted it:\n"
BRIEF_LINE = "    | %(brief)s\n"
HELD = {
    (False, False): "DENIED: already claimed by %(holder)s\n",
    (False, True): "DENIED: already claimed by %(holder)s (expires %(expires_at)s)\n",
    (True, False): "DENIED: already claimed by another process of your own session %(holder)s\n",
    (
        True,
        True,
    ): "DENIED: already claimed by another process of your own session %(holder)s (expires %(expires_at)s)\n",
}
DONE = {
    False: "DENIED: already completed by %(completed_by)s\n",
    True: "DENIED: already completed by %(completed_by)s (%(completed_at)s)\n",
}
COMPLETED = {
    False: "completed %(work_key)s\n",
    True: "completed %(work_key)s (late: the claim had expired, and no session had claimed it since)\n",
}
RELEASED = {
    "abandoned": "abandoned %(work_key)s\n",
    "completed": "abandoned %(work_key)s (it stays completed, as it was before it was reopened)\n",
}
HINT_HELD = (
    "hint: choose other work; `coordination work-list --state abandoned` shows what others have left unfinished\n"
)
HINT_OWN = "hint: choose other work: another process of this session is at it\n"
HINT_SHARED = (
    "hint: choose other work: another agent of this session may be at it, as sub-agents share the session of "
    "%(variable)s; what you have claimed yourself, renew with work-renew\n"
)
HINT_DONE = "hint: choose other work\n"
HINT_OTHERS = "hint: choose other work; abandoned and free: %(others)s\n"
NOTHING = "DENIED: %(why)s\n"
HINT_NOTHING = "hint: %(next)s\n"
BECAME = "%(typed_key)s → %(work_key)s\n"
NEW_FLEET = "notice: fleet '%(fleet)s' is new; `coordination fleets` lists those that are in use\n"
CLAIM_OBJECT = (
    '{"schema": "v1", "fleet": %(fleet)s, "outcome": %(outcome)s, "work_key": %(work_key)s, "typed_key": %(typed_key)s, '
    '"claim": {"work_key": %(work_key)s, "kind": %(kind)s, "session": %(session)s, "attempt": %(attempt)s, '
    '"fencing_token": %(fencing_token)s, "ttl_seconds": %(ttl_seconds)s, "claimed_at": %(claimed_at)s, "expires_at": '
    '%(expires_at)s, "remaining_seconds": %(remaining_seconds)s, "note": %(note)s}, "denial": null, "previous": null, '
    '"alternatives": [], "brief": %(brief)s, "blocked_by": [], "waited_seconds": null, "similar": [], '
    '"similar_unknown": false}\n'
)
DENIAL_OBJECT = (
    '{"schema": "v1", "fleet": %(fleet)s, "outcome": "denied", "work_key": %(work_key)s, "typed_key": %(typed_key)s, '
    '"claim": null, "denial": {"reason": %(denied_for)s, "holder": %(holder)s, "own_session": %(own_session)s, '
    '"completed_by": %(completed_by)s, "expires_at": %(expires_at)s, "completed_at": %(completed_at)s, '
    '"retry_after_seconds": %(retry_after_seconds)s, "policy": %(policy)s}, "previous": null, "alternatives": '
    '%(others)s, "brief": null, "blocked_by": [], "waited_seconds": null, "similar": [], "similar_unknown": false}\n'
)
NEXT_OBJECT = (
    '{"schema": "v1", "fleet": %(fleet)s, "outcome": %(outcome)s, "work_key": %(work_key)s, "typed_key": %(typed_key)s, '
    '"place": %(place)s, "claim": {"work_key": %(work_key)s, "kind": %(kind)s, "session": %(session)s, "attempt": '
    '%(attempt)s, "fencing_token": %(fencing_token)s, "ttl_seconds": %(ttl_seconds)s, "claimed_at": %(claimed_at)s, '
    '"expires_at": %(expires_at)s, "remaining_seconds": %(remaining_seconds)s, "note": %(note)s}, "previous": null, '
    '"brief": %(brief)s, "blocked_by": [], "skipped": %(skipped)s, "skipped_counts": %(counts)s, "also_held": '
    '%(also_held)s, "nothing_free": null, "retry_after_seconds": null, "waited_seconds": null, "similar": [], '
    '"similar_unknown": false}\n'
)
NOTHING_OBJECT = (
    '{"schema": "v1", "fleet": %(fleet)s, "outcome": "denied", "work_key": null, "typed_key": null, "place": %(place)s, '
    '"claim": null, "previous": null, "brief": null, "blocked_by": [], "skipped": %(skipped)s, "skipped_counts": '
    '%(counts)s, "also_held": %(also_held)s, "nothing_free": %(nothing_free)s, "retry_after_seconds": '
    '%(retry_after_seconds)s, "waited_seconds": null, "similar": [], "similar_unknown": false}\n'
)
SKIPPED_OBJECT = (
    '{"work_key": %(work_key)s, "reason": %(skipped_for)s, "holder": %(holder)s, "expires_at": %(expires_at)s}'
)
RECORD_OBJECT = (
    '{"schema": "v1", "fleet": %(fleet)s, "work_key": %(work_key)s, "kind": %(kind)s, "state": %(state)s, "session": '
    '%(session)s, "attempt": %(attempt)s, "fencing_token": %(fencing_token)s, "cause": %(cause)s, "reason": %(reason)s, '
    '"result": %(result)s, "note": %(note)s, "claimed_at": %(claimed_at)s, "expires_at": %(expires_at)s, "ended_at": '
    '%(ended_at)s, "late": %(late)s, "acknowledged_at": %(acknowledged_at)s, "acknowledged_reason": '
    "%(acknowledged_reason)s}\n"
)
