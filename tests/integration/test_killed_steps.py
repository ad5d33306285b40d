"""Commands that change several files are killed before each step: what they leave is whole, or is refused (no. 28)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.errors import InvalidInput
from coordinator.security.ca import load_authority, make_certificates
from coordinator.security.new_tokens import add_credential
from coordinator.security.tokens_file import Wanted, read_credentials
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from tests.integration.server_running import FREE_PORTS, run

Killed = Callable[[str], list[Path]]


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    """What the killed runs of a case have left, one for each step, and at the end what a whole run leaves."""

    def run_case(case: str) -> list[Path]:
        into = tmp_path / case
        into.mkdir()
        command = [sys.executable, "-m", "tests.integration.killed_steps", case, str(into)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found = sorted(into.iterdir(), key=lambda path: int(path.name))
        assert len(found) > 3, "no steps were seen"
        return found

    return run_case


def used(data_dir: Path) -> str:
    """Return which store a coordinator would use, or why it refuses."""
    etcd = EmbeddedEtcd(data_dir, find_etcd())
    try:
        etcd.lock()
    except InvalidInput as error:
        assert error.hint is not None
        return "refused"
    finally:
        etcd._directory.unlock()
    files = {path.name for path in (data_dir / "etcd").rglob("*") if path.is_file()}
    return ",".join(sorted(files)) or "empty"


class TestRestore:
    def test_the_old_store_is_used_or_the_new_one_or_none(self, killed: Killed) -> None:
        seen = []
        for left in killed("restore-over"):
            data = left / "data"
            kept = [path for path in data.rglob("*") if path.name == "old"]
            assert len(kept) == 1, f"what was there is lost after step {left.name}"
            seen.append(used(data))
            if seen[-1] in ("old", "new"):
                assert not (data / "restoring").exists(), "what a killed restore has left fills the disk"
        assert [*dict.fromkeys(seen)] == ["old", "refused", "new"]

    def test_a_directory_into_which_none_was_restored_yet_is_not_used_as_empty(self, killed: Killed) -> None:
        seen = [used(left / "data") for left in killed("restore-into")]
        # Before anything was built there is nothing that says so.
        assert [*dict.fromkeys(seen)] == ["empty", "refused", "new"]

    @pytest.mark.parametrize("emptied", ["missing", "empty"])
    def test_up_says_what_to_do(self, emptied: str, tmp_path: Path) -> None:
        (tmp_path / "etcd.before-20330518T033320Z" / "member").mkdir(parents=True)
        if emptied == "empty":
            (tmp_path / "etcd").mkdir()
        for detach in ((), ("--detach",)):
            done = run("up", "--data-dir", str(tmp_path), *FREE_PORTS, *detach)
            assert (done.returncode, done.stdout) == (2, ""), done
            assert f"there is no store in {tmp_path / 'etcd'}: a restore was interrupted" in done.stderr
            assert f"mv -T {tmp_path}/etcd.before-20330518T033320Z {tmp_path}/etcd" in done.stderr

    def test_what_is_typed_then_works(self, tmp_path: Path) -> None:
        data = tmp_path / "a directory"
        (data / "etcd.before-20330518T033320Z").mkdir(parents=True)
        (data / "etcd.before-20330518T033320Z" / "old").touch()
        (data / "etcd").mkdir()
        with pytest.raises(InvalidInput) as refused:
            EmbeddedEtcd(data, find_etcd()).lock()
        typed = str(refused.value.hint).split("`")[1]
        subprocess.run(["/bin/sh", "-c", typed], check=True)
        assert used(data) == "old"


def test_certificates_are_whole_and_say_what_is_missing(killed: Killed) -> None:
    for left in killed("certs"):
        certs = left / "certs"
        for certificate in certs.glob("*.crt"):
            assert certificate.with_suffix(".key").exists(), f"{certificate} has no key after step {left.name}"
        try:
            make_certificates(certs)
        except InvalidInput as error:
            assert error.hint
        else:
            load_authority(certs)


def test_a_certificate_that_gets_another_name_is_the_old_one_or_the_new_one(killed: Killed) -> None:
    for left in killed("certs-adding"):
        made = make_certificates(left / "certs", ("c.example",))
        assert {"a.example", "c.example"} <= {*made.hosts}


def test_a_token_is_added_whole(killed: Killed) -> None:
    for left in killed("token"):
        add_credential(left / "tokens.toml", Wanted("c", fleets=("f",)), left / "c.token")
        found = read_credentials((left / "tokens.toml").read_text(), "it")
        names = {grant.name for grant in found.by_digest.values()}
        assert {"a", "c"} <= names
        assert (left / "b.token").exists() or "b" not in names


@pytest.mark.parametrize(("case", "allowed"), [("backup", {None, b"new"}), ("backup-over", {b"old", b"new"})])
def test_a_backup_is_whole(case: str, allowed: set[bytes | None], killed: Killed) -> None:
    found = {(left / "backup").read_bytes() if (left / "backup").exists() else None for left in killed(case)}
    assert found == allowed
