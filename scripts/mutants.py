"""Show that the tests notice when a guard is taken away: ``make mutants``.

``tests/mutants/mutants.toml`` names the guards, the edits that take each of them away and, by node id, the tests that
fail without it. Every test is run without an edit first, and must pass; then the edits of each mutant are made in a
copy of the tree, and all of its tests must fail. Exits 1 if one passes, or if the text of an edit does not fit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "tests/mutants"
#: Ends what tests leave running: a test that fails may not get as far as that.
CONTAINED = ROOT / "scripts/contained.py"
#: What pytest exits with.
PASSED, FAILED = 0, 1
ROW = "{:<34} {:<9} {:>5}  {}"
#: Shows which of two copies a command and a module are of.
MARKER = "0+mutants"


class Edit(NamedTuple):
    """Text of a ``file``, relative to the top of the tree, that is replaced; ``old`` must be there exactly once."""

    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Make the edit in a tree; raises ``ValueError`` if it does not fit any more."""
        path = tree / self.file
        text = path.read_text() if path.is_file() else ""
        if text.count(self.old) != 1:
            raise ValueError(f"in {self.file} this text is there {text.count(self.old)} times, not once:\n{self.old}")
        path.write_text(text.replace(self.old, self.new))


class Mutant(NamedTuple):
    """A guard by its ``name``, what it is for, the tests that fail without it, and the edits that take it away."""

    name: str
    guard: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...]


class Verdict(NamedTuple):
    """What became of a mutant, and what pytest said if it should be seen."""

    word: str
    seconds: float = 0.0
    said: str = ""

    @property
    def caught(self) -> bool:
        """Whether all of the tests failed."""
        return self.word == "caught"


def read_mutants(path: Path = MUTANTS / "mutants.toml") -> list[Mutant]:
    """Read the table; raises ``ValueError`` for a mutant without tests or edits."""
    mutants = [
        Mutant(name, table["guard"], tuple(table["tests"]), tuple(Edit(**edit) for edit in table["edits"]))
        for name, table in tomllib.loads(path.read_text()).items()
    ]
    if empty := [mutant.name for mutant in mutants if not (mutant.tests and mutant.edits)]:
        raise ValueError(f"{path.name} has mutants without tests or edits: {', '.join(empty)}")
    return mutants


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Take guards away, one by one, and see tests fail.")
    parser.add_argument("names", nargs="*", help="which mutants; all of them if none is named")
    parser.add_argument("--list", action="store_true", help="say which there are, and run nothing")
    options = parser.parse_args()
    mutants = read_mutants()
    if unknown := {*options.names} - {mutant.name for mutant in mutants}:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}; --list says which there are")
    mutants = [mutant for mutant in mutants if not options.names or mutant.name in options.names]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name}: {mutant.guard}")
        return 0
    return _run(mutants)


def _run(mutants: Sequence[Mutant]) -> int:
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with _readable_directory(prefix="mutants-") as directory:
        # All are made of the tree as it is now, whatever is edited meanwhile.
        original = directory / "original"
        _snapshot(original)
        with _copy(original) as tree:
            _check_imports(tree)
        with _copy(original) as tree:
            _progress(f"{len(tests)} tests without a mutant …")
            code, said = _pytest(tree, tests)
            if code != PASSED:
                print(f"{said}\nthe tests must pass before guards are taken away")
                return 1
        survived = _try_all(mutants, original)
    print(
        f"{len(mutants) - len(survived)} of {len(mutants)} were caught" + "".join(f"; not {name}" for name in survived)
    )
    return int(bool(survived))


def _try_all(mutants: Sequence[Mutant], original: Path) -> list[str]:
    """Try them one after the other, print a line for each test, and return the names of those that were not caught."""
    print(ROW.format("guard taken away", "", "s", "tests"))
    survived = []
    for number, mutant in enumerate(mutants, 1):
        _progress(f"{number}/{len(mutants)} {mutant.name} …")
        verdict = _try(mutant, original)
        _progress("")
        print(ROW.format(mutant.name, verdict.word, f"{verdict.seconds:.0f}", mutant.tests[0]), flush=True)
        for test in mutant.tests[1:]:
            print(ROW.format("", "", "", test))
        if not verdict.caught:
            survived.append(mutant.name)
            print(verdict.said)
    return survived


def _try(mutant: Mutant, original: Path) -> Verdict:
    """Make a mutant of a copy and run its tests: each of them must fail."""
    started = time.monotonic()
    with _copy(original) as tree:
        try:
            for edit in mutant.edits:
                edit.apply(tree)
        except ValueError as error:
            return Verdict("STALE", said=str(error))
        for test in mutant.tests:
            code, said = _pytest(tree, [test])
            if code == PASSED:
                return Verdict("SURVIVED", time.monotonic() - started, f"  passes all the same: {test}")
            # What fails before the test itself begins says nothing of the guard.
            if code != FAILED or "\nFAILED " not in said:
                return Verdict("BROKEN", time.monotonic() - started, said)
    return Verdict("caught", time.monotonic() - started)


def _snapshot(original: Path) -> None:
    """Copy what belongs to the tree, tracked or new."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in sorted({*listed.split("\0")} - {""}):
        target = original / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target)


@contextmanager
def _readable_directory(prefix: str = "", parent: Path | None = None) -> Iterator[Path]:
    """Make a directory that other users may read: some tests run commands as one."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@contextmanager
def _copy(original: Path) -> Iterator[Path]:
    """Copy a tree. Each mutant gets one of its own, so that no compiled module outlives its source."""
    with _readable_directory(parent=original.parent) as directory:
        tree = directory / "tree"
        shutil.copytree(original, tree)
        yield tree


def _environment(tree: Path) -> dict[str, str]:
    """Have Python, and the command of the environment that runs this, import what is in ``tree``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # With few examples a property may hold without its guard, by chance.
    return {**os.environ, "PYTHONPATH": str(tree), "PATH": path, "COORDINATION_MORE_EXAMPLES": "5"}


def _check_imports(tree: Path) -> None:
    """Make sure that it is the copy that is run, in this process's children and in theirs."""
    (tree / "coordinator/_version.py").write_text(f'"""The version."""\n\n__version__ = "{MARKER}"\n')
    asking = [sys.executable, "-c", "import coordinator; print(coordinator.__version__)"]
    for command in (asking, [str(Path(sys.executable).with_name("coordination")), "--version"]):
        said = _run_in(tree, command).stdout
        if MARKER not in said:
            raise SystemExit(f"{command[0]} does not run the copy of the tree: {said}")


def _pytest(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-I", str(CONTAINED)]
    command += [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", *tests]
    done = _run_in(tree, command)
    return done.returncode, done.stdout


def _run_in(tree: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=tree,
        env=_environment(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",  # what a failed test shows may be no text
        check=False,
    )


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
