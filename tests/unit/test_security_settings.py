"""Without TLS and credentials a coordinator listens on its own host only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import InvalidInput
from coordinator.net.loopback import is_loopback
from coordinator.security.settings import SecuritySettings
from coordinator.server_settings import ServerSettings

PAIR: dict[str, Any] = {"tls_cert": Path("c"), "tls_key": Path("k")}
TOKENS: dict[str, Any] = {"tokens": Path("t")}
NEITHER = "without TLS (--tls-cert, --tls-key) and credentials (--tokens)"


@pytest.mark.parametrize(
    ("protection", "missing"),
    [({}, NEITHER), (PAIR, "without credentials (--tokens)"), (TOKENS, "without TLS (--tls-cert, --tls-key)")],
)
@pytest.mark.parametrize("address", ["0.0.0.0:7420", "[::]:7420", "192.0.2.1:0", "coordinator.example:7420"])
def test_other_hosts_reach_only_what_is_protected(protection: dict[str, Any], missing: str, address: str) -> None:
    security = SecuritySettings(**protection)
    with pytest.raises(InvalidInput) as raised:
        ServerSettings(("127.0.0.1:1",), listen=address, security=security)
    assert raised.value.message.endswith(f"nothing protects it {missing}")
    assert raised.value.field == "listen"
    ServerSettings(("127.0.0.1:1",), listen=address, security=security, insecure=True)
    ServerSettings(("127.0.0.1:1",), listen=address, security=SecuritySettings(**PAIR, **TOKENS))
    for own in ("127.0.0.1:0", "[::1]:0", "localhost:0"):
        ServerSettings(("127.0.0.1:1",), listen=own, security=security)


def test_other_hosts_read_the_metrics_only_where_that_is_meant() -> None:
    protected = SecuritySettings(**PAIR, **TOKENS)
    with pytest.raises(InvalidInput, match=r"--metrics-listen 0\.0\.0\.0:7421 can be reached") as raised:
        ServerSettings(("127.0.0.1:1",), metrics_listen="0.0.0.0:7421", security=protected)
    assert raised.value.field == "metrics-listen"
    public = SecuritySettings(metrics_public=True)
    ServerSettings(("127.0.0.1:1",), metrics_listen="0.0.0.0:7421", security=public)
    ServerSettings(("127.0.0.1:1",), metrics_listen="0.0.0.0:7421", insecure=True)
    with pytest.raises(InvalidInput):  # it says nothing of the calls
        ServerSettings(("127.0.0.1:1",), listen="0.0.0.0:7420", security=public)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_cert": Path("c")}, "--tls-cert and --tls-key are needed together"),
        ({"tls_key": Path("k")}, "--tls-cert and --tls-key are needed together"),
        ({"client_ca": Path("a"), **TOKENS}, "--client-ca is of no use without --tls-cert and --tls-key"),
        ({"client_ca": Path("a"), **PAIR}, "--client-ca needs --tokens"),
    ],
)
def test_half_a_protection_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        SecuritySettings(**settings)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]")),
        *(
            (host, False)
            for host in ("0.0.0.1", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "", "127.1")
        ),
    ],
)
def test_which_addresses_are_this_hosts_own(host: str, own: bool) -> None:
    assert is_loopback(host) is own
