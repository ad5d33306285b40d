"""Which credential may call what, in one table and one function.

Invariants: a method without a rule is refused to every caller. A call that acts as a session is refused unless its
credential grants that session, and every call unless it grants the fleet. What an operator has sent is withdrawn by
operators only. No answer to a caller, and nothing in the log, holds a token or says whether a refused one was unknown,
expired or malformed.

A token is looked up by its SHA-256 digest. That needs no comparison in constant time: what the time of a look-up could
give away is how a digest begins, and it is not feasible to choose tokens by the beginning of their digests often enough
to find another's 256 random bits. The digest is most of what a call costs, a few microseconds.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from coordinator.errors import PermissionDenied, Unauthenticated
from coordinator.logs.audit import subject_of
from coordinator.logs.format import said
from coordinator.names import DEFAULT_FLEET, is_session
from coordinator.quotation import quoted
from coordinator.security.credential_grants import Grant, Role
from coordinator.security.tokens_file import Credentials
from coordinator.service.access.certificate_names import names_of
from coordinator.service.access.streams import GuardedStreams

__all__ = ["RULES", "Authorizer", "Rule"]

_LOG = logging.getLogger(__name__)
#: Under which name gRPC has the certificate that a client has shown, once it has checked it.
_PEM = "x509_pem_cert"


class Rule(NamedTuple):
    """What a call needs beside a credential that grants its fleet.

    ``as_session``: the credential must grant the session that the request names, because the call acts as it. Where
    this is False, a session in the request is only a filter. ``any_session``: it must grant at least one, because the
    call writes; one that grants none only reads.
    """

    role: Role
    as_session: bool
    any_session: bool = False


_ACTING = Rule(Role.AGENT, as_session=True)
_READING = Rule(Role.AGENT, as_session=False)
_TIDYING = Rule(Role.AGENT, as_session=False, any_session=True)
_OPERATING = Rule(Role.OPERATOR, as_session=False)

#: Every method of the service; for Withdraw and Submit see ``_rule_of``. Reap and Acknowledge are agents' calls: the
#: first records only what has happened already, the second hides a loose end from briefings, and neither takes anything
#: from a live claim.
RULES: dict[str, Rule] = {
    "Claim": _ACTING,
    "ClaimMany": _ACTING,
    "ClaimNext": _ACTING,
    "Renew": _ACTING,
    "RenewMany": _ACTING,
    "Complete": _ACTING,
    "Release": _ACTING,
    "Submit": _ACTING,
    "Withdraw": _ACTING,
    "Get": _READING,
    "FindSimilar": _READING,
    "List": _READING,
    "ListPool": _READING,
    "Watch": _READING,
    "Briefing": _READING,
    "Hot": _READING,
    "Log": _READING,
    "ListFleets": _READING,
    "Status": _READING,
    "Diagnose": _READING,
    "Reap": _TIDYING,
    "Acknowledge": _TIDYING,
    "Revoke": _OPERATING,
    "Reopen": _OPERATING,
    "Import": _OPERATING,
    "ListPolicies": _READING,
    "SetPolicy": _OPERATING,
    "UnsetPolicy": _OPERATING,
}


class Authorizer:
    """Decides for each call. ``credentials`` returns what is granted now, ``clock`` the seconds since 1970."""

    def __init__(self, credentials: Callable[[], Credentials], *, clock: Callable[[], float] = time.time) -> None:
        self._credentials = credentials
        self._clock = clock
        self._streams = GuardedStreams(self.admit)

    def admit(self, method: str, request: Any, context: Any) -> Grant:
        """Return the grant by which the call is permitted; raises ``Unauthenticated`` or ``PermissionDenied``."""
        grant = self.identify(context)
        rule = _rule_of(method, request)
        if rule is None:
            raise PermissionDenied(f"this coordinator has no rule for {method}, so it may not be called")
        _check_fleet(grant, request.fleet or DEFAULT_FLEET)
        if rule.as_session:
            _check_session(grant, request.session)
        if rule.any_session and not grant.sessions and grant.role is not Role.OPERATOR:
            raise PermissionDenied(
                f"{method} writes, and credential {grant.name!r} may act as no session, so that it may only read",
                hint="use a credential that grants a session",
            )
        if rule.role is Role.OPERATOR:
            _check_operator(grant, "Withdraw without a session" if method == "Withdraw" else method)
            _LOG.info("operator", extra=said(method=method, credential=grant.name, **subject_of(request)))
        return grant

    def guard_stream(self, method: str, behaviour: Any) -> Any:
        """Return the behaviour of a streaming method, admitted when it begins and as long as it goes on."""
        return self._streams.guard(method, behaviour)

    def recheck(self) -> None:
        """End the streams that are no longer permitted."""
        self._streams.recheck()

    def identify(self, context: Any) -> Grant:
        """Return the grant of the credential that a call carries; raises ``Unauthenticated``.

        A token counts before a certificate: a wrong token is refused even on a connection with a good certificate.
        """
        credentials = self._credentials()
        grant = None
        header = next((value for key, value in context.invocation_metadata() or () if key == "authorization"), None)
        if header is not None:
            grant = credentials.by_digest.get(_digest(header))
        elif credentials.by_certificate:
            grant = _of_certificate(credentials, context.auth_context())
        if grant is None or (grant.expires_at is not None and self._clock() >= grant.expires_at):
            raise Unauthenticated(
                "the call carries no valid credential",
                hint="give a token that is valid with --token-file or COORDINATION_TOKEN_FILE, "
                "or a client certificate that is known here with --cert and --key",
            )
        return grant


def _rule_of(method: str, request: Any) -> Rule | None:
    """Return what a call needs: a withdrawal without a session needs what the calls do that it withdraws.

    To put work back is for operators, whichever call does it.
    """
    if method == "Submit" and any(item.reopen for item in request.items):
        return Rule(Role.OPERATOR, as_session=True)
    if method == "Withdraw" and not request.session:
        return _TIDYING if request.acknowledgements else _OPERATING
    return RULES.get(method)


def _digest(header: str | bytes) -> bytes:
    scheme, _, token = (header if isinstance(header, bytes) else header.encode()).partition(b" ")
    return hashlib.sha256(token.strip()).digest() if scheme.lower() == b"bearer" else b""


def _of_certificate(credentials: Credentials, peer: dict[str, Any]) -> Grant | None:
    """Return what is granted to a client's certificate: its common name is looked up first, then its other names."""
    found = (credentials.by_certificate.get(name) for pem in peer.get(_PEM) or () for name in names_of(pem))
    return next((grant for grant in found if grant is not None), None)


def _check_fleet(grant: Grant, fleet: str) -> None:
    if not grant.fleets.match(fleet):
        raise PermissionDenied(
            f"credential {grant.name!r} may not use the fleet {_shorten(fleet)}; its fleets: {grant.fleets}",
            field="fleet",
            hint="name another fleet, or ask the administrator who keeps the coordinator's tokens file",
        )


def _check_session(grant: Grant, session: str) -> None:
    if not grant.sessions.match(session):
        raise PermissionDenied(
            f"credential {grant.name!r} may not act as session {_shorten(session)}; its sessions: {grant.sessions}",
            field="session",
            hint="name another session, or ask the administrator who keeps the coordinator's tokens file",
        )


def _check_operator(grant: Grant, method: str) -> None:
    if grant.role is not Role.OPERATOR:
        raise PermissionDenied(
            f"{method} is for operators; credential {grant.name!r} is an {grant.role}'s",
            hint="ask an operator to do it",
        )


def _shorten(name: str) -> str:
    return repr(name) if is_session(name) else quoted(name, 64)
