"""A command from its arguments to its exit code, the quick way."""

from __future__ import annotations

from coordinator.cli.quick.answers import Said, describe
from coordinator.cli.quick.arguments import Asked, read_seconds
from coordinator.cli.quick.call import Call
from coordinator.cli.quick.endpoint import find_place
from coordinator.cli.quick.errors import Interrupted, NotQuick
from coordinator.cli.quick.process import catching_signals, write
from coordinator.cli.quick.requests import Request, make_request
from coordinator.cli.quick.settings import read_settings
from coordinator.cli.quick.table import TIMEOUT_RANGE
from coordinator.cli.quick.trust import read_token

__all__ = ["run_command"]


def run_command(asked: Asked) -> int:
    """Run a command; returns its exit code, and raises ``NotQuick`` where the full command is to go on with it."""
    settings = read_settings(asked)
    timeout = read_seconds(settings["timeout"], TIMEOUT_RANGE)
    request = make_request(asked, settings["fleet"])
    token = read_token(settings["token_file"]) if settings["token_file"] else ""
    endpoints = settings["endpoint"].split(",")
    place = find_place(endpoints[0], with_token=bool(token))
    call = Call(request, place, timeout=timeout, is_only=len(endpoints) == 1, token=token)
    as_json = "json" in asked.common
    with catching_signals() as signals:
        try:
            try:
                said = _said(call, request, settings["fleet"], as_json=as_json)
            except NotQuick:
                if call.was_sent:
                    signals.defer()
                raise
            return write(said, as_json=as_json, verbose="verbose" in asked.common)
        except Interrupted as ended:
            if not call.is_under_way:
                return ended.code
            from coordinator.cli.quick.handover import say_interrupted

            return say_interrupted(request.request_id, ended.code, as_json=as_json)


def _said(call: Call, request: Request, fleet: str, *, as_json: bool) -> Said:
    content = call.ask()
    try:
        return describe(request, content, fleet, as_json=as_json)
    except NotQuick:
        call.hand_over(response=content)
        raise
