"""Making a credential: its token goes into one file, its digest into the tokens file, and neither anywhere else.

Invariants: a token is never printed, logged or given as an argument; its file is readable by its owner only from the
moment it exists; no file is overwritten. The format of the tokens file is in ``tokens_file.py``.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.process.new_files import new_files
from coordinator.security.file_trust import check_place
from coordinator.security.tokens_file import Wanted, add_entry

__all__ = ["add_credential"]

#: 256 random bits: as long as a token cannot be guessed, its digest needs neither salt nor a slow function.
_RANDOM_BYTES = 32
#: Lets scanners of leaked secrets, and people, see what it is.
_PREFIX = "coordination-"


def add_credential(tokens: Path, wanted: Wanted, out: Path | None) -> None:
    """Add an entry to ``tokens``; with ``out``, for a new token, which is written there.

    Raises ``InvalidInput`` if ``out`` is there already or a file cannot be written; then nothing has been added.
    """
    check_place(tokens, "tokens")
    if out is None:
        add_entry(tokens, wanted.entry(None))
        return
    check_place(out, "out")
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    try:
        with new_files() as files:
            files.write(out, f"{token}\n".encode(), 0o600)
    except FileExistsError:
        raise InvalidInput(
            f"{out} already exists and is not overwritten", field="out", hint="choose another file with --out"
        ) from None
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror or error}", field="out") from None
    try:
        if tokens.exists() and tokens.samefile(out):
            raise InvalidInput(f"--out and --tokens both name {out}; they must be two files", field="out")
        add_entry(tokens, wanted.entry(token))
    except BaseException:
        out.unlink()
        raise
