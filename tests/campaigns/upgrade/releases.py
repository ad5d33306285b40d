"""Packages to run beside one another: wheels of the last release and of this tree, each in a directory of its own."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["LAST", "Installed", "Release", "install_release", "install_tree"]

ROOT = Path(__file__).parents[3]
_START = "import sys; sys.argv[0] = 'coordination'; from coordinator.cli import main; sys.exit(main())"


class Release(NamedTuple):
    """A release: its version, and its commit, for a clone that has no tags."""

    version: str
    commit: str


#: The last release.
LAST = Release("0.1.0", "1db42919eb4a4ca2b7d352e2681cd5521be701ad")


class Installed(NamedTuple):
    """A package that was installed from a wheel: ``directory`` belongs into PYTHONPATH, ``program`` is its command."""

    version: str
    wheel: Path
    directory: Path
    program: tuple[str, ...]


def install_release(release: Release, below: Path) -> Installed:
    """Build the wheel of a release from its state in git, and install it.

    Raises ``RuntimeError`` where this clone does not have it.
    """
    tag = f"v{release.version}"
    for name in (tag, release.commit):
        packed = subprocess.run(["git", "-C", str(ROOT), "archive", name], capture_output=True, check=False)
        if packed.returncode == 0:
            break
    else:
        raise RuntimeError(f"neither the tag {tag} nor the commit {release.commit} is in this clone: fetch its history")
    source = below / f"source-{release.version}"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(source, filter="data")
    return _installed(source, below / f"package-{release.version}")


def install_tree(below: Path) -> Installed:
    """Build the wheel of this tree, and install it."""
    return _installed(ROOT, below / "package-tree")


def _installed(source: Path, directory: Path) -> Installed:
    built = directory.with_name(f"{directory.name}-wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--no-index", "--target", str(directory), str(wheel)], check=True, capture_output=True)
    version = wheel.name.split("-")[1]
    return Installed(version, wheel, directory, (sys.executable, "-P", "-c", _START))
