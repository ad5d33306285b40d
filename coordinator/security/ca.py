"""A small private certificate authority, for those who have none.

Invariants:
- All files are made, or none. None that is there is overwritten but the server's certificate, when names are added to
  it: it keeps its key and its other names, and is the old one or the new one at any moment.
- A private key is readable by its owner only, from the moment its file exists.
- A server's certificate cannot be used as a client's, nor the other way round.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_CERTIFICATE_DAYS
from coordinator.net.certificate_hosts import checked_hosts
from coordinator.process.new_files import NewFiles, new_files
from coordinator.security.file_trust import check_place, read_trusted

__all__ = [
    "DEFAULT_HOSTS",
    "Authority",
    "Made",
    "Validity",
    "issue",
    "load_authority",
    "make_certificates",
    "subject_names",
]

#: The names under which a coordinator is reached on its own machine.
DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")
#: Certificates are valid from so long ago on, for hosts whose clocks are behind.
_BEHIND = timedelta(minutes=5)
#: A name becomes the name of a file, and stands in a certificate as it is; 64 characters is the most X.509 allows.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

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
    #: All that the server's certificate is for; empty if it was there already and stays.
    hosts: tuple[str, ...]
    #: Certificate and key of each client, by its name.
    clients: dict[str, tuple[Path, Path]]
    not_after: datetime


def make_certificates(
    directory: Path, hosts: Iterable[str] = (), clients: Iterable[str] = (), *, days: int = DEFAULT_CERTIFICATE_DAYS
) -> Made:
    """Make an authority, a server's certificate for ``hosts``, and one for each of ``clients``, in ``directory``.

    Where the directory holds an authority already, that one signs. Where it holds a server's certificate, ``hosts`` are
    added to the names of that one, and it stays as it is without any. ``days`` runs from 1 to 3650. Raises
    ``InvalidInput`` for a name that cannot be used, and where a file that would be written is there; then nothing is
    written.
    """
    if not 1 <= days <= 3650:
        raise InvalidInput(f"a certificate cannot be valid for {days} days; allowed are 1 to 3650", field="days")
    named, hosts = _checked_clients(clients), checked_hosts(hosts)
    new_authority = not (directory / "ca.crt").exists() and not (directory / "ca.key").exists()
    adding = bool(hosts) and not new_authority and (directory / "server.crt").exists()
    if not hosts and (new_authority or not named):
        hosts = DEFAULT_HOSTS
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
    _refuse_existing(path for pair in made.clients.values() for path in pair)
    if hosts and not adding:
        _refuse_existing((made.server_cert, made.server_key))
    check_place(directory / "ca.crt", "directory")
    with _directory(directory), new_files() as files:
        authority = _make_authority(files, directory, validity) if new_authority else load_authority(directory)
        made = replace(made, not_after=min(validity[1], authority[1].not_valid_after_utc))
        if adding:
            made = replace(made, hosts=_add_hosts(files, authority, made, validity))
        elif hosts:
            issue(files, authority, (made.server_cert, made.server_key), "coordinator", validity, subject_names(hosts))
        for name, pair in made.clients.items():
            issue(files, authority, pair, name, validity, None)
    return made


@contextlib.contextmanager
def _directory(directory: Path) -> Iterator[None]:
    """Make a directory, and remove what was made of it if the block fails; raises ``InvalidInput``."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, FileExistsError) and error.filename2 is not None:
            _refuse_existing((Path(error.filename2),))
        if not isinstance(error, OSError):
            raise
        raise InvalidInput(f"the certificates cannot be written to {directory}: {error.strerror or error}") from None


def _add_hosts(files: NewFiles, authority: Authority, made: Made, validity: Validity) -> tuple[str, ...]:
    """Write a new certificate of the server, for the names that it has and for others; return all of them."""
    try:
        present = x509.load_pem_x509_certificate(made.server_cert.read_bytes())
        key = _load_key(made.server_key)
        present.verify_directly_issued_by(authority[1])
        names = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        key = None
    if key is None or key.public_key() != present.public_key():
        raise InvalidInput(
            f"names cannot be added to {made.server_cert}: it must be a certificate of the authority beside it, and "
            f"{made.server_key} its key",
            field="host",
            hint="move both away to have a new one made",
        )
    hosts = checked_hosts((*(str(name.value) for name in names), *made.hosts))
    certificate = _sign(authority, key, "coordinator", validity, subject_names(hosts))
    files.write(made.server_cert, certificate, 0o644, replace=True)
    return hosts


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
    return x509.SubjectAlternativeName([_subject_name(host) for host in checked_hosts(hosts)])


def _subject_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _refuse_existing(files: Iterable[Path]) -> None:
    for path in files:
        if os.path.lexists(path):
            raise InvalidInput(
                f"{path} already exists and is not overwritten",
                hint="remove it if it is no longer needed, or choose another directory"
                + ("; --host NAME adds names to it" if path.name == "server.crt" else ""),
            )


def _make_authority(files: NewFiles, directory: Path, validity: Validity) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("coordinator private CA")
    begin, end = validity
    certificate = (
        _builder(key, name, name, (begin, begin + 10 * (end - begin)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    files.write(directory / "ca.key", _key_pem(key), 0o600)
    files.write(directory / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return key, certificate


def load_authority(directory: Path) -> Authority:
    """Read the authority in a directory; raises ``InvalidInput``."""
    try:
        key = _load_key(directory / "ca.key")
        certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    except (OSError, ValueError, TypeError):
        key = None
    anew = "choose another directory to make a new one; everything that it signed must then be made again"
    if key is None or key.public_key() != certificate.public_key():
        raise InvalidInput(
            f"the authority in {directory} cannot be read; it needs both its ca.crt and its ca.key", hint=anew
        )
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise InvalidInput(f"the authority in {directory} has expired", hint=anew)
    return key, certificate


def _load_key(file: Path) -> _Key | None:
    key = serialization.load_pem_private_key(read_trusted(file, "ca.key", secret=True), password=None)
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def issue(
    files: NewFiles,
    authority: Authority,
    names: tuple[Path, Path],
    name: str,
    validity: Validity,
    hosts: x509.SubjectAlternativeName | None,
) -> None:
    """Write a certificate and its new key to ``names``, for a server if it has ``hosts`` and for a client otherwise."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate_file, key_file = names
    files.write(key_file, _key_pem(key), 0o600)
    files.write(certificate_file, _sign(authority, key, name, validity, hosts), 0o644)


def _sign(
    authority: Authority, key: _Key, name: str, validity: Validity, hosts: x509.SubjectAlternativeName | None
) -> bytes:
    ca_key, ca = authority
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
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


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
