"""How a client protects its connections, and shows who it is.

Invariants: a token goes over TLS, or to this host itself, and nowhere else; it is in no error and no ``repr``. An
unusable file is reported when the client is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import grpc

from coordinator.errors import InvalidInput
from coordinator.net.loopback import stays_here
from coordinator.security.file_trust import read_trusted
from coordinator.security.pem import KeyPair, read_authorities, read_key_pair

__all__ = ["AnyPath", "Security"]

#: It must fit in a header, and it must be possible to check that a file holds one.
_LONGEST_TOKEN = 1024

AnyPath = str | PathLike[str]


class Security:
    """What a client's connections are protected with.

    ``token_file`` is read when this is made, and again by ``reread_token``. Raises ``InvalidInput`` for a file that
    cannot be used, and where a token would travel in clear to another host.
    """

    __slots__ = ("_authorities", "_pair", "bearer_token", "ca", "cert", "key", "tls", "token_file")

    def __init__(
        self,
        *,
        tls: bool = False,
        ca: AnyPath | None = None,
        cert: AnyPath | None = None,
        key: AnyPath | None = None,
        token_file: AnyPath | None = None,
        bearer_token: str | None = None,
    ) -> None:
        self._authorities = None if ca is None else read_authorities(Path(ca), "ca")
        self._pair: KeyPair | None = None
        if cert is not None and key is not None:
            self._pair = read_key_pair(Path(cert), Path(key), "cert", "key")
        elif cert is not None or key is not None:
            raise InvalidInput("cert and key are needed together", field="key" if key is None else "cert")
        self.tls = tls or ca is not None or cert is not None
        self.ca, self.cert, self.key = ca, cert, key
        self.token_file, self.bearer_token = token_file, bearer_token
        if token_file is not None and bearer_token is not None:
            raise InvalidInput("either token_file or bearer_token can be given, not both", field="token_file")
        if token_file is not None:
            self.bearer_token = _read_token(Path(token_file))
        elif bearer_token is not None:
            self.bearer_token = _check_token(bearer_token, "bearer_token")

    def check(self, endpoints: Sequence[str]) -> None:
        """Raise ``InvalidInput`` if the token would travel in clear."""
        if self.tls or self.bearer_token is None:
            return
        for endpoint in endpoints:
            if not stays_here(endpoint):
                raise InvalidInput(
                    f"the token is not sent to {endpoint}, because it would travel in clear; "
                    "it goes over TLS, or to this host itself",
                    field="endpoint",
                    hint="give the coordinator's authority with --ca, or --tls on if a public authority vouches for it",
                )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        """The metadata of every call, with the token."""
        return None if self.bearer_token is None else (("authorization", f"Bearer {self.bearer_token}"),)

    def reread_token(self) -> bool:
        """Read the token again, and return whether it has changed; raises ``InvalidInput`` if it cannot be read."""
        if self.token_file is None:
            return False
        before, self.bearer_token = self.bearer_token, _read_token(Path(self.token_file))
        return self.bearer_token != before

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """What to make a channel with, None for one without TLS."""
        if not self.tls:
            return None
        key, chain = self._pair or (None, None)
        return grpc.ssl_channel_credentials(self._authorities, key, chain)


def _read_token(path: Path) -> str:
    try:
        text = read_trusted(path, "token_file", secret=True).decode("ascii").strip()
    except OSError as error:
        raise InvalidInput(
            f"the token file {path} cannot be read: {error.strerror or error}",
            field="token_file",
            hint="`coordination token` makes one",
        ) from None
    except UnicodeDecodeError:
        text = ""
    return _check_token(text, f"the file {path}")


def _check_token(token: str, where: str) -> str:
    if not isinstance(token, str) or not 1 <= len(token) <= _LONGEST_TOKEN or not token.isascii() or not _plain(token):
        raise InvalidInput(
            f"{where} holds no token; a token is one word of 1 to {_LONGEST_TOKEN} ASCII characters",
            field="token_file",
            hint="`coordination token` makes one",
        )
    return token


def _plain(token: str) -> bool:
    return token.isprintable() and " " not in token
