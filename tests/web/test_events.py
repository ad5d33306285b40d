"""Readers of events that are slow or go away, and what is sent where nothing happens."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from coordinator.service.error_replies import Refusals
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.web import events
from coordinator.web.app import App
from coordinator.web.call_context import CallContext, CallEnded
from coordinator.web.metrics_page import MetricsPage
from tests.web.serving import Uncounted, served, silent

ASKED = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Source:
    """Stands for the gate and the middleware: lets everyone in, and sends what ``make`` makes."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self.ended = threading.Event()

    async def receive(self, method: str, context: CallContext) -> Any:
        assert method == "Watch"
        return await context.read()

    async def Watch(self, *_: object) -> AsyncIterator[pb.WatchResponse]:  # noqa: N802  # its name in the API
        try:
            async for each in self._make():
                yield each
        finally:
            self.ended.set()

    def app(self) -> App:
        read: Any = events.Events(self, lambda: self)  # type: ignore[arg-type]  # stands for the gate
        return App(MetricsPage(CollectorRegistry(), Uncounted()), lambda: True, Refusals(), None, read)


async def endless() -> AsyncIterator[pb.WatchResponse]:
    yield pb.WatchResponse(revision=1)
    number = 1
    while True:
        number += 1
        await asyncio.sleep(0)
        record = types.Record(work_key=f"task:{number}", note="x" * 10_000)
        yield pb.WatchResponse(event=pb.WatchResponse.EVENT_GRANTED, revision=number, record=record)


async def silence() -> AsyncIterator[pb.WatchResponse]:
    yield pb.WatchResponse(revision=1)
    await asyncio.Event().wait()


async def failing() -> AsyncIterator[pb.WatchResponse]:
    yield pb.WatchResponse(revision=7)
    raise CallEnded(types.ErrorDetail(code="UNAVAILABLE", message="this coordinator stops", hint="watch another"))


def test_a_slow_reader_is_cut_off_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SLOW_WATCHER_SECONDS", 0.3)
    source = Source(endless)
    with served(source.app()) as port, silent(port, 1) as (reader,):
        reader.sendall(ASKED)
        assert source.ended.wait(30)
        found = b""
        while some := reader.recv(1 << 20):
            found += some
    last = found.rpartition(b"event: end\n")[2]
    end = json.loads(last.partition(b"data: ")[2].partition(b"\n")[0])
    assert end["code"] == "resource_exhausted"
    assert end["message"].startswith("this watcher reads too slowly")
    assert "watch again from revision" in end["details"][0]["debug"]["hint"]
    # What waited for it is what the buffers of the kernel hold, and little more.
    assert len(found) < 32 * 1024 * 1024


def test_the_watch_of_a_reader_that_goes_away_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(silence)
    with served(source.app()) as port:
        with silent(port, 1) as (reader,):
            reader.sendall(ASKED)
            assert reader.recv(1 << 16)
            assert not source.ended.is_set()
        assert source.ended.wait(30)


def test_a_reader_of_silence_gets_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HTTP_SILENT_SECONDS", 0.05)
    source = Source(silence)
    with served(source.app()) as port, silent(port, 1) as (reader,):
        reader.sendall(ASKED)
        found = b""
        while found.count(b":\n\n") < 2:
            found += reader.recv(1 << 16)


def test_why_a_stream_ends_is_said_in_it() -> None:
    source = Source(failing)
    with served(source.app()) as port, silent(port, 1) as (reader,):
        reader.sendall(ASKED)
        found = b""
        while not found.endswith(b"\r\n0\r\n\r\n"):
            found += reader.recv(1 << 16)
    assert b'event: end\ndata: {"code":"unavailable","message":"this coordinator stops"' in found


def test_an_event_for_many_readers_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = events._write

    def counted(event: pb.WatchResponse) -> bytes:
        written.append(event.revision)
        return write(event)

    monkeypatch.setattr(events, "_write", counted)
    record = types.Record(work_key="task:once-for-all")
    event = pb.WatchResponse(event=pb.WatchResponse.EVENT_GRANTED, revision=987_654, record=record)
    assert {events._written(event) for _ in range(5)} == {write(event)}
    assert written == [987_654]
