"""Installs what an agent needs, in a project or for a user: looks at the files, decides, and writes all or nothing.

Invariants (docs/adr/0038-what-is-written-into-agents-settings.md):
- What this command did not write is never changed, and a file that cannot be understood is not touched.
- All texts are made before the first file is written, and all files are written before the first gets its name: what
  cannot be done leaves everything as it was. A file is the old one or the new one, never a part of one.
- Installing twice is installing once. Removing leaves every file byte by byte as it was before, and no directory that
  was made for them.
- A file keeps its mode and its owner; a link is followed and stays. A file with another name (a hard link), one that is
  not writable, and one that changes while this runs, is not written.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from coordinator.agents.pieces import CannotEdit, Piece
from coordinator.agents.text_pieces import OwnFile
from coordinator.errors import InvalidInput
from coordinator.process.new_files import new_files
from coordinator.security.file_trust import user_name

__all__ = ["Found", "Plan", "apply", "look", "plan_install", "plan_removal"]

#: More than any agent's settings have, in bytes.
_MOST_BYTES = 16 * 1024 * 1024


class Found(NamedTuple):
    """A file as it is: where it is behind links, what it holds, and its status; None where it is not there."""

    piece: Piece
    real: Path
    content: bytes | None
    status: os.stat_result | None

    @property
    def text(self) -> str | None:
        """What it holds, as text; raises ``CannotEdit``."""
        try:
            return None if self.content is None else self.content.decode()
        except UnicodeDecodeError as error:
            raise CannotEdit(f"it is not UTF-8 at byte {error.start}") from None


class Plan(NamedTuple):
    """A file, and what is to become of it: its new text, None if it is to be removed, and why something is left."""

    found: Found
    after: str | None
    left: str | None

    @property
    def changes(self) -> bool:
        """Whether anything is to be written or removed."""
        return self.after != self.found.text


def look(pieces: Iterable[Piece]) -> list[Found]:
    """Read the files; raises ``InvalidInput`` for one that cannot be read."""
    return [_look(piece) for piece in pieces]


def plan_install(files: Sequence[Found], root: Path) -> list[Plan]:
    """Return what is to be written; raises ``InvalidInput`` for a file that cannot be edited."""
    made = tuple(_missing((found.real.parent for found in files), root))
    plans = []
    for found in files:
        piece = found.piece._replace(made=made) if isinstance(found.piece, OwnFile) else found.piece
        with _naming(found):
            text = found.text
            plans.append(Plan(found, piece.install(text), None if text is None else piece.left(text)))
    return plans


def plan_removal(files: Sequence[Found]) -> list[Plan]:
    """Return what is to be taken out; raises ``InvalidInput`` for a file that cannot be edited."""
    plans = []
    for found in files:
        with _naming(found):
            text = found.text
            there = text is not None and found.piece.is_there(text)
            after = found.piece.remove(text) if there and text is not None else text
            if after is None and found.piece.path.is_symlink():
                # A link that leads nowhere would be left.
                after = "{}\n" if found.piece.path.suffix == ".json" else ""
            left = found.piece.left(text) if there and text is not None and after == text else None
            plans.append(Plan(found, after, left))
    return plans


def apply(plans: Sequence[Plan], root: Path) -> None:
    """Write and remove files; raises ``InvalidInput`` if that cannot be done, and then nothing was changed."""
    changing = [plan for plan in plans if plan.changes]
    for plan in changing:
        _check_writable(plan.found)
    removed_directories = [root / name for plan in plans for name in _made_for(plan)]
    with _directories(plan.found.real.parent for plan in changing if plan.after is not None):
        with new_files() as files:
            for plan in changing:
                if plan.after is not None:
                    status = plan.found.status
                    mode = 0o666 & ~_umask() if status is None else stat.S_IMODE(status.st_mode)
                    files.write(plan.found.real, plan.after.encode(), mode, replace=status is not None)
            for plan in changing:
                _check_unchanged(plan.found)
        for plan in changing:
            _finish(plan)
    for directory in sorted(removed_directories, key=lambda directory: -len(directory.parts)):
        with contextlib.suppress(OSError):
            directory.rmdir()


@contextlib.contextmanager
def _directories(wanted: Iterable[Path]) -> Iterator[None]:
    """Make directories; if the block fails, take those away that were not there, and say why as ``InvalidInput``."""
    made: list[Path] = []
    try:
        for directory in wanted:
            for path in (*reversed(directory.parents), directory):
                if not path.exists():
                    path.mkdir()
                    made.append(path)
        yield
    except BaseException as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()
        if not isinstance(error, OSError):
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise InvalidInput(
            f"the files cannot be written: {error.strerror or error}{where}",
            hint="nothing was changed; make room, or see who may write there",
        ) from None


def _look(piece: Piece) -> Found:
    path = piece.path
    try:
        real = path.resolve()
        if path.is_symlink() and not real.exists():
            raise InvalidInput(
                f"{path} is a link to {real}, which is not there", hint="remove the link, or make the file"
            )
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Found(piece, real, None, None)
    except (OSError, RuntimeError) as error:
        raise InvalidInput(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or 'its links go in circles'}"
        ) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "no plain file"
        raise InvalidInput(f"{path} is {what}; a file is expected there")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InvalidInput(f"{path} is too large; allowed are {_MOST_BYTES} bytes")
    return Found(piece, real, content, status)


@contextlib.contextmanager
def _naming(found: Found) -> Iterator[None]:
    try:
        yield
    except CannotEdit as error:
        raise InvalidInput(
            f"{found.piece.path} cannot be edited: {error}",
            hint="nothing was changed; correct that file, and try again",
        ) from None


def _missing(directories: Iterable[Path], root: Path) -> list[str]:
    """Return the directories below the root that are not there, from the top down, as they are from it on."""
    found: list[str] = []
    for directory in directories:
        if root not in directory.parents:
            continue
        names = directory.relative_to(root).parts
        paths = [Path(*names[: depth + 1]) for depth in range(len(names))]
        found += [str(path) for path in paths if not (root / path).exists() and str(path) not in found]
    return found


def _made_for(plan: Plan) -> list[str]:
    """Return the directories that were made for files that are removed now."""
    piece, text = plan.found.piece, plan.found.text
    if not isinstance(piece, OwnFile) or text is None or plan.after is not None:
        return []
    return [name for name in piece.made_for(text) if not Path(name).is_absolute() and ".." not in Path(name).parts]


def _check_writable(found: Found) -> None:
    path = found.piece.path
    if found.status is None:
        return
    if found.status.st_nlink > 1:
        raise InvalidInput(
            f"{path} has another name, which would not follow a change", hint="replace it by a file of its own"
        )
    if found.status.st_uid != os.geteuid() and os.geteuid() != 0:
        raise InvalidInput(f"{path} belongs to {user_name(found.status.st_uid)}, so it is not changed")
    if not os.access(found.real, os.W_OK) or not found.status.st_mode & stat.S_IWUSR:
        raise InvalidInput(f"{path} is not writable, so it is not changed", hint=f"chmod u+w {path}")


def _check_unchanged(found: Found) -> None:
    try:
        now: bytes | None = found.real.read_bytes()
    except FileNotFoundError:
        now = None
    if now != found.content:
        raise InvalidInput(f"{found.piece.path} has changed meanwhile", hint="nothing was changed; try again")


def _finish(plan: Plan) -> None:
    """Remove a file that is to be removed, and give one that was written the owner that it had."""
    if plan.after is None:
        plan.found.real.unlink()
    elif plan.found.status is not None and plan.found.status.st_uid != os.geteuid():
        os.chown(plan.found.real, plan.found.status.st_uid, plan.found.status.st_gid)


def _umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now
