"""Fetch programs from Debian, without root and without changing anything of the system.

apt works on a source, lists and a cache of its own. The mirror, and the keys that its packages are checked with, are
those of the machine's own configuration; only the suite may be another. A failure is reported in one sentence.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CANNOT",
    "CannotFetch",
    "Wanted",
    "debian_source",
    "fetch",
    "machine_release",
    "machine_sources",
    "report_fetch",
]

CANNOT = 3
#: Seconds for one command of apt's: the index of a suite has 10 MB.
COMMAND_LIMIT = 300

_APT = Path("/etc/apt")
#: What Debian calls releases without naming them.
_ROLES = {"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"}
#: Options of the one-line format that are fields of another name in the other one; the rest only differ in case.
_FIELDS = {"arch": "architectures", "lang": "languages", "target": "targets"}
#: What our own source says, whatever the machine's says.
_OURS = {"types", "suites", "components", "enabled"}

Source = dict[str, str]


class CannotFetch(Exception):
    """The program cannot be had; the message is one sentence."""


@dataclass(frozen=True)
class Wanted:
    """What is fetched: ``what`` is its name in a sentence, ``version`` finds the version in what ``program`` reports.

    Of the packages that it depends on only those come along whose names ``along`` matches.
    """

    what: str
    packages: tuple[str, ...]
    program: str
    version: str
    target: Path
    along: str | None = None


def fetch(wanted: Wanted, suite: str) -> Path:
    """Return the program as a suite of Debian has it, having fetched it unless it is there.

    It is unpacked into ``<target>/<version>/``, and ``<target>/<suite>`` is a link to that.

    Raises:
        CannotFetch: there is no apt, no mirror of Debian, no network, or what was fetched does not run.

    """
    named = wanted.target / suite
    if os.access(named / wanted.program, os.X_OK):
        return named.resolve() / wanted.program
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise CannotFetch(f"{program} is not on PATH: {wanted.what} is fetched from Debian, with apt")
    wanted.target.mkdir(exist_ok=True)
    with _locked(wanted.target):
        # Another process may have fetched it meanwhile.
        if not os.access(named / wanted.program, os.X_OK):
            try:
                _put(wanted, suite, named)
            except CannotFetch as error:
                raise CannotFetch(f"{wanted.what} cannot be had: {error}") from error
    return named.resolve() / wanted.program


def _put(wanted: Wanted, suite: str, named: Path) -> None:
    # Beside what it becomes, so that moving it there is one step: what has a name is whole.
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=wanted.target) as scratch:
        source = debian_source(machine_sources(), machine_release())
        tree = _download(wanted, suite, source, Path(scratch))
        home = wanted.target / _version(tree / wanted.program, wanted.version)
        shutil.rmtree(home, ignore_errors=True)
        tree.rename(home)
    named.unlink(missing_ok=True)
    named.symlink_to(home.name)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from fetching into a directory during the block."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def report_fetch(what: str, fetch_it: Callable[[], Path]) -> int:
    """Fetch, and print where it is, or one sentence that says why it cannot be had; returns the exit code."""
    try:
        print(fetch_it())
    except CannotFetch as error:
        print(f"error: {error}", file=sys.stderr)
        return CANNOT
    except OSError as error:
        print(f"error: {what} cannot be unpacked: {error}", file=sys.stderr)
        return CANNOT
    return 0


def machine_sources() -> Iterator[Source]:
    """Yield the sources of packages that this machine is set up with, in both formats that apt reads."""
    for path in [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            yield from _stanzas(path.read_text(encoding="utf-8"))
        elif path.suffix == ".list" and path.exists():
            yield from _lines(path.read_text(encoding="utf-8"))


def _stanzas(text: str) -> Iterator[Source]:
    """Read the fields of each paragraph; a field, such as a key, goes on in lines that begin with a blank."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        source = {name.lower(): value.rstrip() for name, value in fields}
        if source and source.get("enabled", "yes").lower() not in {"no", "false", "0", "off"}:
            yield source


