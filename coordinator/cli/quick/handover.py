"""What the quick way needs of the full command, loaded only then: its ways to say what went wrong."""

from __future__ import annotations

from coordinator.cli import streams
from coordinator.cli.streams import write_error

__all__ = ["say", "say_interrupted", "say_lost"]


def say(text: str) -> None:
    """Say how a command was answered."""
    streams.prepare()
    write_error(f"verbose: {text}\n")


def say_interrupted(request_id: str, code: int, *, as_json: bool) -> int:
    """Say that a signal ended a command before the answer came; returns the exit code."""
    from coordinator.cli.interruption import RequestInterrupted
    from coordinator.cli.output import emit_error

    streams.prepare()
    emit_error(RequestInterrupted(request_id, code), as_json=as_json)
    return code


def say_lost(error: OSError, code: int) -> int:
    """Say that an answer could not be written, where that is worth saying; returns the exit code."""
    streams.prepare()
    streams.lose_answer(error)
    return streams.say_if_lost(code)
