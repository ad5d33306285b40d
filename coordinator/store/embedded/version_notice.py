"""Says what is wrong with the version of an embedded etcd, and how to get a better one: once for each data directory.

Invariant: it is said until it could be written down that it was, and again for another version. What cannot be written
down keeps no coordinator from running. `coordination doctor` says it whenever it is asked.
"""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

from coordinator.store.embedded.binary import EtcdBinary

__all__ = ["notices_for"]

#: Beside etcd's data: the version of which it was said.
_STAMP = "etcd-notice"
_LONGEST = 100
#: A release whose faults do not matter to claims.
_RELEASE = "v3.5.33"
_PACKAGES = (
    ("Debian 13", "sudo apt install etcd-server"),
    ("Fedora", "sudo dnf install etcd"),
    ("macOS", "brew install etcd"),
)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def notices_for(binary: EtcdBinary, directory: Path) -> tuple[str, ...]:
    """Return the sentences to say when this etcd is started on a data directory, and note that they are said."""
    if binary.notice is None or _said(directory) == binary.version:
        return ()
    _note(directory, binary.version)
    ways = [f"`{typed}` on {system}" for system, typed in _PACKAGES]
    start = f'`coordination up --etcd "$PWD/{_name()}/etcd"`'
    return (
        binary.notice,
        f"for a newer one type {', '.join(ways)}; the next `coordination up` finds it on PATH",
        f"or take a release of the project: `{_download()}`, then {start}; claims are kept",
        f"this notice is shown once for {directory}; `coordination doctor` always shows it",
    )


def _name() -> str:
    return f"etcd-{_RELEASE}-linux-{_MACHINES.get(platform.machine(), 'amd64')}"


def _download() -> str:
    return f"curl -L https://github.com/etcd-io/etcd/releases/download/{_RELEASE}/{_name()}.tar.gz | tar xz"


def _said(directory: Path) -> str | None:
    """Return the version of which it was said here."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        descriptor = os.open(directory / _STAMP, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_LONGEST).decode("ascii").strip()
    return None


def _note(directory: Path, version: str) -> None:
    stamp = directory / _STAMP
    with contextlib.suppress(OSError):
        # Another one in its place, so that nothing is written through a link.
        stamp.unlink(missing_ok=True)
        descriptor = os.open(stamp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{version}\n".encode())
