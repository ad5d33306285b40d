"""Where ``scripts/fetch_etcd.py`` and its like take programs from, and what they say when they cannot."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

STANZAS = """\
# A comment, and a source that is not Debian's.
Types: deb
URIs: http://else.example/node
Suites: nodistro
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb deb-src
# http://commented.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
"""

LINES = """\
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb [signed-by=/etc/keys/else.gpg] http://else.example/sdk sdk-bookworm main
deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main contrib # it
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, on a machine that names no source of packages."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    debian_packages = importlib.import_module("debian_packages")
    module = importlib.import_module("fetch_etcd")
    monkeypatch.setattr(debian_packages, "_APT", tmp_path / "apt")
    monkeypatch.setattr(module, "TARGET", tmp_path / "etcd")
    monkeypatch.setattr(debian_packages, "machine_release", lambda: "bookworm")
    monkeypatch.setattr(sys, "argv", ["fetch_etcd.py"])
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    return module


@pytest.fixture
def source(script: ModuleType) -> Callable[[], dict[str, str]]:
    debian_packages = importlib.import_module("debian_packages")

    def read() -> dict[str, str]:
        found: dict[str, str] = debian_packages.debian_source(debian_packages.machine_sources(), "bookworm")
        return found

    return read


def test_the_mirror_is_the_one_in_the_newer_format(source: Callable[[], dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "apt/sources.list.d/debian.sources").write_text(STANZAS)
    found = source()
    assert found["uris"] == "http://mirror.example/debian"
    # It goes into our own source as it is, lines and all.
    assert found["signed-by"] == "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF"


@pytest.mark.parametrize("place", ["sources.list", "sources.list.d/debian.list"])
def test_the_mirror_is_the_one_in_the_older_format(
    place: str, source: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "apt" / place).write_text(LINES)
    assert source() == {
        "types": "deb",
        "uris": "http://mirror.example/debian",
        "suites": "bookworm",
        "components": "main contrib",
        "architectures": "amd64 arm64",
        "signed-by": "/usr/share/keyrings/debian.gpg",
    }


def test_a_release_may_be_named_by_what_it_is(source: Callable[[], dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "apt/sources.list").write_text("deb http://mirror.example/debian stable main\n")
    assert source()["uris"] == "http://mirror.example/debian"


@pytest.mark.parametrize(
    "sources",
    [
        "",
        "deb http://else.example/ubuntu noble main\n",
        # No program answers there.
        "deb [trusted=yes] http://127.0.0.1:9/debian bookworm main\n",
    ],
)
def test_where_it_cannot_be_had_one_sentence_says_why(
    sources: str, script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "apt/sources.list").write_text(sources)
    assert script.main() == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list((tmp_path / "etcd").iterdir())


def test_without_apt_it_says_so(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script.main() == 3
    assert capsys.readouterr().err == "error: apt-get is not on PATH: a newer etcd is fetched from Debian, with apt\n"


def test_what_is_there_is_not_fetched_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "etcd/3.5.16/usr/bin/etcd"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    (tmp_path / "etcd/trixie").symlink_to("3.5.16")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script.main() == 0
    assert capsys.readouterr().out == f"{program}\n"
