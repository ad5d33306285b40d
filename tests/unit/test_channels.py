"""What every channel has in common: endpoints, and which failures mean that a request never left."""

from __future__ import annotations

import grpc
import pytest

from coordinator.errors import InvalidInput
from coordinator.net.channels import was_never_sent
from coordinator.net.endpoints import parse_endpoints
from tests.unit.failed_call import Failed


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("127.0.0.1:7420", ("127.0.0.1:7420",)),
        ("a:1, b:65535 ,", ("a:1", "b:65535")),
        (["a:1", " [::1]:2"], ("a:1", "[::1]:2")),
    ],
)
def test_endpoints_come_with_commas_or_one_by_one(given: str | list[str], meant: tuple[str, ...]) -> None:
    assert parse_endpoints(given) == meant


@pytest.mark.parametrize("given", ["", " , ", []])
def test_at_least_one_is_needed(given: str | list[str]) -> None:
    with pytest.raises(InvalidInput, match="no etcd was given; at least one HOST:PORT is needed"):
        parse_endpoints(given, field="etcd")


@pytest.mark.parametrize("given", ["a", "a:", ":1", "a:0", "a:65536", "a:x", "good:1,bad", "a b:1", "a/b:1", "[a]:1"])
def test_what_is_none_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="it must be HOST:PORT with a port from 1 to 65535") as caught:
        parse_endpoints(given)
    assert caught.value.field == "endpoint"


@pytest.mark.parametrize(
    ("code", "details", "never"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: …", True),
        ("UNAVAILABLE", "DNS resolution failed for nowhere.invalid:7420", True),
        ("UNAVAILABLE", "errors resolving nowhere.invalid:7420: [… Domain name not found]", True),
        ("UNAVAILABLE", "Socket closed", False),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", False),
        ("UNAVAILABLE", None, False),
        ("DEADLINE_EXCEEDED", "failed to connect to all addresses", False),
        ("INTERNAL", "connection refused", False),
    ],
)
def test_only_a_missing_connection_means_that_it_was_never_sent(code: str, details: str | None, never: bool) -> None:
    assert was_never_sent(Failed(grpc.StatusCode[code], details)) is never
