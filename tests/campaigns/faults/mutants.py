"""Guards of the product are removed, one by one, and the campaign finds it: ``make campaign-faults-mutants``.

The edits are those of tests/mutants/mutants.toml. Each is made in a copy of the tree, in which the campaign is run with
one seed after the other until something is found. Prints a line for each, and exits 1 if one was not found.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.campaigns.faults.__main__ import newest, say

ROOT = Path(__file__).parents[3]
_SPEC = importlib.util.spec_from_file_location("mutants", ROOT / "scripts/mutants.py")
assert _SPEC is not None
assert _SPEC.loader is not None
mutants: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(mutants)

#: Guards of different kinds, without which an answer or the store is wrong under ordinary faults.
GUARDS = (
    "completed-stays",
    "grant-loose-end",
    "end-request-id",
    "instance",
    "revoked-renewal",
    "metric-claims",
    "next-request",
    "next-look",
    "pool-overdue-blocked",
    "changed-and-failed",
)
#: How long one run may take besides its minutes, in seconds.
_MORE_SECONDS = 240.0


def main() -> int:
    """Run the campaign without each of the guards."""
    parser = argparse.ArgumentParser(description="Remove guards, one by one, and have the campaign find it.")
    parser.add_argument("guards", nargs="*", default=GUARDS, help="names of mutants; by default ten of all kinds")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults come, for each seed")
    parser.add_argument("--seeds", type=int, nargs="*", default=[6, 9], help="tried one after the other")
    options = parser.parse_args()
    chosen = [mutant for mutant in mutants.read_mutants() if mutant.name in options.guards]
    survived = []
    with tempfile.TemporaryDirectory(prefix="faults-mutants-") as directory:
        original = Path(directory) / "original"
        mutants._snapshot(original)
        for mutant in chosen:
            began = time.monotonic()
            found = _find(mutant, original, options.seeds, options.minutes)
            say(f"{mutant.name:<26} {time.monotonic() - began:>5.0f} s  {found or 'NOT FOUND'}")
            if not found:
                survived.append(mutant.name)
    say(f"{len(chosen) - len(survived)} of {len(chosen)} were found")
    return int(bool(survived))


def _find(mutant: Any, original: Path, seeds: list[int], minutes: float) -> str:
    """Return which rule the campaign says is broken, "" if it finds nothing."""
    with mutants._copy(original) as tree:
        for edit in mutant.edits:
            edit.apply(tree)
        for seed in seeds:
            command = [sys.executable, "-m", "tests.campaigns.faults", "--minutes", str(minutes), "--seed", str(seed)]
            command += ["--etcd", newest() or "", "--out", str(tree.parent / f"out-{seed}")]
            done = subprocess.run(
                [part for part in command if part],
                cwd=tree,
                env={**os.environ, "PYTHONPATH": str(tree), "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                timeout=60 * minutes + _MORE_SECONDS,
                check=False,
            )
            rules = re.findall(r"^VIOLATION, seed \d+: ([^:]+):", done.stdout, re.MULTILINE)
            if rules:
                return f"seed {seed}: " + ", ".join(f"{rule} ({rules.count(rule)})" for rule in dict.fromkeys(rules))
    return ""


if __name__ == "__main__":
    sys.exit(main())
