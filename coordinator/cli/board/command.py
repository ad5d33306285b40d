"""``coordination board``: where the board is, or the board as one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from coordinator.cli.context import Context, current
from coordinator.cli.output import answer, hint
from coordinator.cli.quantities import named_path
from coordinator.cli.streams import write_answer
from coordinator.errors import InvalidInput
from coordinator.names import DEFAULT_FLEET
from coordinator.net.endpoints import DEFAULT_HTTP_LISTEN, DEFAULT_LISTEN, parse_endpoints, split_address
from coordinator.net.unix_sockets import is_unix
from coordinator.process.new_files import new_files
from coordinator.security.file_trust import check_place

__all__ = ["COMMANDS"]

_STDOUT = Path("-")

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        parser=named_path("--out", "a file"),
        help="Write the board to this file, for its owner alone; - is standard output.",
    ),
]


def board(
    out: Out = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> int:
    """Say where the board is; with --out, write it as one file that a browser shows without a coordinator.

    The file has what the fleet is at this moment, notes of sessions included, and loads nothing.
    """
    context = current()
    if out is None:
        return _say_where(context)
    if out == _STDOUT and context.json:
        raise InvalidInput("--json cannot be used with a board on standard output", field="out")
    if out != _STDOUT:
        _check_target(out, force=force)
    page = _read(context)
    if out == _STDOUT:
        write_answer(page)
        return 0
    content = page.encode()
    _write(out, content, force=force)
    said = f"the board of fleet {context.fleet} is in {out}; a browser shows it"
    answer(context, said, {"url": None, "file": str(out), "bytes": len(content)})
    return 0


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"board": board}


def _say_where(context: Context) -> int:
    url = _url(context)
    found = {"url": url, "file": None, "bytes": None}
    if url is None:
        text = (
            f"where the board of {context.endpoint} is, the coordinator says when it starts; on a unix "
            "socket there is one with --http-listen and --tokens"
        )
        answer(context, text, found)
    else:
        answer(context, url, found)
        hint(context, "it is elsewhere where the coordinator was started with --http-listen")
    hint(context, "`coordination board --out FILE` writes it as one file")
    return 0


def _url(context: Context) -> str | None:
    """Return where a browser finds the board; None where the endpoint does not say it."""
    endpoint = parse_endpoints(context.endpoint)[0]
    if is_unix(endpoint):
        return None
    host, port = split_address(endpoint, "endpoint")
    if port != split_address(DEFAULT_LISTEN, "listen")[1]:
        return None
    shown = f"[{host}]" if ":" in host else host
    http_port = split_address(DEFAULT_HTTP_LISTEN, "http-listen")[1]
    wanted = "" if context.fleet == DEFAULT_FLEET else f"?fleet={quote(context.fleet, safe='')}"
    return f"http{'s' if context.encrypted else ''}://{shown}:{http_port}/{wanted}"


def _read(context: Context) -> str:
    import asyncio

    from coordinator.cli.board.page import build_page
    from coordinator.cli.board.snapshot import read_snapshot

    async def read() -> str:
        async with context.async_client() as client:
            return build_page(await read_snapshot(client, context.fleet))

    return asyncio.run(read())


def _check_target(out: Path, *, force: bool) -> None:
    """Raise ``InvalidInput`` for a place where nothing may be written; nothing is asked in vain then."""
    check_place(out, "out", links_only=True)
    if not os.path.lexists(out):
        return
    if not force:
        raise _exists(out)
    if not stat.S_ISREG(out.lstat().st_mode):
        raise InvalidInput(f"{out} is no plain file, and is not replaced", field="out", hint="name another file")


def _write(out: Path, content: bytes, *, force: bool) -> None:
    try:
        with new_files() as files:
            files.write(out, content, 0o600, replace=force)
    except FileExistsError:
        raise _exists(out) from None
    except OSError as error:
        raise InvalidInput(
            f"the board {out} cannot be written: {error.strerror}", field="out", hint="name another file"
        ) from None


def _exists(out: Path) -> InvalidInput:
    return InvalidInput(f"{out} already exists", field="out", hint="name another, or add --force")
