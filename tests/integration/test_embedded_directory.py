"""The data directory of an embedded etcd: who may look into it, what is in it, and what is wrong with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coordinator.errors import InvalidInput, Unavailable
from coordinator.store.embedded import EmbeddedEtcd, EtcdBinary, default_data_dir, find_etcd
from coordinator.store.embedded.binary import ETCD_VARIABLE
from coordinator.store.embedded.data_directory import DataDirectory


@pytest.fixture(scope="module")
def binary() -> EtcdBinary:
    """The etcd that the tests were started with, see tests/conftest.py."""
    return find_etcd()


@pytest.fixture(autouse=True)
def _no_named_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ETCD_VARIABLE, raising=False)


class TestDirectory:
    @pytest.mark.timeout(30)
    def test_whether_it_is_locked_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "lock")
        assert not DataDirectory(tmp_path).is_locked()

    async def test_no_other_user_can_look_into_it(self, tmp_path: Path, binary: EtcdBinary) -> None:
        # The characters are those that URLs, lists and shells take for their own.
        data_dir = tmp_path / "new" / "a, b?#%zz'"
        async with EmbeddedEtcd(data_dir, binary):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data_dir, *data_dir.iterdir())}
        assert modes == {data_dir.name: 0o700, "etcd": 0o700, "sockets": 0o700, "etcd.log": 0o600, "lock": 0o600}

    async def test_one_that_cannot_be_used(self, tmp_path: Path, binary: EtcdBinary) -> None:
        (tmp_path / "file").touch()
        for data_dir in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/coordination"), tmp_path / "\0"):
            with pytest.raises(InvalidInput, match="cannot be used as data directory") as caught:
                await EmbeddedEtcd(data_dir, binary).start()
            assert caught.value.field == "data-dir"

    async def test_data_that_etcd_cannot_read(self, tmp_path: Path, binary: EtcdBinary) -> None:
        (tmp_path / "etcd").mkdir()
        (tmp_path / "etcd" / "member").touch()
        for _ in range(2):
            with pytest.raises(Unavailable, match="etcd ended with exit code 1 while it was being started") as caught:
                await EmbeddedEtcd(tmp_path, binary).start()
            assert caught.value.hint is not None
            assert caught.value.hint.startswith(f"{tmp_path / 'etcd.log'} ends with: ")
            assert "not a directory" in caught.value.hint

    async def test_a_long_log_loses_what_is_old(self, tmp_path: Path, binary: EtcdBinary) -> None:
        log = tmp_path / "etcd.log"
        log.write_text("old\n" + "filling\n" * 1_500_000 + "latest\n")
        async with EmbeddedEtcd(tmp_path, binary):
            text = log.read_text()
        assert len(text) < 2_000_000
        assert text.startswith("filling\n")
        assert "\nlatest\n" in text

    def test_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert default_data_dir() == Path("/data/coordination")
        for unusable in ("", "relative"):
            monkeypatch.setenv("XDG_DATA_HOME", unusable)
            assert default_data_dir() == Path("/home/someone/.local/share/coordination")
