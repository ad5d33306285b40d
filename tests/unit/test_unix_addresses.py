"""Unix sockets as they are typed: one spelling, absolute paths, and a sentence for everything else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.cli.server import up_arguments
from coordinator.errors import InvalidInput
from coordinator.net.endpoints import parse_endpoints
from coordinator.security.settings import SecuritySettings
from coordinator.server_settings import ServerSettings

ABSOLUTE = "a unix socket is named by an absolute path"
REFUSED = {
    "unix:": ABSOLUTE,
    "unix:a.sock": ABSOLUTE,
    "unix:./a.sock": ABSOLUTE,
    "unix:~/a.sock": ABSOLUTE,
    "unix:1:2": ABSOLUTE,
    "unix:/": ABSOLUTE,
    "unix://": ABSOLUTE,
    "unix://host/a.sock": ABSOLUTE,
    "unix:////a.sock": ABSOLUTE,
    "unix:/a\0b": "its path must be in UTF-8, without control characters",
    "unix:/a\nb": "its path must be in UTF-8, without control characters",
    "unix:/a\udcffb": "its path must be in UTF-8, without control characters",
    "unix-abstract:a": "an abstract socket has no owner, so any user can take it",
}


@pytest.mark.parametrize("path", ["/run/a.sock", "/a b", "/a%20b", "/a?b#c", "/ü/é", "/a:7420", f"/{'x' * 300}"])
@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
def test_a_unix_socket_has_one_spelling(scheme: str, path: str) -> None:
    assert parse_endpoints(f" {scheme}{path} ,host:1") == (f"unix:{path}", "host:1")
    assert parse_endpoints(["host:1", f"{scheme}{path}"]) == ("host:1", f"unix:{path}")


@pytest.mark.parametrize("typed", REFUSED)
def test_what_names_no_unix_socket_is_refused(typed: str) -> None:
    for read, noun in (
        (lambda: parse_endpoints([typed]), "endpoint"),
        (lambda: ServerSettings(etcd=("a:1",), listen=typed), "address for --listen"),
    ):
        with pytest.raises(InvalidInput, match=re.escape(f"is not an {noun}: {REFUSED[typed]}")) as caught:
            read()
        assert "for example unix:/run/user/1000/coordination.sock" in (caught.value.hint or "")


def test_a_comma_separates_endpoints_and_is_in_no_path() -> None:
    for typed in (["unix:/a,b"], ["unix:///a,"]):
        with pytest.raises(InvalidInput, match="its path has a comma, which separates addresses"):
            parse_endpoints(typed)


def test_tls_through_a_unix_socket_is_refused(tmp_path: Path) -> None:
    security = SecuritySettings(tls_cert=Path("cert"), tls_key=Path("key"))
    with pytest.raises(InvalidInput, match="needs no TLS, and speaks none") as caught:
        ServerSettings(etcd=("a:1",), listen=f"unix:{tmp_path}/a", security=security)
    assert caught.value.field == "tls-cert"


def test_metrics_are_not_read_through_a_unix_socket() -> None:
    with pytest.raises(InvalidInput, match="is not an address for --metrics-listen; it must be HOST:PORT"):
        ServerSettings(etcd=("a:1",), metrics_listen="unix:/a")


@pytest.mark.parametrize(
    ("mine", "its", "same"),
    [("unix:/a:0", "unix:/a:1", False), ("unix:/a:0", "unix:/a:0", True), ("h:0", "h:1", True)],
)
def test_a_path_that_ends_as_a_free_port_does_is_none(mine: str, its: str, same: bool) -> None:
    assert (not [*up_arguments.differences({"--listen": mine}, {"--listen": its})]) is same
