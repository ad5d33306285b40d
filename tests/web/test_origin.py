"""Which requests come from a page of another site, or through a name of another site's."""

from __future__ import annotations

import socket

import pytest

from coordinator.errors import PermissionDenied
from coordinator.web.origin import check_host, check_site, own_names

NAMES = own_names("coordinator.example", ("proxy.example", "UPPER.example."))
PAGE = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7421",
        "LOCALHOST.:7421",
        "api.localhost:1",
        "127.0.0.1:7421",
        "10.1.2.3",
        "[::1]:7421",
        "[fe80::1]",
        "coordinator.example:7421",
        "proxy.example",
        "upper.example",
        socket.gethostname(),
    ],
)
def test_addresses_and_own_names_are_served(host: str) -> None:
    check_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [None, "", ":7421", "evil.example", "evil.example:7421", "127.0.0.1.evil.example", "localhost.evil.example",
     "xlocalhost", "[evil.example]", "1.2.3.4.5", "2130706433", "0x7f.1", "coordinator.example.evil.example"],
)  # fmt: skip
def test_a_name_of_another_site_is_refused(host: str | None) -> None:
    with pytest.raises(PermissionDenied, match="is not known as"):
        check_host(host, NAMES)


def test_what_is_refused_is_quoted_and_bounded() -> None:
    with pytest.raises(PermissionDenied) as caught:
        check_host("x" * 5_000 + "\u202e", NAMES)
    assert len(caught.value.message) < 300
    assert "\u202e" not in caught.value.message


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:7421"},
        {"origin": "HTTP://127.0.0.1:7421", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site"} | PAGE,
    ],
)
def test_programs_own_pages_and_links_are_let_in(headers: dict[str, str]) -> None:
    check_site({"host": "127.0.0.1:7421"} | headers, "http")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "https://127.0.0.1:7421"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:7421.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"origin": "http://evil.example", "sec-fetch-site": "cross-site"} | PAGE,
    ],
)
def test_pages_of_others_are_not(headers: dict[str, str]) -> None:
    with pytest.raises(PermissionDenied, match="comes from a page of"):
        check_site({"host": "127.0.0.1:7421"} | headers, "http")
