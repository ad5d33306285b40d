"""Certificates are read without help, and judged by how long they are still valid."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from coordinator.diagnosis.findings import Severity
from coordinator.diagnosis.tls import expiry_of, judge_encryption, judge_expiry, read_expiry, shown_expiry
from coordinator.security.ca import make_certificates

NOW = datetime(2026, 6, 14, tzinfo=UTC)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("year", [1951, 1999, 2000, 2026, 2049, 2050, 9999])
def test_the_end_of_a_certificate_is_read(year: int, large: bool) -> None:
    key = rsa.generate_private_key(65537, 2048) if large else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 64)] * (4 if large else 1))
    ends = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(1950, 1, 1, tzinfo=UTC))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    assert expiry_of(certificate.public_bytes(serialization.Encoding.DER)) == ends


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x80", b"no certificate", b"\x30\x03\x30\x01\x02", b"0" * 100])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # whatever was met first
        expiry_of(data)


def test_a_file_is_read(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "made", days=30)
    assert abs(read_expiry(made.server_cert) - made.not_after) < timedelta(seconds=1)
    with pytest.raises(ValueError, match="holds no certificate"):
        read_expiry(made.server_key)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, datetime]]:
    """An address that shows a certificate, and when that ends."""
    made = make_certificates(tmp_path / "made", days=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server_cert, made.server_key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", made.not_after
        thread.join()


def test_what_a_server_shows_is_read(tls_server: tuple[str, datetime]) -> None:
    endpoint, ends = tls_server
    assert abs(shown_expiry(endpoint) - ends) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("days", "severity", "said"),
    [
        (-0.5, Severity.PROBLEM, "mine ended 2026-06-13"),
        (0, Severity.PROBLEM, "mine ended 2026-06-14"),
        (20.9, Severity.WARNING, "mine ends 2026-07-04, in 21 days"),
        (21, Severity.OK, "mine is valid until 2026-07-05"),
    ],
)
def test_the_end_is_judged(days: float, severity: Severity, said: str) -> None:
    found = judge_expiry("certificate", NOW + timedelta(days=days), NOW, whose="mine")
    assert (found.severity, found.message, found.value) == (severity, said, days)


@pytest.mark.parametrize(
    ("endpoints", "on", "severity"),
    [
        (("127.0.0.1:1", "[::1]:1", "localhost:1"), False, Severity.OK),
        (("127.0.0.1:1", "192.0.2.1:1"), False, Severity.WARNING),
        (("192.0.2.1:1",), True, Severity.OK),
    ],
)
def test_what_leaves_the_host_is_to_be_encrypted(endpoints: tuple[str, ...], on: bool, severity: Severity) -> None:
    found = judge_encryption("etcd-tls", "etcd", endpoints, on=on)
    assert found.severity is severity
    assert severity is Severity.OK or "192.0.2.1:1 are not encrypted" in found.message
