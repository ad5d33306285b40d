"""Events over HTTP, against the coordinator that the tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator import ClaimDenied, Client
from tests.conftest import RunningCoordinator
from tests.web.calling import HttpCaller


@pytest.fixture
def caller(coordinator: RunningCoordinator) -> Iterator[HttpCaller]:
    with HttpCaller(coordinator.http_url) as found:
        yield found


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as found:
        yield found


def what(event: dict[str, Any]) -> tuple[str, str]:
    return event["data"]["event"], event["data"]["record"]["workKey"]


def test_what_happens_comes_as_events(caller: HttpCaller, client: Client, fleet: str) -> None:
    events = caller.events(f"fleet={fleet}")
    first = next(events)
    assert (first["event"], int(first["id"])) == ("progress", int(first["data"]["revision"]) + 1)
    client.claim("alice-1", "task:x", note="zeile 1\nzeile 2\r\ndata: no event\u2028☃")
    with pytest.raises(ClaimDenied):
        client.claim("bob-1", "task:x")
    client.complete("alice-1", "task:x", result="done")

    granted, denied, completed = next(events), next(events), next(events)
    assert [what(each) for each in (granted, denied, completed)] == [
        ("EVENT_GRANTED", "task:x"),
        ("EVENT_DENIED", "task:x"),
        ("EVENT_COMPLETED", "task:x"),
    ]
    assert granted["data"]["record"]["note"] == "zeile 1\nzeile 2\r\ndata: no event\u2028☃"
    assert (denied["data"]["contender"], denied["data"]["holder"]) == ("bob-1", "alice-1")
    assert all("event" not in each and each["id"] == each["data"]["revision"] for each in (granted, denied, completed))


def test_a_reader_that_comes_again_misses_nothing(coordinator: RunningCoordinator, client: Client, fleet: str) -> None:
    with HttpCaller(coordinator.http_url) as first:
        begun = next(first.events(f"fleet={fleet}"))["id"]
    client.claim("alice-1", "task:one")
    with HttpCaller(coordinator.http_url) as second:
        events = second.events(f"fleet={fleet}&start_revision={begun}")
        seen = next(each for each in events if each.get("event") != "progress")
        assert what(seen) == ("EVENT_GRANTED", "task:one")
    client.claim("alice-1", "task:two")
    with HttpCaller(coordinator.http_url) as third:
        # The header of a browser that connects again counts before what its page has asked for.
        events = third.events(f"fleet={fleet}&start_revision={begun}", {"Last-Event-ID": seen["id"]})
        keys = (what(each)[1] for each in events if each.get("event") != "progress")
        assert [next(keys), next(keys)] == ["task:one", "task:two"]


def test_events_are_filtered(caller: HttpCaller, client: Client, fleet: str) -> None:
    events = caller.events(f"fleet={fleet}&kind=github&session=alice-1")
    next(events)
    client.claim("alice-1", "task:x")
    client.claim("bob-1", "acme/web#1")
    client.claim("alice-1", "acme/web#2")
    seen = next(each for each in events if each.get("event") != "progress")
    assert what(seen) == ("EVENT_GRANTED", "github:acme/web#2")


@pytest.mark.parametrize(
    ("query", "headers", "says"),
    [
        ("flet=x", {}, '/events has no parameter "flet"; it has fleet, kind, session, start_revision'),
        ("fleet=A%20B", {}, "'A B' is not a fleet"),
        ("fleet=%FF", {}, "the query is not valid"),
        ("start_revision=-1", {}, 'start_revision "-1" is not valid'),
        ("start_revision=9223372036854775808", {}, "is not valid; it must be a revision"),
        ("start_revision=9223372036854775807", {}, "does not exist yet"),
        ("", {"Last-Event-ID": "x"}, 'last-event-id "x" is not valid'),
        ("&".join(["kind=x"] * 9), {}, "the query is not valid"),
    ],
)
def test_what_cannot_begin_is_an_ordinary_error(
    caller: HttpCaller, query: str, headers: dict[str, str], says: str
) -> None:
    status, _, body = caller.send(f"/events?{query}", None, headers, method="GET")
    assert status == 400
    assert says in json.loads(body)["message"]


def test_other_methods_and_other_sites_are_refused(caller: HttpCaller) -> None:
    assert caller.send("/events", b"{}", {"Content-Type": "application/json"})[0] == 405
    assert caller.send("/events", None, {"Origin": "http://evil.example"}, method="GET")[0] == 403
    assert caller.send("/events", None, {"Sec-Fetch-Site": "same-site"}, method="GET")[0] == 403
