"""Make docs/api.md from the .proto files: ``python scripts/api_docs.py [--check]``, with grpcio-tools installed.

With ``--check`` nothing is written, and the exit code is 1 if the page is not what the .proto files make.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from generated_files import write_or_check
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
PAGE = ROOT / "docs/api.md"
_FILES = ("coordinator/v1/service.proto", "coordinator/v1/types.proto")
#: Where the parts of a file stand in its descriptor, by their numbers: messages, enums, services; fields and nested
#: messages of a message, its enums; values of an enum; methods of a service.
_MESSAGE, _ENUM, _SERVICE, _FIELD, _NESTED, _ENUM_OF_MESSAGE, _VALUE, _METHOD = 4, 5, 6, 2, 3, 4, 2, 2
_HEAD = """# The API

What a coordinator answers, over gRPC and, as JSON, over [HTTP](http.md). This page is made from `proto/coordinator/v1/`
by `make proto`. Fields that are absent have their type's zero value. Names and numbers stay as they are; new ones may
come.
"""

#: The comments of a file, by where they stand.
_Comments = dict[tuple[int, ...], str]


def main() -> int:
    """Write the page, or check it."""
    return write_or_check({PAGE: page()}, source="proto/", target="proto")


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    files = _described()
    for file in files:
        parts += _calls(file, _comments(file))
    parts.append("## Messages\n")
    for file in files:
        parts += _messages(file, _comments(file))
    return "\n".join(parts)


def _described() -> Sequence[FileDescriptorProto]:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "described")
        includes = [f"-I{PROTO}", f"-I{resources.files('grpc_tools') / '_proto'}"]
        if protoc.main(["protoc", *includes, f"--descriptor_set_out={out}", "--include_source_info", *_FILES]):
            raise SystemExit("protoc failed")
        described = FileDescriptorSet.FromString(out.read_bytes())
    return sorted(described.file, key=lambda file: _FILES.index(file.name))


def _comments(file: FileDescriptorProto) -> _Comments:
    return {
        tuple(location.path): (location.leading_comments or location.trailing_comments).strip()
        for location in file.source_code_info.location
    }


def _calls(file: FileDescriptorProto, comments: _Comments) -> Iterator[str]:
    for number, service in enumerate(file.service):
        yield f"{_text(comments[_SERVICE, number])}\n\n## Calls\n"
        yield f"All are of the service `{file.package}.{service.name}`.\n"
        yield "| call, its request and its answer | what it does |\n|---|---|"
        for index, method in enumerate(service.method):
            answer = _link(method.output_type) + (", streamed" if method.server_streaming else "")
            about = _cell(comments[_SERVICE, number, _METHOD, index])
            yield f"| `{method.name}`<br>{_link(method.input_type)}<br>{answer} | {about} |"
        yield ""


def _messages(file: FileDescriptorProto, comments: _Comments) -> Iterator[str]:
    for number, message in enumerate(file.message_type):
        yield from _message(message, (_MESSAGE, number), comments, "")
    for number, enum in enumerate(file.enum_type):
        yield from _enum(enum, (_ENUM, number), comments, "")


def _message(message: DescriptorProto, at: tuple[int, ...], comments: _Comments, outer: str) -> Iterator[str]:
    if message.options.map_entry:
        return
    name = f"{outer}{message.name}"
    yield f"### {name}\n\n{_text(comments.get(at, ''))}".rstrip() + "\n"
    if message.field:
        yield "| field | type | what it is |\n|---|---|---|"
        for index, field in enumerate(message.field):
            yield f"| `{field.name}` | {_type(field)} | {_cell(comments.get((*at, _FIELD, index), ''))} |"
        yield ""
    for index, nested in enumerate(message.nested_type):
        yield from _message(nested, (*at, _NESTED, index), comments, f"{name}.")
    for index, enum in enumerate(message.enum_type):
        yield from _enum(enum, (*at, _ENUM_OF_MESSAGE, index), comments, f"{name}.")


def _enum(enum: EnumDescriptorProto, at: tuple[int, ...], comments: _Comments, outer: str) -> Iterator[str]:
    yield f"### {outer}{enum.name}\n\n{_text(comments.get(at, ''))}".rstrip() + "\n"
    yield "| value | what it means |\n|---|---|"
    for index, value in enumerate(enum.value):
        yield f"| `{value.name}` | {_cell(comments.get((*at, _VALUE, index), ''))} |"
    yield ""


def _type(field: FieldDescriptorProto) -> str:
    named = _link(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {named}"
    return f"optional {named}" if field.proto3_optional else named


def _link(type_name: str) -> str:
    """Return the name of a message or an enum, with a link to where this page describes it."""
    name = type_name.removeprefix(".coordinator.v1.")
    if name.startswith("."):
        return f"`{name.removeprefix('.')}`"
    return f"[{name}](#{name.lower().replace('.', '')})"


def _text(comment: str) -> str:
    """Return a comment as a paragraph, with its list if it has one."""
    return "\n".join(line.removeprefix(" ") for line in comment.splitlines()).replace(":\n- ", ":\n\n- ")


def _cell(comment: str) -> str:
    """Return a comment as the cell of a table."""
    return re.sub(r"\s+", " ", comment).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
