"""Reading certificates and keys, so that a mistake in them is reported before a connection fails because of it.

Invariants: no error holds anything of a key; authorities and keys are those that no other user of this host has put
there (``security/file_trust.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.security.file_trust import read_bounded, read_trusted

__all__ = ["KeyPair", "read_authorities", "read_key_pair"]


class KeyPair(NamedTuple):
    """A private key and the chain of certificates for it, in PEM."""

    key: bytes
    chain: bytes


def read_authorities(path: Path, field: str) -> bytes:
    """Read the certificates of authorities; raises ``InvalidInput`` naming ``field`` if there is none in the file."""
    import ssl

    content = _read(path, field, trusted=True)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise InvalidInput(
            f"{path} ({field}) holds no certificate that can be read; PEM is needed",
            field=field,
            hint="it begins with -----BEGIN CERTIFICATE-----",
        ) from None
    return content


def read_key_pair(cert: Path, key: Path, cert_field: str, key_field: str) -> KeyPair:
    """Read a certificate and its key; raises ``InvalidInput`` if they do not belong together or cannot be used."""
    import ssl

    pair = KeyPair(_read(key, key_field, trusted=True, secret=True), _read(cert, cert_field))
    try:
        # It would ask a terminal for the password of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        why = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be used"
        raise InvalidInput(
            f"the certificate {cert} ({cert_field}) and the key {key} ({key_field}) {why}",
            field=cert_field,
            hint="both are needed in PEM, of one pair, and the key without a password",
        ) from None
    except OSError as error:
        raise _unreadable(cert, cert_field, error) from None
    return pair


def _read(path: Path, field: str, *, trusted: bool = False, secret: bool = False) -> bytes:
    try:
        return read_trusted(path, field, secret=secret) if trusted else read_bounded(path)
    except OSError as error:
        raise _unreadable(path, field, error) from None


def _unreadable(path: Path, field: str, error: OSError) -> InvalidInput:
    return InvalidInput(f"the file {path} ({field}) cannot be read: {error.strerror or error}", field=field)
