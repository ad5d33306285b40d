"""A small private certificate authority, for those who have none.

Invariants: nothing that is there already is overwritten; a private key is readable by its owner only, from the moment
its file exists; a server's certificate cannot be used as a client's, nor the other way round.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.errors import InvalidInput

__all__ = [
    "DEFAULT_DAYS",
    "DEFAULT_HOSTS",
    "Authority",
    "Made",
    "Validity",
    "issue",
    "load_authority",
    "make_certificates",
    "subject_names",
]

#: How long certificates are valid, in days; the authority itself ten times as long.
DEFAULT_DAYS = 365
#: The names under which a coordinator is reached on its own machine.
DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")
#: Certificates are valid from so long ago on, for hosts whose clocks are behind.
_BEHIND = timedelta(minutes=5)
#: A name becomes the name of a file, and stands in a certificate as it is; 64 characters is the most X.509 allows.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9*]([A-Za-z0-9.*-]{0,251}[A-Za-z0-9])?")

_Key = ec.EllipticCurvePrivateKey
#: Its key and its certificate.
Authority = tuple[_Key, x509.Certificate]
#: From when until when.
Validity = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Made:
    """Where the files are, and until when the certificates are valid."""

    ca: Path
    server_cert: Path
    server_key: Path
    #: What the server's certificate is for; empty if it was there already and stays.
    hosts: tuple[str, ...]
    #: Certificate and key of each client, by its name.
    clients: dict[str, tuple[Path, Path]]
    not_after: datetime


def make_certificates(
    directory: Path, hosts: Iterable[str] = (), clients: Iterable[str] = (), *, days: int = DEFAULT_DAYS
) -> Made:
    """Make an authority, a server's certificate for ``hosts``, and one for each of ``clients``, in ``directory``.

    Where the directory holds an authority already, that one signs, and a server's certificate which is there stays as
    it is: so clients are added later. ``days`` runs from 1 to 3650. Raises ``InvalidInput`` for a name that cannot be
    used, and where a file that would be written is there already; then nothing is written.
    """
    if not 1 <= days <= 3650:
        raise InvalidInput(f"a certificate cannot be valid for {days} days; allowed are 1 to 3650", field="days")
    named, hosts = _checked_clients(clients), tuple(hosts)
    new_authority = not (directory / "ca.crt").exists() and not (directory / "ca.key").exists()
    if not hosts and (new_authority or not named):
        hosts = DEFAULT_HOSTS
    subjects = subject_names(hosts)
    now = datetime.now(UTC)
    validity = (now - _BEHIND, now + timedelta(days=days))
    made = Made(
        ca=directory / "ca.crt",
        server_cert=directory / "server.crt",
        server_key=directory / "server.key",
        clients={name: (directory / f"{name}.crt", directory / f"{name}.key") for name in named},
        not_after=validity[1],
        hosts=hosts,
    )
    files = [*(path for pair in made.clients.values() for path in pair)]
    files += [made.server_cert, made.server_key] if hosts else []
    _refuse_existing(files)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _make_authority(directory, validity) if new_authority else load_authority(directory)
        if hosts:
            issue(authority, made.server_cert, made.server_key, "coordinator", validity, subjects)
        for name, (certificate, key) in made.clients.items():
            issue(authority, certificate, key, name, validity, None)
    except OSError as error:
        raise InvalidInput(f"the certificates cannot be written to {directory}: {error.strerror or error}") from None
    return made


def _checked_clients(clients: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(clients))
    for name in names:
        if not _NAME.fullmatch(name) or name in {"ca", "server"}:
            raise InvalidInput(
                f"{name!r} cannot name a client; allowed are 1 to 64 of a-z, A-Z, 0-9, dot, @, _ and -, "
                "a letter or digit first, and not ca or server",
                field="client",
            )
    return names


def subject_names(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    """Return the names and addresses of hosts as a certificate holds them; raises ``InvalidInput``."""
    return x509.SubjectAlternativeName([_host(host) for host in hosts])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise InvalidInput(
            f"{host!r} is neither a host name nor an IP address", field="host", hint="for example coordinator.internal"
        )
    return x509.DNSName(host)


def _refuse_existing(files: Iterable[Path]) -> None:
    for path in files:
        if path.exists():
            raise InvalidInput(
                f"{path} is there already and is not overwritten",
                hint="remove it if it is no longer needed, or choose another directory",
            )


def _make_authority(directory: Path, validity: Validity) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("coordinator private CA")
    begin, end = validity
    certificate = (
        _builder(key, name, name, (begin, begin + 10 * (end - begin)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(directory / "ca.key", _key_pem(key), 0o600)
    _write(directory / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return key, certificate


def load_authority(directory: Path) -> Authority:
    """Read the authority in a directory; raises ``InvalidInput``."""
    try:
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput(
            f"the authority in {directory} cannot be read; it needs both its ca.crt and its ca.key",
            hint="choose another directory to make a new one; everything that it signed must then be made anew",
        )
    return key, certificate


def issue(
    authority: Authority,
    certificate_file: Path,
    key_file: Path,
    name: str,
    validity: Validity,
    hosts: x509.SubjectAlternativeName | None,
) -> None:
    """Sign a certificate for a new key, for a server if it has ``hosts`` and for a client otherwise."""
    ca_key, ca = authority
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if hosts is None else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _builder(key, _name(name), ca.subject, (validity[0], min(validity[1], ca.not_valid_after_utc)))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if hosts is not None:
        builder = builder.add_extension(hosts, critical=False)
    certificate = builder.sign(ca_key, hashes.SHA256())
    _write(key_file, _key_pem(key), 0o600)
    _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(key: _Key, subject: x509.Name, issuer: x509.Name, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    # Exclusively, so that what appears in the meantime is not overwritten either.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
