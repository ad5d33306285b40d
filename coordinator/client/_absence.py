"""Why there is no connection to a coordinator, and what to do about it, from what gRPC reports.

Invariant: a name without an address, an address where nothing listens, one that does not answer, one that answers and
is silent, and one that speaks another protocol have messages of their own, because each needs another action.
"""

from __future__ import annotations

from coordinator.client._failover import START, Absence, Evidence
from coordinator.client._security import Security
from coordinator.net.channels import Failure
from coordinator.net.unix_sockets import UNIX
from coordinator.patterns import Pattern

__all__ = ["absence_of", "stranger_at"]

_OTHER_PORT = "name the address that a coordinator's ready line calls grpc, neither its metrics' nor etcd's"
_PROXY_STATUS = Pattern(r"http2 header with status: 50[234]")


def absence_of(details: str, endpoint: str, security: Security) -> Absence:
    """Return why there is no connection to ``endpoint``, from what gRPC reports."""
    text = details.lower()
    if endpoint.startswith(UNIX):
        from coordinator.client._absent_sockets import absence_at

        return absence_at(text, endpoint)
    return _named(text, endpoint) or _reached(text, endpoint) or _protected(text, endpoint, security) or _bare(endpoint)


def stranger_at(failure: Failure, endpoint: str) -> Absence:
    """Return what is wrong where something else than a coordinator answers at ``endpoint``."""
    if _PROXY_STATUS.search((failure.details() or "").lower()):
        return Absence(
            f"no coordinator answers behind the proxy at {endpoint}",
            "check that the coordinators behind it run, and that it forwards gRPC to them",
            Evidence.WHY_ABSENT,
        )
    return Absence(f"what answers at {endpoint} is not a coordinator", _OTHER_PORT, Evidence.WHY_ABSENT)


def _bare(endpoint: str) -> Absence:
    return Absence(f"no coordinator answers at {endpoint}")


def _named(text: str, endpoint: str) -> Absence | None:
    """Return why the name of an endpoint has no address."""
    if not any(sign in text for sign in _UNRESOLVED):
        return None
    host = endpoint.rpartition(":")[0]
    if any(sign in text for sign in _NAMELESS):
        return Absence(
            f"no coordinator answers at {endpoint}: no name server answers for the name {host}",
            "see that this host's name servers can be reached (/etc/resolv.conf), or give the coordinator's address",
        )
    return Absence(
        f"no coordinator answers at {endpoint}: the name {host} does not resolve to an address",
        "correct the name in --endpoint or COORDINATION_ENDPOINT, or give the coordinator's address",
    )


def _reached(text: str, endpoint: str) -> Absence | None:
    """Return how the attempt to connect to an address ended."""
    for signs, why, hint in _ATTEMPTS:
        if any(sign in text for sign in signs):
            # A connection that was begun may come about in time yet.
            evidence = Evidence.SLOW if "timed out" in text else Evidence.ABSENT
            return Absence(f"no coordinator answers at {endpoint}: {why}", hint, evidence)
    return None


def _protected(text: str, endpoint: str, security: Security) -> Absence | None:
    """Return why a connection was broken off; mostly the reason is TLS."""
    who = f"the coordinator at {endpoint}"
    if security.tls:
        for sign, message, hint in _REASONS:
            if sign in text:
                return Absence(message.format(who=who, endpoint=endpoint), hint, Evidence.WHY_ABSENT)
    if not any(sign in text for sign in _BROKEN_OFF):
        return None
    if not security.tls:
        return Absence(
            f"{who} closes the connection; it may require TLS, and this client does not use it",
            "give its authority's certificate with --ca or COORDINATION_CA",
            Evidence.WHY_ABSENT,
        )
    if security.cert is None:
        return Absence(
            f"{who} closes the connection; it may require a client certificate, and this client shows none",
            "give one with --cert and --key, or COORDINATION_CERT and COORDINATION_CERT_KEY",
            Evidence.WHY_ABSENT,
        )
    return Absence(
        f"{who} closes the connection; it may refuse the client certificate {security.cert}",
        "look whether it has expired, and whether its authority is the one that the coordinator has as --client-ca",
        Evidence.WHY_ABSENT,
    )


#: gRPC's words, in small letters, for a name without an address, and for one of which nothing could be found out.
_UNRESOLVED = ("errors resolving ", "dns resolution failed", "address lookup failed", "name resolution", "address list")
_NAMELESS = (
    "could not contact dns",
    "timeout while contacting dns",
    "dns server returned general",
    "temporary failure in name",
)
_BROKEN_OFF = ("socket closed", "connection reset", "endpoint closed", "broken pipe")
_FIREWALL = "see that its host is up, that the port is right, and that no firewall drops what is sent to it"
#: gRPC's words for how an attempt to connect ended, what that means, and what to do. The first that fits counts.
_ATTEMPTS = (
    (("connection refused",), "the connection is refused, so nothing listens there", START),
    (
        ("before receiving settings", "endpoint closing"),
        "something accepts the connection, but does not answer",
        "check that a coordinator runs there, and that it is not stopped or overloaded",
    ),
    (("tcp handshaker shutdown", "timed out"), "nothing answers the attempt to connect", _FIREWALL),
    (
        ("no route to host", "host is down", "host is unreachable", "network is unreachable", "network is down"),
        "there is no route to that address from this host",
        "see that its host is up and that this one is in a network that reaches it, or correct --endpoint",
    ),
    (
        ("permission denied", "operation not permitted"),
        "this host does not allow the connection",
        "see its firewall, and the sandbox of this process",
    ),
    (
        ("too many open files", "cannot assign requested address", "no buffer space", "cannot allocate memory"),
        "this process cannot open one more connection",
        "see its limits (`ulimit -n`), and close clients that are not used any more",
    ),
)

_RENEW = "renew it (`coordination certs`), and see that the clocks of both hosts are right"
#: What gRPC says (BoringSSL's words, in small letters), what it means, and what to do. The first that fits counts.
_REASONS = (
    ("certificate has expired", "the certificate of {who} has expired", _RENEW),
    ("certificate is not yet valid", "the certificate of {who} is not valid yet", _RENEW),
    (
        "hostname verification check failed",
        "the certificate of {who} is for other hosts",
        "name the coordinator as its certificate does, or make one for this name with `coordination certs --host`",
    ),
    (
        "certificate_verify_failed",
        "the certificate of {who} is of an authority that this client does not trust",
        "give its authority's certificate with --ca or COORDINATION_CA",
    ),
    (
        "wrong_version_number",
        "{who} does not speak TLS, and this client does",
        "give the coordinator --tls-cert and --tls-key, or leave out --ca, --cert and --tls",
    ),
    (
        "missing selected alpn",
        "what answers at {endpoint} is not a coordinator: it speaks TLS, but not HTTP/2",
        _OTHER_PORT,
    ),
    ("tls handshake failed", "{who} and this client cannot agree on TLS", "see the coordinator's log"),
)
