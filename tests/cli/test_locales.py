"""Arguments, environment, names of files and output are UTF-8, whatever the locale says (19)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Coordination

#: Locales whose encoding is not UTF-8, and ways to have Python believe so.
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "none": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "of Python": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    "of Python, strict": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1:strict"},
    "C with encoding": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:strict",
    },
}
NOTE = "überprüft — 検査済み ✓"


@pytest.fixture(scope="session")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A locale whose encoding is ISO 8859-1, made for the test."""
    directory = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "POSIX", "-f", "ISO-8859-1", "--no-archive", str(directory / "xx_XX")], capture_output=True
    )
    assert (directory / "xx_XX").is_dir(), made
    return {"LOCPATH": str(directory), "LC_ALL": "xx_XX", "PYTHONUTF8": "0"}


@pytest.mark.long_but_for("C", "of Python, strict")
@pytest.mark.parametrize("locale", LOCALES)
def test_valid_utf_8_works_in_every_locale(locale: str, coordination: Coordination, tmp_path: Path) -> None:
    see_that_utf_8_works(LOCALES[locale], coordination, tmp_path)


def see_that_utf_8_works(locale: dict[str, str], coordination: Coordination, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        encoded = [argument.encode() for argument in arguments]
        done = coordination(*encoded, **locale)
        assert done.returncode == code, done
        return f"{done.stdout}{done.stderr}"

    directory = tmp_path / "Zertifikate für Øystein"
    run("work-claim", "sitzung-1", "note:größe", "--note", NOTE)
    assert "DENIED: already claimed by sitzung-1" in run("work-claim", "andere", "note:größe", code=1)
    assert NOTE in run("work-show", "note:größe")
    assert json.loads(run("work-show", "note:größe", "--json"))["record"]["note"] == NOTE
    run("token", "Ö", "--tokens", f"{directory}.toml", "--out", f"{directory}.token", "--sessions", "sitzung-*")
    assert 'name = "Ö"' in Path(f"{directory}.toml").read_text(encoding="utf-8")
    assert str(directory) in run("certs", str(directory))
    assert (directory / "server.crt").is_file()


def test_in_a_latin_1_locale_too(latin_1: dict[str, str], coordination: Coordination, tmp_path: Path) -> None:
    see_that_utf_8_works(latin_1, coordination, tmp_path)


@pytest.mark.long_but_for("C", "none")
@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_not_utf_8_is_refused_in_every_locale(locale: str, coordination: Coordination) -> None:
    for arguments in ((b"work-show", b"task:\xe4"), (b"work-list", b"--fleet", b"\xff")):
        done = coordination(*arguments, **LOCALES[locale])
        assert (done.returncode, done.stdout) == (2, "")
        assert "not valid UTF-8" in done.stderr


def test_the_configuration_and_the_environment_are_utf_8(coordination: Coordination, tmp_path: Path) -> None:
    token = tmp_path / "Schlüssel"
    config = tmp_path / "größe.toml"
    config.write_text(f'token_file = "{token}"\n', encoding="utf-8")
    done = coordination("config", "show", "--json", COORDINATION_CONFIG=str(config), **LOCALES["C"])
    assert json.loads(done.stdout)["settings"]["token_file"]["value"] == str(token)
    done = coordination("work-list", COORDINATION_TOKEN_FILE=str(token), **LOCALES["C"])
    assert (done.returncode, str(token) in done.stderr) == (2, True)


def test_the_mode_is_not_passed_on() -> None:
    """Children decide for themselves; the process stays the same."""
    code = """
import os, sys
from coordinator.cli import entry, main
entry._invoke = lambda *_: print(os.getpid(), sys.flags.utf8_mode, os.environ["PYTHONUTF8"], flush=True) or 0
main()
"""
    with subprocess.Popen([sys.executable, "-c", code], env=LOCALES["C"], stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=60)
    assert said == f"{process.pid} 1 0\n"
