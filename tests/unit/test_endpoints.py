"""What is an address, and what is refused with a word on why."""

from __future__ import annotations

import pytest

from coordinator.errors import InvalidInput
from coordinator.net.endpoints import split_host_port


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("127.0.0.1:7420", ("127.0.0.1", 7420)),
        ("coordinator.internal:1", ("coordinator.internal", 1)),
        ("my_service-1.a.:65535", ("my_service-1.a.", 65535)),
        ("[::1]:7420", ("::1", 7420)),
        ("[fe80::1%eth0]:7420", ("fe80::1%eth0", 7420)),
    ],
)
def test_a_host_and_a_port(typed: str, parts: tuple[str, int]) -> None:
    assert split_host_port(typed, field="endpoint") == parts


@pytest.mark.parametrize(
    ("typed", "said", "hint"),
    [
        (
            "http://127.0.0.1:7420",
            "is not an address: it must be HOST:PORT, without a scheme",
            "for example 127.0.0.1:7420;",
        ),
        ("https://a:1/path", "without a scheme", "for example a:1; whether TLS"),
        ("HTTP://", "without a scheme", "for example 127.0.0.1:7420"),
        ("::1", "'::1' is not an address: an IPv6 address needs brackets", "[::1]:7420"),
        ("::1:7420", "an IPv6 address needs brackets", "[::1]:7420"),
        ("fe80::1%eth0:7420", "an IPv6 address needs brackets", "[::1]:7420"),
        ("2001:db8::1:7420", "an IPv6 address needs brackets", "[::1]:7420"),
    ],
)
def test_what_nearly_is_one_is_explained(typed: str, said: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        split_host_port(typed, field="etcd")
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.field == "etcd"


@pytest.mark.parametrize("typed", ["http://me:secret@a:1", "me:secret@a:1", "https://me:sec@ret@a", "secret@"])
def test_a_password_is_not_repeated(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        split_host_port(typed, field="endpoint")
    for reported in (caught.value.message, caught.value.hint or ""):
        assert "sec" not in reported
