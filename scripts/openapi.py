"""Describe the coordinator's HTTP in OpenAPI 3.1, from ``proto/``: ``python scripts/openapi.py [--check]``.

Writes ``coordinator/web/openapi.json``, which a coordinator serves. Names, fields and their words come from the .proto
files, so that a call that is added there is described too. With ``--check`` nothing is written, and the exit code is 1
if the file is not what they make.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from generated_files import write_or_check
from google.protobuf import descriptor_pb2 as described

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "coordinator/web/openapi.json"
SERVICE = "coordinator.v1.CoordinatorService"
_Field = described.FieldDescriptorProto
_NUMBER = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_SCALARS: dict[int, dict[str, Any]] = {
    _Field.TYPE_STRING: {"type": "string"},
    _Field.TYPE_BOOL: {"type": "boolean"},
    _Field.TYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    _Field.TYPE_INT64: _NUMBER,
    _Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
}
_KNOWN: dict[str, dict[str, Any]] = {
    ".google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$",
        "examples": ["60s"],
    },
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
WATCHED: dict[str, tuple[dict[str, Any], str]] = {
    "fleet": ({"type": "string"}, "By default `default`."),
    "kind": ({"type": "string"}, "Only work of this kind."),
    "session": ({"type": "string"}, "Only what concerns this session."),
    "start_revision": (_NUMBER, "Where to begin, or to continue; by default, now."),
}
#: The numbers of fields in descriptors, by which comments are found.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _METHODS, _NESTED, _NESTED_ENUMS, _VALUES = 4, 5, 6, 2, 2, 3, 4, 2
_ABOUT = (
    "Calls in the Connect protocol with JSON: 64-bit numbers are strings, names are in camelCase, unknown fields are "
    "ignored. A denial is an answer, not an error. Events are server-sent. docs/http.md explains it."
)
_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "The gRPC status code's name in lower case."},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"const": "coordinator.v1.ErrorDetail"},
                    "value": {"type": "string", "description": "The detail in protobuf's wire format and base64."},
                    "debug": {"$ref": "#/components/schemas/ErrorDetail"},
                },
            },
        },
    },
}


def main() -> int:
    """Write the file, or check it."""
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    return write_or_check({TARGET: text}, source="proto/", target="docs")


def document() -> dict[str, Any]:
    """Return the whole description."""
    buf = Path(sys.executable).with_name("buf")
    built = subprocess.run([buf, "build", "-o", "-"], cwd=ROOT, check=True, capture_output=True).stdout
    files = [each for each in described.FileDescriptorSet.FromString(built).file if each.package == "coordinator.v1"]
    schemas: dict[str, Any] = {}
    calls: dict[str, Any] = {}
    for file in files:
        comments = {tuple(each.path): _words(each.leading_comments) for each in file.source_code_info.location}
        for number, enum in enumerate(file.enum_type):
            schemas[enum.name] = _enum(enum, comments, (_ENUMS, number))
        for number, message in enumerate(file.message_type):
            schemas |= dict(_message(message, message.name, comments, (_MESSAGES, number)))
        for number, service in enumerate(file.service):
            calls |= dict(_calls(service, comments, (_SERVICES, number)))
    return {
        "openapi": "3.1.0",
        "info": {"title": "coordinator", "version": "v1", "description": _ABOUT},
        "paths": calls | _pages(),
        "security": [{}, {"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted((schemas | {"Error": _ERROR}).items())),
            "responses": {
                "Refused": {
                    "description": "An error; `details` hold what to do next.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                },
            },
        },
    }


def _calls(
    service: described.ServiceDescriptorProto, comments: dict[tuple[int, ...], str], path: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    for number, method in enumerate(service.method):
        if method.server_streaming:
            continue
        yield (
            f"/{SERVICE}/{method.name}",
            {
                "post": {
                    "operationId": method.name,
                    "description": comments.get((*path, _METHODS, number), ""),
                    "requestBody": {"required": True, "content": _json(method.input_type)},
                    "responses": {
                        "200": {"description": "The answer.", "content": _json(method.output_type)},
                        "default": {"$ref": "#/components/responses/Refused"},
                    },
                }
            },
        )


def _pages() -> dict[str, Any]:
    def page(what: str, content_type: str, *parameters: Any, **more: Any) -> dict[str, Any]:
        answers = {"200": {"description": what, "content": {content_type: {"schema": {"type": "string"}}}}}
        found: dict[str, Any] = {"description": what, "responses": answers | more}
        return {"get": found | ({"parameters": list(parameters)} if parameters else {})}

    refused = {"default": {"$ref": "#/components/responses/Refused"}}
    wanted = [
        {"name": name, "in": "query", "schema": schema, "description": words}
        for name, (schema, words) in WATCHED.items()
    ]
    return {
        "/events": page(
            "What happens to a fleet's claims, as server-sent events: `data` is a WatchResponse in JSON, `id` the "
            "revision with which to continue. `event: progress` says that all up to a revision was sent, `event: end` "
            "why it ends.",
            "text/event-stream",
            *wanted,
            **refused,
        ),
        "/metrics": page("The metrics, as Prometheus reads them.", "text/plain", **refused),
        "/healthz": page("The coordinator runs.", "text/plain"),
        "/readyz": page("The coordinator answers calls.", "text/plain", **{"503": {"description": "It is stopping."}}),
    }


def _message(
    message: described.DescriptorProto, name: str, comments: dict[tuple[int, ...], str], path: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    properties = {
        field.json_name: _field(field) | _about(comments.get((*path, _FIELDS, number)))
        for number, field in enumerate(message.field)
    }
    yield name, {"type": "object"} | _about(comments.get(path)) | {"properties": properties}
    for number, enum in enumerate(message.enum_type):
        yield f"{name}.{enum.name}", _enum(enum, comments, (*path, _NESTED_ENUMS, number))
    for number, nested in enumerate(message.nested_type):
        yield from _message(nested, f"{name}.{nested.name}", comments, (*path, _NESTED, number))


def _field(field: described.FieldDescriptorProto) -> dict[str, Any]:
    schema = _SCALARS.get(field.type) or _KNOWN.get(field.type_name) or {"$ref": _reference(field.type_name)}
    return {"type": "array", "items": schema} if field.label == _Field.LABEL_REPEATED else dict(schema)


def _enum(
    enum: described.EnumDescriptorProto, comments: dict[tuple[int, ...], str], path: tuple[int, ...]
) -> dict[str, Any]:
    said = [(value.name, comments.get((*path, _VALUES, number))) for number, value in enumerate(enum.value)]
    lines = [comments.get(path, ""), *(f"- `{name}`: {words}" for name, words in said if words)]
    return {"type": "string", "enum": [name for name, _ in said]} | _about("\n".join(filter(None, lines)))


def _json(type_name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _reference(type_name)}}}


def _reference(type_name: str) -> str:
    return f"#/components/schemas/{type_name.removeprefix('.coordinator.v1.')}"


def _about(words: str | None) -> dict[str, str]:
    return {"description": words} if words else {}


def _words(comment: str) -> str:
    return "\n".join(_unwrapped(line.strip() for line in comment.strip().splitlines()))


def _unwrapped(lines: Iterator[str] | Sequence[str]) -> list[str]:
    """Join the lines of each paragraph."""
    found: list[str] = []
    for line in lines:
        if found and line and not line.startswith("- ") and found[-1]:
            found[-1] += f" {line}"
        else:
            found.append(line)
    return found


if __name__ == "__main__":
    sys.exit(main())
