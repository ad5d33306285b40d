"""The requests of the quick way, as the client makes them; the numbers of their fields are in ``service.proto``.

Invariant: a request is, field by field, the one that the full command sends for the same arguments. So a call can be
taken over by the full command at any time.
"""

from __future__ import annotations

import os

from coordinator.cli.quick.arguments import Asked, read_ttl
from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.protobuf import bytes_field, duration_field, number_field, text_field
from coordinator.cli.quick.session import Acting, check_key, find_acting, find_session
from coordinator.cli.quick.settings import variable
from coordinator.cli.quick.table import MOST_CANDIDATES

__all__ = ["METHODS", "Request", "make_request"]

#: What the commands call.
METHODS = {
    "work-claim": "Claim",
    "work-renew": "Renew",
    "work-complete": "Complete",
    "work-abandon": "Release",
    "work-next": "ClaimNext",
}


class Request:
    """A request: what is called, with what, and who acts."""

    def __init__(self, method: str, message: bytes, acting: Acting, request_id: str, instance: str) -> None:
        self.method, self.message, self.acting = method, message, acting
        self.request_id, self.instance = request_id, instance


def make_request(asked: Asked, fleet: str) -> Request:
    """Return the request of a command; raises ``NotQuick``."""
    verb, method = asked.verb, METHODS[asked.verb]
    request_id = asked.text("request_id") or os.urandom(16).hex()
    instance = variable("COORDINATION_INSTANCE") or ""
    session = asked.text("session")
    candidates: list[str] = []
    if verb == "work-next":
        name, shared_by = find_session(session)
        acting = Acting(name, "", shared_by)
        candidates = [check_key(word) for word in asked.words]
        if len(candidates) > MOST_CANDIDATES:
            raise NotQuick("there are too many candidates")
    else:
        acting = find_acting(asked.words, session)
    if acting.shared_by and not instance and verb in ("work-claim", "work-next"):
        instance = os.urandom(16).hex()
    head = text_field(1, fleet) + text_field(2, acting.session)
    work = head + text_field(3, acting.key)
    token, note = _token(asked.text("token")), asked.text("note")
    ttl = duration_field(4, read_ttl(asked.text("ttl")))
    if method == "Claim":
        message = work + ttl + text_field(5, note or "") + number_field(6, asked.own.get("reopen") is True)
        message += text_field(7, request_id) + text_field(8, instance) + number_field(9, token)
    elif method == "Renew":
        message = work + ttl + (b"" if note is None else bytes_field(5, note.encode()))
        message += text_field(6, request_id) + text_field(7, instance) + number_field(8, token)
    elif method == "ClaimNext":
        message = head + b"".join(bytes_field(3, each.encode()) for each in candidates)
        message += ttl + text_field(5, note or "") + text_field(6, request_id) + text_field(7, instance)
        # Without work to choose from, the pool is asked.
        message += number_field(9, not candidates)
    else:
        words = asked.text("result" if method == "Complete" else "reason") or ""
        message = work + text_field(4, words) + text_field(5, request_id) + number_field(6, token)
    return Request(method, message, acting, request_id, instance)


def _token(typed: str | None) -> int:
    """Return a fencing token as it is typed, 0 for None; raises ``NotQuick``."""
    if typed is None:
        return 0
    if not typed.isascii() or not typed.isdigit() or len(typed) > 19 or not 0 < int(typed) < 2**63:
        raise NotQuick("the fencing token is not plain")
    return int(typed)
