"""The names in the certificate of a client.

Invariant: the names of a certificate are used only if each of them can be read in one way only. gRPC hands names on as
far as their first NUL: one for ``alice``, NUL, ``.example`` would be Alice's. So the certificate itself is read here.
None of its names is used if any of them holds a character that cannot be printed, if it has two common names, or if it
cannot be read.
"""

from __future__ import annotations

import functools
import logging

from cryptography import x509
from cryptography.x509.oid import NameOID

from coordinator.logs.format import said

__all__ = ["names_of"]

_LOG = logging.getLogger(__name__)
#: How many certificates are remembered. Only those get here that one of our authorities has signed.
_REMEMBERED = 1024
#: The kinds of other names that count.
_KINDS = (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name)


@functools.lru_cache(_REMEMBERED)
def names_of(pem: bytes) -> tuple[str, ...]:
    """Return the names in a certificate: its common name, then its other names; none where one of them is in doubt."""
    try:
        return _read(x509.load_pem_x509_certificate(pem))
    except Exception as error:  # noqa: BLE001  # what cannot be read has no name, whatever the reason
        why = str(error) if isinstance(error, ValueError) else type(error).__name__
        _LOG.warning("a client's certificate has no usable name", extra=said(why=why))
        return ()


def _read(certificate: x509.Certificate) -> tuple[str, ...]:
    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(common) > 1:
        raise ValueError("it has two common names")
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        named = common
    else:
        named = common + [each.value for each in others if isinstance(each, _KINDS)]
    if not all(name.isprintable() for name in named):
        raise ValueError("one of its names holds characters that cannot be printed")
    return tuple(named)
