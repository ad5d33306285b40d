"""What docs/security.md shows is what happens, and its table of calls is the one that the service goes by."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from coordinator.cli.context import SETTINGS
from coordinator.service.access import RULES
from tests.conftest import COMMAND

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_VARYING = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|etcd unix:\S+")
_MARK = "-- answered --"


def recipe(name: str) -> list[tuple[str, str]]:
    """The commands of a recipe, each with what the page says it answers."""
    found = re.search(rf"<!-- recipe: {name} -->\n```console\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    exchanges = re.split(r"^\$ ", found[1], flags=re.MULTILINE)[1:]
    return [(command, answer) for command, _, answer in (exchange.partition("\n") for exchange in exchanges)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_recipe_does_what_it_says(tmp_path: Path) -> None:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    settings |= {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path)}
    settings["PATH"] = f"{Path(COMMAND).parent}{os.pathsep}{settings['PATH']}"
    here = {"coordinator.example": "localhost", "7420": str(free_port()), "7421": str(free_port())}
    settings["COORDINATION_HTTP_LISTEN"] = f"127.0.0.1:{here['7421']}"

    def adapted(text: str) -> str:
        for there, name in here.items():
            text = text.replace(there, name)
        # The host of the recipe is this machine here, which the certificate names once.
        return text.replace(", ::1, localhost\n", ", ::1\n")

    exchanges = [exchange for name in ("coordinator", "alice", "certificates") for exchange in recipe(name)]
    script = "".join(f"{adapted(command)}\necho '{_MARK}'\n" for command, _ in exchanges)
    try:
        done = subprocess.run(
            ["bash", "-c", f"exec 2>&1\n{script}"],
            cwd=tmp_path,
            env=settings,
            capture_output=True,
            text=True,
            timeout=150,
        )
    finally:
        subprocess.run([COMMAND, "down"], env=settings, capture_output=True, timeout=60)
    answers = done.stdout.split(f"{_MARK}\n")[:-1]
    assert len(answers) == len(exchanges) >= 11
    for (command, promised), answer in zip(exchanges, answers, strict=True):
        # What `up` says of the etcd that it has found is none of the recipe's.
        said = "".join(line for line in answer.splitlines(keepends=True) if not line.startswith("notice: "))
        assert _VARYING.sub("…", said) == _VARYING.sub("…", adapted(promised)), command


def test_the_table_of_calls_is_the_one_that_counts() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (agent|operator) \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, rule.role.value, "yes" if rule.as_session else "no") for name, rule in RULES.items()]


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", PAGE))))
def test_every_option_it_names_is_there(option: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert f"`{option}" in page or option in {setting.option for setting in SETTINGS}


def test_what_it_quotes_is_what_clients_say() -> None:
    source = (ROOT / "coordinator" / "client" / "_absence.py").read_text(encoding="utf-8")
    table = PAGE.split("## When it does not work")[1]
    quoted = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(quoted) == 7
    for sentence in quoted:
        for part in sentence.split(", "):
            assert part.partition(";")[0] in source, sentence
