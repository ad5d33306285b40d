"""What the quick way makes of a peer's frames: an answer is whole and OK, or there is none (ADR 41)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.cli.quick.connection import MOST_BODY, Connection
from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.trailers import Failed, Lost
from tests.examples import examples
from tests.quick.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH,
    RESET,
    SETTINGS,
    WINDOW,
    Peer,
    frame,
    headers,
    message,
    peer,
)

FIRST = frame(HEADERS, END_HEADERS, 1, b"\x88" + headers((b"content-type", b"application/grpc")))
BODY = frame(DATA, 0, 1, message(b"answer"))
LAST = frame(HEADERS, END_HEADERS | END_STREAM, 1, headers((b"grpc-status", b"0")))
_SECONDS = 20.0


@pytest.fixture(scope="module")
def running() -> Iterator[Peer]:
    with peer() as found:
        yield found


def ask(
    running: Peer, *after: bytes, before: tuple[bytes, ...] = (frame(SETTINGS),), body: bytes = b"request"
) -> bytes:
    """Call a peer that sends these frames."""
    running.before, running.after = before, after
    running.served.clear()
    try:
        connection = Connection(socket.AF_INET, running.address, time.monotonic() + _SECONDS)
        try:
            return connection.call(b"/service/Method", b"localhost", [], body)
        finally:
            connection.close()
    finally:
        assert running.served.wait(_SECONDS)


def replies(running: Peer) -> list[tuple[int, int, int, bytes]]:
    """Return what the caller sent beside its request."""
    return [each for each in running.received if each[0] not in (HEADERS, DATA, WINDOW)]


def test_a_whole_answer_with_status_0_is_the_answer(running: Peer) -> None:
    assert ask(running, FIRST, BODY, LAST) == b"answer"


def test_an_answer_may_come_in_many_frames(running: Peer) -> None:
    whole = message(b"answer")
    parts = [frame(DATA, 0, 1, bytes((byte,))) for byte in whole]
    assert ask(running, FIRST, frame(DATA, 0, 1), *parts, LAST) == b"answer"


def test_pings_and_settings_are_acknowledged_and_the_rest_is_passed_over(running: Peer) -> None:
    aside = (
        frame(PING, 0, 0, b"12345678"),
        frame(PING, ACK, 0, b"87654321"),
        frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64"),
        frame(SETTINGS, ACK),
        frame(WINDOW, 0, 0, b"\x00\x00\x10\x00"),
        frame(WINDOW, 0, 1, b"\x00\x00\x10\x00"),
        frame(PRIORITY, 0, 1, bytes(5)),
        frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)),
        frame(GOAWAY, 0, 0, b"\x00\x00\x00\x01" + bytes(4)),
        frame(0xBB, 0, 0, b"grease"),
    )
    assert ask(running, *aside, FIRST, *aside, BODY, *aside, LAST) == b"answer"
    acknowledged = [each for each in replies(running) if each[1] & ACK]
    assert acknowledged == [(SETTINGS, ACK, 0, b"")] + 3 * [(PING, ACK, 0, b"12345678"), (SETTINGS, ACK, 0, b"")]


#: What comes instead of an answer.
ODD: dict[str, tuple[bytes, ...]] = {
    "nothing": (),
    "no message": (FIRST, LAST),
    "part of a message": (FIRST, frame(DATA, 0, 1, message(b"answer")[:-1]), LAST),
    "two messages": (FIRST, BODY, BODY, LAST),
    "a compressed message": (FIRST, frame(DATA, 0, 1, b"\x01" + message(b"answer")[1:]), LAST),
    "no trailers": (FIRST, BODY),
    "an end without trailers": (FIRST, frame(DATA, END_STREAM, 1, message(b"answer"))),
    "trailers without a status": (FIRST, BODY, frame(HEADERS, END_HEADERS | END_STREAM, 1, headers((b"a", b"b")))),
    "two statuses": (FIRST, BODY, frame(HEADERS, END_HEADERS | END_STREAM, 1, headers(*[(b"grpc-status", b"0")] * 2))),
    "a status that is no number": (
        FIRST,
        BODY,
        frame(HEADERS, END_HEADERS | END_STREAM, 1, headers((b"grpc-status", b"0x"))),
    ),
    "status 0 and nothing before it": (
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88" + headers((b"grpc-status", b"0"))),
    ),
    "data before headers": (BODY, FIRST, LAST),
    "headers twice": (FIRST, FIRST, BODY, LAST),
    "padded data": (FIRST, frame(DATA, PADDED, 1, b"\x01" + message(b"answer") + b"\x00"), LAST),
    "padded headers": (frame(HEADERS, END_HEADERS | PADDED, 1, b"\x00\x88"), BODY, LAST),
    "headers without a status of http": (frame(HEADERS, END_HEADERS, 1, headers((b"a", b"b"))), BODY, LAST),
    "a continuation": (frame(HEADERS, 0, 1, b"\x88"), frame(CONTINUATION, END_HEADERS, 1), BODY, LAST),
    "a continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1, b"\x88"), BODY, LAST),
    "huge headers": (
        frame(HEADERS, END_HEADERS, 1, b"\x88" + headers((b"a", b"b" * 16_300))),
        frame(HEADERS, END_HEADERS, 1, b"\x88" + headers((b"a", b"b" * 16_370))),
    ),
    "headers that are cut off": (frame(HEADERS, END_HEADERS, 1, b"\x88" + headers((b"a", b"bc"))[:-1]), BODY, LAST),
    "a header of the dynamic table": (frame(HEADERS, END_HEADERS, 1, b"\x88\xbe"), BODY, LAST),
    "a dynamic table": (frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\x1f\x88"), BODY, LAST),
    "a frame that is too long": (FIRST, frame(DATA, 0, 1, bytes(16_385)), LAST),
    "an answer that is too long": (FIRST, frame(DATA, 0, 1, bytes(16_384)) * 257, LAST),
    "a reset": (FIRST, frame(RESET, 0, 1, bytes(4))),
    "a reset of another call": (FIRST, frame(RESET, 0, 3, bytes(4)), BODY, LAST),
    "a goaway before the call": (frame(GOAWAY, 0, 0, bytes(8)), FIRST, BODY, LAST),
    "a push": (frame(PUSH, END_HEADERS, 1, bytes(4)), FIRST, BODY, LAST),
    "data of another call": (FIRST, frame(DATA, 0, 3, message(b"answer")), LAST),
    "headers of another call": (frame(HEADERS, END_HEADERS, 3, b"\x88"), FIRST, BODY, LAST),
    "a short ping": (frame(PING, 0, 0, b"1234567"), FIRST, BODY, LAST),
    "settings of another length": (frame(SETTINGS, 0, 0, bytes(5)), FIRST, BODY, LAST),
    "frames without end": (frame(WINDOW, 0, 0, bytes(16_384)) * 520, FIRST, BODY, LAST),
}


@pytest.mark.parametrize("after", ODD.values(), ids=list(ODD))
def test_what_is_no_answer_leaves_the_request_in_doubt(running: Peer, after: tuple[bytes, ...]) -> None:
    with pytest.raises(Lost) as caught:
        ask(running, *after, frame(0xBB))
    assert caught.value.in_time


#: What comes instead of settings; no request is sent then.
STRANGE: dict[str, tuple[bytes, ...]] = {
    "nothing": (),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    "another frame": (frame(PING, 0, 0, bytes(8)), frame(SETTINGS)),
    "an acknowledgement": (frame(SETTINGS, ACK),),
    "settings of a call": (frame(SETTINGS, 0, 1),),
    "settings of another length": (frame(SETTINGS, 0, 0, bytes(7)),),
    "no calls": (frame(SETTINGS, 0, 0, b"\x00\x03" + bytes(4)),),
    "hardly any headers": (frame(SETTINGS, 0, 0, b"\x00\x06" + (100).to_bytes(4, "big")),),
}


@pytest.mark.parametrize("before", STRANGE.values(), ids=list(STRANGE))
def test_nothing_is_sent_to_what_speaks_no_http2(running: Peer, before: tuple[bytes, ...]) -> None:
    with pytest.raises(NotQuick) as caught:
        ask(running, *((FIRST,) if before else ()), before=before)
    assert not isinstance(caught.value, Lost | Failed)
    assert not [each for each in running.received if each[0] in (HEADERS, DATA)]


def _huffman(text: str) -> bytes:
    """Return a text in Huffman's code, from a table of RFC 7541 of its own."""
    codes = {"g": "100110", "r": "101100", "p": "101011", "c": "00100", "-": "010110", "s": "01000", "t": "01001"}
    codes |= {"a": "00011", "u": "101101", "m": "101001", "e": "00101", "5": "011011", "<": "111111111111100"}
    codes |= {"\\": "1111111111111110000", "{": "111111111111110", "#": "111111111010"}
    bits = "".join(codes[each] for each in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _coded(name: str, value: str) -> bytes:
    found = b"\x00"
    for text in map(_huffman, (name, value)):
        found += bytes((0x80 | len(text),)) + text
    return found


@pytest.mark.parametrize(
    ("block", "status", "said", "detail"),
    [
        (headers((b"grpc-status", b"5"), (b"grpc-message", b"no %C3%BC %zz %")), 5, "no ü %zz %", None),
        (headers((b"grpc-status", b"12"), (b"coordinator-error-bin", b"AQI")), 12, "", b"\x01\x02"),
        (_coded("grpc-status", "5") + _coded("grpc-message", "<{#\\e"), 5, "<{#\\e", None),
    ],
)
def test_an_error_is_read_before_and_after_an_answer(
    running: Peer, block: bytes, status: int, said: str, detail: bytes | None
) -> None:
    for before, start in (((FIRST, BODY), b""), ((FIRST,), b""), ((), b"\x88")):
        with pytest.raises(Failed) as caught:
            ask(running, *before, frame(HEADERS, END_HEADERS | END_STREAM, 1, start + block))
        assert (caught.value.status, caught.value.message, caught.value.detail) == (status, said, detail)


@pytest.mark.parametrize("first", [b"\x8d", b"\x08\x03503", b"\x8d" + headers((b"content-type", b"text/html"))])
def test_a_server_of_web_pages_is_known_by_its_status(running: Peer, first: bytes) -> None:
    for flags in (END_HEADERS, END_HEADERS | END_STREAM):
        with pytest.raises(Failed, match="the answer is an error") as caught:
            ask(running, frame(HEADERS, flags, 1, first))
        assert caught.value.message.startswith("Received http2 header with status: ")


def test_an_error_that_cannot_be_read_is_none(running: Peer) -> None:
    for block in (
        headers((b"grpc-status", b"5"), (b"coordinator-error-bin", b"A")),
        headers((b"grpc-status", b"500")),
        b"\x00\x81\xff\x00" + headers((b"grpc-status", b"5")),
        b"\x00\x82\xff\xff\x00" + headers((b"grpc-status", b"5")),
    ):
        with pytest.raises(Lost):
            ask(running, frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88" + block))


def test_a_body_waits_for_room(running: Peer) -> None:
    little = frame(SETTINGS, 0, 0, b"\x00\x04" + (10).to_bytes(4, "big"))
    more = frame(WINDOW, 0, 1, (2**15).to_bytes(4, "big"))
    body = bytes(MOST_BODY)
    assert ask(running, FIRST, BODY, LAST, before=(little, more), body=body) == b"answer"
    sent = [each[3] for each in running.received if each[0] == DATA]
    assert len(sent[0]) == 10
    assert b"".join(sent) == message(body)
    with pytest.raises(Lost, match="changed"):
        ask(running, FIRST, before=(little, frame(SETTINGS)), body=body)
    refused = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88" + headers((b"grpc-status", b"8")))
    with pytest.raises(Failed):
        ask(running, FIRST, before=(little, refused), body=body)


def test_a_request_that_is_too_long_is_not_sent(running: Peer) -> None:
    with pytest.raises(NotQuick, match="longer than") as caught:
        ask(running, FIRST, BODY, LAST, body=bytes(MOST_BODY + 1))
    assert not isinstance(caught.value, Lost)


def test_a_peer_that_says_nothing_more_is_left_at_the_deadline(running: Peer) -> None:
    def call(before: tuple[bytes, ...], after: tuple[bytes, ...]) -> None:
        running.before, running.after, running.closes = before, after, False
        connection = Connection(socket.AF_INET, running.address, time.monotonic() + 0.1)
        try:
            connection.call(b"/service/Method", b"localhost", [], b"request")
        finally:
            connection.close()

    try:
        with pytest.raises(NotQuick, match="there is no connection") as silent:
            call((), ())
        assert not isinstance(silent.value, Lost)
        with pytest.raises(Lost) as late:
            call((frame(SETTINGS),), (FIRST, BODY))
        assert not late.value.in_time
    finally:
        running.closes = True


def _split(content: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[start:end] for start, end in pairwise(at)]


_ASIDE: st.SearchStrategy[bytes] = st.sampled_from(
    [b"", frame(PING, 0, 0, bytes(8)), frame(SETTINGS), frame(WINDOW, 0, 0, b"\x00\x00\x10\x00"), frame(0xBB)]
)


@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.binary(max_size=60),
    st.lists(st.integers(0, 10_000), max_size=4),
    st.lists(st.integers(0, 10_000), max_size=4),
    st.lists(_ASIDE, min_size=8, max_size=8),
)
def test_frames_may_be_cut_and_mixed_in_any_way(
    running: Peer, answer: bytes, cuts: list[int], arrivals: list[int], aside: list[bytes]
) -> None:
    others = iter(aside)
    parts = [FIRST, *(frame(DATA, 0, 1, part) for part in _split(message(answer), cuts)), LAST]
    content = b"".join(next(others) + part for part in parts)
    assert ask(running, *_split(content, arrivals)) == answer


def _changed(content: bytes, at: int, byte: int, cut: int) -> bytes:
    mutable = bytearray(content)
    mutable[at % len(mutable)] ^= byte
    return bytes(mutable[: len(mutable) - cut])


@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from([0, 0, 0, 3]), st.booleans())
def test_of_damaged_frames_nothing_else_comes(running: Peer, at: int, byte: int, cut: int, strange: bool) -> None:
    """An answer, a reason to go on with the full command, and never another exception or a wait without end."""
    changed: Callable[[bytes], bytes] = lambda content: _changed(content, at, byte, cut)  # noqa: E731  # short
    before = (changed(frame(SETTINGS, 0, 0, b"\x00\x04\x00\x01\x00\x00")),) if strange else (frame(SETTINGS),)
    try:
        answer = ask(running, *(() if strange else (changed(FIRST + BODY + LAST),)), before=before)
    except NotQuick:
        return
    assert len(answer) == len(b"answer")
