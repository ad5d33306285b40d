"""How each face is asked: the same ``Ask`` as a call over gRPC, one over HTTP, a tool of MCP, and a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import grpc
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from mcp import types as protocol

from coordinator import AsyncClient
from coordinator.errors import ClaimLost, error_for_code
from coordinator.mcp.desk import Desk
from coordinator.mcp.server import Handlers, seat_at
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import COMMAND, _environment
from tests.faces.meanings import Meaning, failed, meaning_of_json, meaning_of_message, meaning_of_tool
from tests.faces.table import ME, TTL_SECONDS, Ask
from tests.faces.world import World
from tests.loaded_command import shared_command
from tests.web.calling import HttpCaller

__all__ = ["FACES", "Face"]

#: Asks a face in a fleet; None where it has nothing like it.
Face = Callable[[World, str, Ask], Meaning | None]
#: How long a caller goes on trying, in seconds; nothing takes that long, see ``world.py``.
_PATIENCE = 30
_METHODS = {
    "claim": "Claim", "next": "ClaimNext", "renew": "Renew", "complete": "Complete", "release": "Release",
    "submit": "Submit", "look": "Get",
}  # fmt: skip
#: The HTTP statuses of codes, as Connect's specification has them: https://connectrpc.com/docs/protocol.
_STATUSES = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ABORTED": 409, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500,
    "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip


def _request(fleet: str, ask: Ask) -> Any:
    """Return what is asked as a request of the API."""
    options, ttl = ask.options, Duration(seconds=TTL_SECONDS)
    plain = ("note", "result", "reason", "failed", "instance", "distinct_from")
    more: dict[str, Any] = {name: options[name] for name in plain if name in options}
    if "wait" in options:
        more["wait"] = Duration(seconds=options["wait"])
    by: dict[str, Any] = {"fleet": fleet, "session": ME}
    match ask.verb:
        case "claim":
            return pb.ClaimRequest(work_key=ask.keys[0], ttl=ttl, **by, **more)
        case "next":
            return pb.ClaimNextRequest(candidates=ask.keys, from_pool=not ask.keys, ttl=ttl, **by, **more)
        case "renew":
            return pb.RenewRequest(work_key=ask.keys[0], **by, **more)
        case "complete":
            return pb.CompleteRequest(work_key=ask.keys[0], **by, **more)
        case "release":
            return pb.ReleaseRequest(work_key=ask.keys[0], **by, **more)
        case "submit":
            item = pb.SubmitItem(work_key=ask.keys[0], brief=options.get("brief"), priority=options.get("priority"))
            if "depends" in options:
                item.depends.work_keys[:] = options["depends"]
            return pb.SubmitRequest(items=[item], **by)
        case "look":
            return pb.GetRequest(fleet=fleet, work_key=ask.keys[0])
    return pb.WatchRequest(fleet=fleet, start_revision=1)


def _authorization(world: World, ask: Ask) -> dict[str, str]:
    path = world.token_file(ask.bearing)
    return {} if path is None else {"authorization": f"Bearer {path.read_text().strip()}"}


def over_grpc(world: World, fleet: str, ask: Ask) -> Meaning | None:
    with grpc.insecure_channel(world.endpoint) as channel:
        stub = CoordinatorServiceStub(channel)
        metadata = tuple(_authorization(world, ask).items())
        request = _request(fleet, ask)
        try:
            if ask.verb == "events":
                next(stub.Watch(request, metadata=metadata, timeout=20))
            return meaning_of_message(getattr(stub, _METHODS[ask.verb])(request, metadata=metadata, timeout=30))
        except grpc.RpcError as error:
            call = cast(grpc.Call, error)
            return failed(call.code().name, call.details() or "")


def over_http(world: World, fleet: str, ask: Ask) -> Meaning | None:
    with HttpCaller(world.http_url) as caller:
        headers = _authorization(world, ask)
        request = _request(fleet, ask)
        if ask.verb == "events":
            query = f"/events?fleet={fleet}&start_revision={request.start_revision}"
            status, _, body = caller.send(query, None, headers, method="GET")
            found = json.loads(body)
        else:
            status, found = caller.call(
                _METHODS[ask.verb], request, header=headers.get("authorization"), Connect_Timeout_Ms="30000"
            )
        if status != 200:
            code = found["code"].upper()
            assert status == _STATUSES[code]
            return failed(code, found["message"])
        response = getattr(pb, f"{_METHODS[ask.verb]}Response")
        return meaning_of_message(json_format.ParseDict(found, response()))


def by_command(world: World, fleet: str, ask: Ask) -> Meaning | None:
    commands = {
        "claim": "work-claim", "next": "work-next", "renew": "work-renew", "complete": "work-complete",
        "release": "work-abandon", "submit": "work-submit", "look": "work-show", "events": "work-watch",
    }  # fmt: skip
    arguments = [commands[ask.verb], "--json"]
    arguments += ["--ttl", f"{TTL_SECONDS}s"] if ask.verb in ("claim", "next") else []
    arguments += ["--from-revision", "1", "--limit", "1"] if ask.verb == "events" else []
    variables: dict[str, str] = {} if ask.verb in ("look", "events") else {"COORDINATION_SESSION": ME}
    for name, value in ask.options.items():
        match name:
            case "instance":
                variables["COORDINATION_INSTANCE"] = value
            case "failed":
                arguments.append("--failed")
            case "depends" | "distinct_from":
                arguments += [part for each in value for part in (f"--{name.replace('_', '-')}", each)]
            case "wait":
                arguments += ["--wait", f"{value}s"]
            case _:
                arguments += [f"--{name}", str(value)]
    if (token_file := world.token_file(ask.bearing)) is not None:
        variables["COORDINATION_TOKEN_FILE"] = str(token_file)
    environment = _environment(
        COORDINATION_ENDPOINT=world.endpoint, COORDINATION_FLEET=fleet, COORDINATION_TIMEOUT=str(_PATIENCE), **variables
    )
    done = shared_command().run([COMMAND, *arguments, "--", *ask.keys], environment, 60)
    meaning = meaning_of_json(ask.verb, json.loads(done.stdout))
    _check_exit(ask, meaning, done.returncode)
    return meaning


def _check_exit(ask: Ask, meaning: Meaning, code: int) -> None:
    if meaning["outcome"] == "error":
        kind = ClaimLost if meaning["says"].startswith(ClaimLost.PREFIX) else error_for_code(meaning["code"])
        assert code == kind.exit_code, meaning
    else:
        never = ask.verb == "look" and meaning["outcome"] == "available"
        assert code == (1 if meaning["outcome"] == "denied" or never else 0), meaning


def by_tool(world: World, fleet: str, ask: Ask) -> Meaning | None:
    if ask.verb == "events":
        return None
    tools = {"next": "claim", "renew": "note", "complete": "finish", "release": "finish"}
    arguments = dict(ask.options)
    arguments.pop("instance", None)  # an agent's server is a process of its own
    if ask.verb in ("claim", "next"):
        arguments |= {"keys": [*ask.keys]} if ask.keys else {}
        arguments |= {"wait_seconds": arguments.pop("wait")} if "wait" in arguments else {}
    else:
        arguments["key"] = ask.keys[0]
    if ask.verb in ("complete", "release"):
        failed_too = arguments.pop("failed", False)
        arguments["outcome"] = "completed" if ask.verb == "complete" else "failed" if failed_too else "released"
    text, fields, is_error = world.run(_call(world, fleet, ask, tools.get(ask.verb, ask.verb), arguments))
    return meaning_of_tool(ask.verb, text, fields, is_error=is_error)


class _Call:
    """What a handler looks at of a call."""

    request_id = 1


async def _call(
    world: World, fleet: str, ask: Ask, tool: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any], bool]:
    client = AsyncClient(world.endpoint, fleet=fleet, timeout=_PATIENCE, token_file=world.token_file(ask.bearing))
    desk = Desk(client, ME, "", TTL_SECONDS)
    try:
        parameters = protocol.CallToolRequestParams(name=tool, arguments=arguments)
        found = await Handlers(seat_at(desk, named=True)).call_tool(cast(Any, _Call()), parameters)
    finally:
        await desk.close()
    (content,) = found.content
    assert isinstance(content, protocol.TextContent)
    return content.text, cast(dict[str, Any], found.structured_content or {}), found.is_error


FACES: dict[str, Face] = {"gRPC": over_grpc, "HTTP": over_http, "command": by_command, "MCP": by_tool}
