"""What protects a coordinator, and the rule that nothing is offered to other hosts without it.

Invariant: without TLS and credentials a coordinator is reached from its own host only, unless an option allows more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.net.loopback import is_loopback

__all__ = ["SecuritySettings"]


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """The settings that protect a coordinator.

    ``tls_cert`` and ``tls_key`` are the server's certificate and key, ``client_ca`` the authorities of which every
    client must show a certificate, ``tokens`` the file that says who may do what. ``metrics_public``: the metrics may
    be read from other hosts although nothing protects them. Raises ``InvalidInput`` for what is of no use without
    something else.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    tokens: Path | None = None
    metrics_public: bool = False

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls-cert" if self.tls_cert is None else "tls-key"
            raise InvalidInput("--tls-cert and --tls-key are needed together", field=missing)
        if self.client_ca is not None and self.tls_cert is None:
            raise InvalidInput("--client-ca is of no use without --tls-cert and --tls-key", field="client-ca")
        if self.client_ca is not None and self.tokens is None:
            raise InvalidInput(
                "--client-ca needs --tokens: that file says what each certificate may do",
                field="tokens",
                hint="docs/security.md describes it; `coordination token --certificate` writes it",
            )

    def check_listen(self, address: str, host: str, option: str = "listen") -> None:
        """Raise ``InvalidInput`` if other hosts would reach calls there that nothing protects."""
        if is_loopback(host) or (self.tls_cert is not None and self.tokens is not None):
            return
        missing = " and ".join(
            name
            for name, there in (
                ("TLS (--tls-cert, --tls-key)", self.tls_cert is not None),
                ("credentials (--tokens)", self.tokens is not None),
            )
            if not there
        )
        raise InvalidInput(
            f"--{option} {address} can be reached from other hosts, but nothing protects it without {missing}",
            field=option,
            hint="docs/security.md sets them up in five commands; or listen on 127.0.0.1, "
            "or add --insecure if only trusted hosts can reach the network",
        )

    def check_socket(self, address: str) -> None:
        """Raise ``InvalidInput`` if calls over a unix socket are to be encrypted."""
        if self.tls_cert is not None:
            raise InvalidInput(
                f"--listen {address} needs no TLS, and speaks none: what is sent through a unix socket stays on this "
                "host",
                field="tls-cert",
                hint="leave out --tls-cert, --tls-key and --client-ca; or listen on HOST:PORT, for other hosts too",
            )

    def check_beside_socket(self, listen: str, address: str) -> None:
        """Raise ``InvalidInput`` if users of this host could call over HTTP whom a unix socket keeps out."""
        if listen.startswith("unix:") and self.tokens is None:
            raise InvalidInput(
                f"every user of this host could make calls at --http-listen {address}, and --listen {listen} is for "
                "its owner only",
                field="http-listen",
                hint="leave out --http-listen, or add --tokens, so that calls need a credential",
            )

    def check_metrics_listen(self, address: str, host: str) -> None:
        """Raise ``InvalidInput`` if other hosts would reach metrics that are not meant for them."""
        if not is_loopback(host) and not self.metrics_public:
            raise InvalidInput(
                f"--metrics-listen {address} can be reached from other hosts, but nothing protects it",
                field="metrics-listen",
                hint="listen on 127.0.0.1, or add --metrics-public: metrics hold kinds of work and counts, no work "
                "keys, sessions or secrets; --insecure allows it together with calls that nothing protects",
            )