def _lines(text: str) -> Iterator[Source]:
    """Read ``deb [option=value …] uri suite component…``."""
    for match in re.finditer(r"^\s*(deb)\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)([^#\n]*)", text, re.MULTILINE):
        kind, options, uri, suite, components = match.groups()
        source = {"types": kind, "uris": uri, "suites": suite, "components": components.strip()}
        for option in (options or "").split():
            name, _, value = option.partition("=")
            source[_FIELDS.get(name.lower(), name.lower())] = value.replace(",", " ")
        yield source


def debian_source(sources: Iterator[Source], codename: str) -> Source:
    """Return the first source that holds the distribution itself.

    It is known by having ``main`` of the release this machine runs: additions to a release (security, backports) are
    suites of other names, and those of other publishers have other components or suites.
    """
    for source in sources:
        named = set(source.get("suites", "").split()) & ({codename} | _ROLES)
        if "deb" in source.get("types", "").split() and named and "main" in source.get("components", "").split():
            return source
    raise CannotFetch(f"{_APT} names no mirror of Debian, from where it is fetched")


def machine_release() -> str:
    """Return the name of the release of Debian that this machine runs, ``bookworm``; empty if it runs none."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r'^VERSION_CODENAME="?(\w+)"?$', text, re.MULTILINE)
    return found[1] if found and re.search(r"^ID=\"?debian\"?$", text, re.MULTILINE) else ""


def _download(wanted: Wanted, suite: str, source: Source, scratch: Path) -> Path:
    """Download the packages of a suite and unpack them into one tree."""
    kept = {name: value for name, value in source.items() if name not in _OURS}
    ours = {"types": "deb", "suites": suite, "components": "main"} | kept
    parts = scratch / "sources.list.d"
    for directory in (parts, scratch / "lists/partial", scratch / "cache/archives/partial", scratch / "packages"):
        directory.mkdir(parents=True)
    (parts / "debian.sources").write_text("".join(f"{name}: {value}\n" for name, value in ours.items()), "utf-8")
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": f"{parts}/",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": f"{scratch}/lists/",
        "Dir::Cache": f"{scratch}/cache/",
        "APT::Default-Release": "",
        # Started by root, apt would download as a user who cannot write here.
        "APT::Sandbox::User": "",
        # Without these a source that cannot be reached is a warning.
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": "2",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    settings = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
    _run(["apt-get", *settings, "--quiet=2", "update"], scratch)
    packages = [*wanted.packages, *_along(wanted, settings, scratch)]
    named = [f"{package}/{suite}" for package in packages]
    _run(["apt-get", *settings, "--quiet=2", "download", *named], scratch / "packages")
    tree = scratch / "tree"
    for package in sorted((scratch / "packages").glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(tree)], scratch)
    return tree


def _along(wanted: Wanted, settings: Sequence[str], scratch: Path) -> list[str]:
    """Return the names of the packages that come along."""
    if wanted.along is None:
        return []
    less = [f"--no-{what}" for what in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    reported = _run(["apt-cache", *settings, "depends", "--recurse", *less, *wanted.packages], scratch)
    return sorted({line for line in reported.splitlines() if re.match(wanted.along, line)})


def _version(program: Path, pattern: str) -> str:
    """Return the version that a program says of itself: ``3.5.16``."""
    found = re.search(pattern, _run([str(program), "--version"], program.parent))
    if found is None:
        raise CannotFetch("what was fetched does not report its version")
    return found[1]


def _run(command: Sequence[str], directory: Path) -> str:
    """Run a command and return what it prints; what it complains of becomes the reason that is given."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotFetch(str(error)) from error
    if done.returncode == 0:
        return done.stdout
    if "NO_PUBKEY" in done.stderr:
        raise CannotFetch("this machine has not the keys of that release of Debian: update debian-archive-keyring")
    reported = [line.removeprefix("E: ").strip() for line in done.stderr.splitlines() if line.strip()]
    reason = reported[0] if reported else f"exit code {done.returncode}"
    raise CannotFetch(f"{name}: {reason}")
