"""How connections are protected: whether they are encrypted, and until when certificates are valid.

Only what is public is read, and with the standard library alone, so that a command line without the server's side can
do it. Whether a certificate is to be trusted is not judged here; gRPC does that for every connection.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from coordinator.diagnosis.findings import Finding, problem, sound, warning
from coordinator.net.loopback import stays_here
from coordinator.net.unix_sockets import is_unix
from coordinator.security.host_users import has_other_users

__all__ = [
    "expiry_of",
    "judge_clear_http",
    "judge_clear_token",
    "judge_encryption",
    "judge_expiry",
    "read_expiry",
    "shown_expiry",
]

#: A certificate that ends sooner is worth a warning: time to notice, and to make a new one, in days.
SOON_DAYS = 21

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def read_expiry(path: Path) -> datetime:
    """Return when the first certificate of a PEM file ends; raises ``OSError``, or ``ValueError`` if it holds none."""
    found = _PEM.search(path.read_bytes())
    if found is None:
        raise ValueError(f"{path} holds no certificate")
    return expiry_of(base64.b64decode(found[1]))


def shown_expiry(endpoint: str, *, client: tuple[Path, Path] | None = None, seconds: float = 2.0) -> datetime:
    """Return when the certificate ends that is shown at ``endpoint``, ``HOST:PORT``.

    ``client`` are the files of a certificate and its key, for a server that asks for one. Raises ``OSError`` if there
    is no answer within ``seconds``, or none in TLS.
    """
    host, _, port = endpoint.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate is only looked at, and nothing is sent: one that has ended must be readable too.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if client is not None:
        context.load_cert_chain(*client)
    address = host.removeprefix("[").removesuffix("]")
    with (
        socket.create_connection((address, int(port)), timeout=seconds) as connection,
        context.wrap_socket(connection, server_hostname=address) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    if shown is None:
        raise OSError(f"{endpoint} shows no certificate")
    return expiry_of(shown)


def judge_expiry(check: str, ends: datetime, now: datetime, *, whose: str, subject: str = "") -> Finding:
    """Judge how long a certificate is still valid."""
    days = (ends - now).total_seconds() / 86400
    date = f"{ends.astimezone(UTC):%Y-%m-%d}"
    advice = "make a new one in time (`coordination certs`, or your own authority), and restart what uses it"
    if days <= 0:
        return problem(check, f"{whose} ended {date}", advice, subject=subject, value=round(days, 2), unit="days")
    if days < SOON_DAYS:
        message = f"{whose} ends {date}, in {days:.0f} days"
        return warning(check, message, advice, subject=subject, value=round(days, 2), unit="days")
    return sound(check, f"{whose} is valid until {date}", subject=subject, value=round(days, 2), unit="days")


def judge_encryption(check: str, what: str, endpoints: Iterable[str], *, on: bool) -> Finding:
    """Judge whether connections to ``what`` are encrypted, and whether they need to be."""
    exposed = [endpoint for endpoint in endpoints if not is_unix(endpoint)]
    if on and exposed:
        return sound(check, f"connections to {what} are encrypted")
    exposed = [endpoint for endpoint in exposed if not stays_here(endpoint)]
    if not exposed:
        return sound(check, f"connections to {what} are not encrypted, and do not leave this host")
    return warning(
        check,
        f"connections to {what} at {', '.join(exposed)} are not encrypted: others can read and change them",
        "turn TLS on, or make sure that only trusted hosts can reach the network",
    )


def judge_clear_token(endpoints: Iterable[str]) -> Iterator[Finding]:
    """Judge a token that is sent without TLS to ports of this host, which any user may take first."""
    ports = [endpoint for endpoint in endpoints if not is_unix(endpoint) and stays_here(endpoint)]
    if ports and has_other_users():
        yield warning(
            "token-in-clear",
            f"the token is sent in clear text to {', '.join(ports)}, which another user of this host could take",
            "start the coordinator with `--listen unix:/PATH`, which only its own user can have; or turn TLS on",
        )


def judge_clear_http(address: str) -> Iterator[Finding]:
    """Judge where a coordinator takes tokens over HTTP without TLS, "" for nowhere: it is as with the other port."""
    if address and stays_here(address) and has_other_users():
        yield warning(
            "token-in-clear",
            f"tokens are sent in clear text over HTTP to {address}, which another user of this host could take",
            "turn TLS on with `--tls-cert`, or have no calls over HTTP: `--metrics-listen` serves the metrics alone",
        )


def expiry_of(certificate: bytes) -> datetime:
    """Return when a certificate in DER ends (RFC 5280, section 4.1); raises ``ValueError`` where it is none.

    A certificate begins with its body, that with a version, a serial number, an algorithm and the issuer's name, and
    then come the two ends of its validity.
    """
    with contextlib.suppress(IndexError, UnicodeDecodeError):
        body = _content(_content(certificate, _SEQUENCE), _SEQUENCE)
        if body[0] == _VERSION:
            body = _rest(body)
        for _ in ("serial number", "algorithm", "issuer"):
            body = _rest(body)
        return _time(_rest(_content(body, _SEQUENCE)))
    raise ValueError("this is no certificate")


def _element(data: bytes) -> tuple[int, int]:
    """Return where the content of the first element begins and ends (X.690, section 8.1)."""
    length, begins = data[1], 2
    if length & 0x80:
        begins += length & 0x7F
        length = int.from_bytes(data[2:begins])
    return begins, begins + length


def _content(data: bytes, tag: int) -> bytes:
    if data[0] != tag:
        raise ValueError("this is no certificate")
    begins, ends = _element(data)
    return data[begins:ends]


def _rest(data: bytes) -> bytes:
    """Return what follows the first element."""
    return data[_element(data)[1] :]


def _time(data: bytes) -> datetime:
    begins, ends = _element(data)
    text = data[begins:ends].decode("ascii")
    # Two digits of a year stand for 1950 to 2049, which is what RFC 5280 says and not quite what strptime does.
    if data[0] == _UTC_TIME:
        text = ("19" if text >= "5" else "20") + text
    elif data[0] != _GENERALIZED_TIME:
        raise ValueError("this is no certificate")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
