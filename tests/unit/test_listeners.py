"""A coordinator is alone at the addresses of the name it is asked for by (issue 12, number 24).

Every pair of ways to name this host, in both orders; another program of any kind on one address of the name.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from coordinator.errors import Unavailable
from coordinator.net import listeners
from coordinator.net.listeners import Held, hold

#: Names that lead to one another: a client of one may reach a program that listens at another.
SAME = ("127.0.0.1", "::1", "localhost", "LOCALHOST.", "0.0.0.0", "::", "::ffff:127.0.0.1", "127.1")  # noqa: S104


@contextlib.contextmanager
def listening(host: str, port: int = 0) -> Iterator[Held]:
    """Listen as a coordinator does."""
    with hold(host, port, what="the coordinator", option="--listen") as held:
        for each in held.sockets:
            each.listen()
        held.check_alone()
        yield held


@pytest.mark.parametrize("second", SAME)
@pytest.mark.parametrize("first", SAME)
def test_no_two_of_them_listen_on_one_port(first: str, second: str) -> None:
    with (
        listening(first) as held,
        pytest.raises(Unavailable, match="listens on") as caught,
        listening(second, held.port),
    ):
        pass
    assert caught.value.exit_code == 3
    assert "the coordinator cannot listen on " in caught.value.message


@pytest.mark.parametrize("host", SAME)
def test_every_address_of_the_name_answers(host: str) -> None:
    with listening(host) as held:
        for address in ("127.0.0.1", "::1") if host not in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "127.1") else ():
            with socket.create_connection((address, held.port), timeout=10) as connection:
                assert connection.getpeername()[1] == held.port


@pytest.mark.parametrize(("first", "second"), [("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")])
def test_addresses_that_share_no_name_are_apart(first: str, second: str) -> None:
    with listening(first) as held, listening(second, held.port):
        pass


@pytest.mark.parametrize(
    ("first", "second"), [("127.0.0.3", "127.0.0.4"), ("127.0.0.4", "a-host"), ("a-host", "127.0.0.3")]
)
def test_the_addresses_of_the_hosts_own_name_are_one(first: str, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = listeners._look_up
    own = (ip_address("127.0.0.3"), ip_address("127.0.0.4"))
    monkeypatch.setattr(listeners, "_look_up", lambda host: own if host == "a-host" else look_up(host))
    monkeypatch.setattr(socket, "gethostname", lambda: "a-host")
    with listening(first) as held, pytest.raises(Unavailable, match="listens on"), listening(second, held.port):
        pass


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "::"])
@pytest.mark.parametrize("option", [socket.SO_REUSEPORT, socket.SO_REUSEADDR])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_another_program_is_named_however_it_shares_its_port(address: str, option: int, host: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    named = ""
    # A port that is free at one address may be another program's at the other.
    for _ in range(5):
        with socket.socket(family) as other:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind((address, 0))
            other.listen()
            with pytest.raises(Unavailable) as refused, listening(host, other.getsockname()[1]):
                pass
        named = refused.value.message
        if re.search(rf"pid {os.getpid()} \(.+\) listens on ", named):
            return
    pytest.fail(named)


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::1"])  # noqa: S104
def test_a_port_that_was_used_a_moment_ago_is_free(host: str) -> None:
    with listening(host) as held:
        address = "::1" if host == "::1" else "127.0.0.1"
        with socket.create_connection((address, held.port), timeout=10):
            accepted = next(each for each in held.sockets if each.family == _family(host)).accept()[0]
            accepted.close()  # first, so that the connection's past is ours
    with listening(host, held.port):
        pass


def _family(host: str) -> int:
    return socket.AF_INET if host == "localhost" else socket.AF_INET6


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0"])  # noqa: S104
def test_while_it_is_held_no_other_gets_the_port(host: str) -> None:
    with hold(host, 0, what="the coordinator", option="--listen") as held:
        assert held.port
        assert {each.getsockname()[1] for each in held.sockets} == {held.port}


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("192.0.2.1", "the address is not this machine's"),
        ("2001:db8::1", "the address is not this machine's"),
        ("no-such-host.invalid", "no address is known by that name"),
    ],
)
def test_what_is_not_this_hosts_is_reported(host: str, says: str) -> None:
    with pytest.raises(Unavailable, match=says), listening(host, 7420):
        pass
