"""Plain English: words that pages, docstrings and messages are better without (CONTRIBUTING.md, house rules)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Where readers and users look; names in tests, as of a session "nobody", are data.
WHERE = (
    *("coordinator", "docs", "proto", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "demo", "scripts", "benchmarks"),
    *("deploy", "docker-compose.yml", "docker-compose.tls.yml", "tests/campaigns", "tests/cluster"),
)
ENDINGS = (".py", ".md", ".proto", ".js", ".html", ".yml", ".yaml", ".conf", ".service", ".env")
#: In quotation marks, and behind a tilde, they are names of sessions and users.
WORDS = re.compile(
    r"(?<![~'\"])\b(?:told|nobody|whoever|everybody|somebody|anybody|innocents?|henceforth|thence|how-manieth)\b",
    re.IGNORECASE,
)


def test_what_is_read_is_written_in_plain_words() -> None:
    command = ["git", "ls-files", "-z", *WHERE]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        if not name.endswith(ENDINGS) or "_pb2" in name or not (ROOT / name).is_file():
            continue
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{name}:{number}: {word}" for word in WORDS.findall(line)]
    assert found == []
