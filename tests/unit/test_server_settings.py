"""Settings of the server: what is an address, and which of them need --insecure."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.errors import InvalidInput
from coordinator.net.endpoints import split_address
from coordinator.security.settings import SecuritySettings
from coordinator.server_settings import ServerSettings


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:7420", ("127.0.0.1", 7420)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address, "listen") == parts


@pytest.mark.parametrize(
    "address",
    ["", ":", "7420", "localhost", ":7420", "localhost:", "localhost:x", "localhost:-1", "localhost:65536", "h:٣"],
)
def test_what_is_no_address_is_refused_by_the_name_of_its_option(address: str) -> None:
    allowed = r"for --metrics-listen; it must be HOST:PORT with a port from 0 to 65535"
    with pytest.raises(InvalidInput, match=allowed) as caught:
        split_address(address, "metrics-listen")
    assert caught.value.field == "metrics-listen"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_loopback_needs_no_more(host: str) -> None:
    settings = ServerSettings(etcd=("127.0.0.1:2379",), listen=f"{host}:0", metrics_listen=f"{host}:0")
    assert not settings.insecure


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "example.org", "localhost.example.org"])  # noqa: S104  # refused
@pytest.mark.parametrize("option", ["listen", "http_listen", "metrics_listen"])
def test_whatever_else_needs_insecure(option: str, host: str) -> None:
    address = {option: f"{host}:7420"}
    with pytest.raises(InvalidInput, match="can be reached from other hosts") as caught:
        ServerSettings(etcd=("127.0.0.1:2379",), **address)  # type: ignore[arg-type]  # both take a str
    assert caught.value.field == option.replace("_", "-")
    assert "--insecure" in (caught.value.hint or "")
    ServerSettings(etcd=("127.0.0.1:2379",), insecure=True, **address)  # type: ignore[arg-type]  # likewise


def test_where_there_is_http_follows_from_what_is_given() -> None:
    def where(**given: str) -> tuple[str | None, str | None]:
        settings = ServerSettings(("127.0.0.1:1",), **given)  # type: ignore[arg-type]  # likewise
        return settings.calls_listen, settings.metrics_alone_listen

    assert where() == ("127.0.0.1:7421", None)
    assert where(http_listen="127.0.0.1:1") == ("127.0.0.1:1", None)
    assert where(metrics_listen="127.0.0.1:1") == (None, "127.0.0.1:1")
    assert where(http_listen="127.0.0.1:1", metrics_listen="127.0.0.1:2") == ("127.0.0.1:1", "127.0.0.1:2")


def test_beside_a_unix_socket_there_are_no_calls_over_http_without_tokens(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/c.sock"
    settings = ServerSettings(("127.0.0.1:1",), listen=listen)
    assert (settings.calls_listen, settings.metrics_alone_listen) == (None, "127.0.0.1:7421")
    with pytest.raises(InvalidInput, match="every user of this host could make calls at --http-listen") as caught:
        ServerSettings(("127.0.0.1:1",), listen=listen, http_listen="127.0.0.1:0")
    assert caught.value.field == "http-listen"
    tokens = SecuritySettings(tokens=tmp_path / "tokens.toml")
    allowed = ServerSettings(("127.0.0.1:1",), listen=listen, http_listen="127.0.0.1:0", security=tokens)
    assert allowed.calls_listen == "127.0.0.1:0"
