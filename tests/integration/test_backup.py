"""What etcd holds is saved while it runs, and brought back so that fencing tokens go on rising (issue 12, no. 28)."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from coordinator import Client, HistoryGone
from coordinator.cli.server import backups
from coordinator.errors import InternalError, InvalidInput, OutcomeUnknown
from coordinator.model import Claim
from coordinator.store.embedded import EmbeddedEtcd, find_etcd, restoration
from coordinator.store.embedded.bolt_file import last_revision, raise_last_revision
from coordinator.store.embedded.restoration import MARK, restore
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import RevisionGone
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunningEtcd
from tests.integration.server_running import COMMAND, RunCoordinator, environment, run


def saved(data_dir: Path, file: Path, *options: str) -> int:
    """Back a running coordinator up; returns a revision that the backup has."""
    done = run("backup", str(file), "--data-dir", str(data_dir), "--json", *options)
    assert done.returncode == 0, done.stdout
    return int(json.loads(done.stdout)["revision"])


def restored(file: Path, data_dir: Path, *options: str) -> dict[str, object]:
    done = run("restore", str(file), "--data-dir", str(data_dir), "--json", *options)
    assert done.returncode == 0, done.stdout
    found: dict[str, object] = json.loads(done.stdout)
    return found


class TestRoundTrip:
    def test_what_was_held_is_held_and_no_token_is_given_twice(
        self, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        # With a comma, as addresses of etcd's members have between them.
        data_dir, file = tmp_path / "data,1", tmp_path / "backup"
        given = set()
        with run_coordinator("up", "--data-dir", str(data_dir)) as own, Client(own.endpoint, timeout=30) as client:
            held = client.claim("s", "task:held", note="half done")
            client.claim("s", "task:finished")
            client.complete("s", "task:finished", result="done")
            client.claim("s", "task:contended")
            revision = saved(data_dir, file)
            # What happens from here on is lost, but its tokens are out in the world.
            client.release("s", "task:contended", reason="handed back")
            given |= {client.claim(f"s{number}", "task:contended").fencing_token for number in (1,)}
            given |= {client.claim("s", f"task:lost-{number}").fencing_token for number in range(20)}
        reported = restored(file, data_dir, "--force")
        assert reported["backup_revision"] == revision
        for again in (False, True):
            if again:
                reported = restored(file, data_dir, "--force")
            with run_coordinator("up", "--data-dir", str(data_dir)) as own, Client(own.endpoint, timeout=30) as client:
                claim = client.get("task:held").claim
                assert claim is not None
                assert (claim.fencing_token, claim.note) == (held.fencing_token, "half done")
                assert isinstance(client.renew("s", "task:held", token=held.fencing_token), Claim)
                assert client.get("task:finished").record.result == "done"
                client.release("s", "task:contended", reason="again")
                tokens = {client.claim("other", "task:contended").fencing_token}
                tokens |= {client.claim("other", f"task:lost-{number}").fencing_token for number in range(5)}
                assert min(tokens) > max(given), "a token was given twice"
                assert min(tokens) > int(str(reported["revision"]))
                given |= tokens
                with pytest.raises(HistoryGone):
                    next(iter(client.watch(start_revision=revision)))
        assert len([*data_dir.glob("etcd.before-*")]) >= 1

    def test_a_backup_of_a_cluster_becomes_a_directory(
        self, etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own, Client(own.endpoint, fleet="backup") as client:
            token = client.claim("s", "task:x").fencing_token
        done = run("backup", str(tmp_path / "backup"), "--etcd", etcd.endpoint)
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
        restored(tmp_path / "backup", tmp_path / "data")
        up = run_coordinator("up", "--data-dir", str(tmp_path / "data"))
        with up as own, Client(own.endpoint, fleet="backup", timeout=30) as client:
            claim = client.get("task:x").claim
            assert claim is not None
            assert claim.fencing_token == token

    @pytest.mark.long_but_for("0")
    @pytest.mark.parametrize("keys", [0, 1, 300, 5000])
    async def test_databases_of_any_depth(self, keys: int, tmp_path: Path) -> None:
        """From a bucket within its parent's page to a tree of three storeys; a transaction has many changes."""
        binary = find_etcd()
        async with EmbeddedEtcd(tmp_path / "data", binary) as etcd:
            channel = EtcdChannel([etcd.endpoint])
            for first in range(0, keys, 100):
                puts = [put(b"/key/%d" % number, b"x" * 200) for number in range(first, min(first + 100, keys))]
                await channel.call(Methods.TXN, rpc.TxnRequest(success=puts), deadline=time.monotonic() + 30)
            found = await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/"), deadline=time.monotonic() + 30)
            await channel.close()
            command = [COMMAND, "backup", str(tmp_path / "backup"), "--etcd", etcd.endpoint]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=environment())
            assert done.returncode == 0, done.stderr
        made = await restore(tmp_path / "backup", tmp_path / "new", binary, force=False, now=time.time())
        # A store in which nothing was ever written is at revision 1, of which there is no change.
        assert made.backup_revision == (found.header.revision if keys else 0)
        async with EmbeddedEtcd(tmp_path / "new", binary) as etcd:
            channel = EtcdChannel([etcd.endpoint])
            read = rpc.RangeRequest(key=b"/key/", range_end=b"/key0", count_only=True)
            found = await channel.call(Methods.RANGE, read, deadline=time.monotonic() + 30)
            assert (found.count, found.header.revision) == (keys, made.revision)
            request = rpc.TxnRequest(success=[put(b"/key/new", b"")])
            found = await channel.call(Methods.TXN, request, deadline=time.monotonic() + 30)
            assert found.header.revision == made.revision + 1
            await channel.close()


def put(key: bytes, value: bytes) -> rpc.RequestOp:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))


@pytest.fixture(scope="module")
def whole(etcd: RunningEtcd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup."""
    file = tmp_path_factory.mktemp("backup") / "whole"
    assert run("backup", str(file), "--etcd", etcd.endpoint).returncode == 0
    return file


class TestRefusals:
    @pytest.mark.parametrize(
        "damage",
        [
            lambda found: found[:-1],
            lambda found: found[:-32],
            lambda found: found[: len(found) // 2],
            lambda found: found[:5000] + bytes((found[5000] ^ 1,)) + found[5001:],
            lambda found: found[:0],
            lambda found: b"not a backup\n" + found[:0],
            lambda found: found + b"\0",
        ],
    )
    def test_what_is_no_whole_backup(self, damage: Callable[[bytes], bytes], whole: Path, tmp_path: Path) -> None:
        (tmp_path / "damaged").write_bytes(damage(whole.read_bytes()))
        done = run("restore", str(tmp_path / "damaged"), "--data-dir", str(tmp_path / "data"))
        assert done.returncode == 2
        assert "is no backup that is whole" in done.stderr
        assert not (tmp_path / "data").exists()

    @pytest.mark.timeout(30)
    async def test_what_is_no_plain_file(self, tmp_path: Path) -> None:
        """Nothing waits for a pipe, or reads a device that has no end."""
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
            with pytest.raises(InvalidInput, match="is no plain file"):
                await restore(path, tmp_path / "data", find_etcd(), force=False, now=2_000_000_000.0)
        assert not (tmp_path / "data").exists()

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        done = run("restore", str(tmp_path / "none"), "--data-dir", str(tmp_path / "data"))
        assert done.returncode == 2
        assert "cannot be read: No such file or directory" in done.stderr

    def test_a_directory_that_is_in_use_or_holds_claims(
        self, run_coordinator: RunCoordinator, whole: Path, tmp_path: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            for force in ((), ("--force",)):
                done = run("restore", str(whole), "--data-dir", str(tmp_path), *force)
                assert done.returncode == 3
                assert f"another coordinator (pid {own.process.pid}) is already running" in done.stderr
        before = last_revision(tmp_path / "etcd" / "member" / "snap" / "db")
        done = run("restore", str(whole), "--data-dir", str(tmp_path))
        assert done.returncode == 2
        assert "add --force, which moves them aside" in done.stderr
        assert last_revision(tmp_path / "etcd" / "member" / "snap" / "db") == before

    async def test_what_is_there_is_never_lost(
        self, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def build(_: Path, work: Path, *__: object) -> None:
            (work / "etcd").mkdir(parents=True)

        def again(*, force: bool = True) -> Awaitable[restoration.Restored]:
            return restore(whole, tmp_path, find_etcd(), force=force, now=2_000_000_000.0)

        monkeypatch.setattr(restoration, "_build", build)
        database = tmp_path / "etcd" / "member" / "snap" / "db"
        (tmp_path / "etcd").mkdir()
        (tmp_path / "etcd" / "mine").touch()
        with pytest.raises(InvalidInput, match="there are data in"):
            await again(force=False)
        database.parent.mkdir(parents=True)
        database.write_text("damaged")
        with pytest.raises(InvalidInput, match="or is damaged") as damaged:
            await again()
        assert f"move {tmp_path / 'etcd'} away" in str(damaged.value.hint)
        database.unlink()
        monkeypatch.setattr(restoration, "_build", lambda *_: asyncio.sleep(0))  # so that it cannot be moved in
        with pytest.raises(InvalidInput, match=f"cannot be restored to {tmp_path}"):
            await again()
        assert (tmp_path / "etcd" / "mine").exists()
        monkeypatch.setattr(restoration, "_build", build)
        made = await again()
        assert made.aside is not None
        assert ((made.aside / "mine").exists(), (tmp_path / "etcd" / "mine").exists()) == (True, False)

    async def test_a_clock_that_is_behind_what_was_given(self, whole: Path, tmp_path: Path) -> None:
        made = await restore(whole, tmp_path, find_etcd(), force=False, now=2_000_000_000.0)
        assert made.revision == 2_000_000_000_000_000
        for now in (0.0, 1_000_000_000.0, 2_000_000_000.0):
            with pytest.raises(InvalidInput, match="the clock of this host says"):
                await restore(whole, tmp_path, find_etcd(), force=True, now=now)
        assert last_revision(tmp_path / "etcd" / "member" / "snap" / "db") >= made.revision

    def test_a_file_system_without_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # as FAT does

        monkeypatch.setattr(os, "link", refuse)
        for content in (b"first", b"second"):
            refused = pytest.raises(InvalidInput, match="already exists") if content == b"second" else nullcontext()
            with refused, backups._new_file(tmp_path / "backup", force=False) as target:
                target.write(content)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]

    @pytest.mark.parametrize("kind", ["file", "link", "directory", "root", "missing directory", "fifo"])
    @pytest.mark.parametrize("force", [(), ("--force",)])
    def test_nothing_is_written_over(
        self, kind: str, force: tuple[str, ...], etcd: RunningEtcd, tmp_path: Path
    ) -> None:
        file = tmp_path / "backup"
        if kind == "file":
            file.write_text("precious")
        elif kind == "link":
            (tmp_path / "precious").write_text("precious")
            file.symlink_to(tmp_path / "precious")
        elif kind == "directory":
            file.mkdir()
        elif kind == "fifo":
            os.mkfifo(file)
        elif kind == "root":
            file = Path("/")
        else:
            file = tmp_path / "none" / "backup"
        done = run("backup", str(file), "--etcd", etcd.endpoint, *force)
        replaced = kind == "file" and bool(force)
        assert done.returncode == (0 if replaced else 2), done.stderr
        if kind in ("file", "link") and not replaced:
            assert file.read_text() == "precious"
        assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]

    def test_none_runs_there(self, tmp_path: Path) -> None:
        done = run("backup", str(tmp_path / "backup"), "--data-dir", str(tmp_path))
        assert done.returncode == 3
        assert f"no coordinator is ready on {tmp_path}" in done.stderr
        assert not (tmp_path / "backup").exists()

    def test_a_full_disk(self, etcd: RunningEtcd) -> None:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [COMMAND, "backup", "-", "--etcd", etcd.endpoint],
                env=environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
        assert done.returncode == 2
        assert "the backup cannot be written to standard output: No space left on device" in done.stderr

    def test_to_standard_output(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        with (tmp_path / "backup").open("wb") as target:
            command = [COMMAND, "backup", "-", "--etcd", etcd.endpoint]
            done = subprocess.run(command, env=environment(), stdout=target, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 0
        assert done.stderr.startswith(b"notice: saved ")
        restored(tmp_path / "backup", tmp_path / "data")


def page(number: int, flags: int, elements: list[bytes], bodies: list[bytes]) -> bytes:
    return (struct.pack("<QHHI", number, flags, len(elements), 0) + b"".join(elements + bodies)).ljust(4096, b"\0")


class TestBoltFile:
    @pytest.fixture
    def lone(self, tmp_path: Path) -> Path:
        """A database whose last change is alone in its page, so that the page above has its key too."""
        keys = [struct.pack(">q", revision) + b"_" + bytes(8) for revision in (7, 9)]
        value = rpc_value(MARK, 9, b"{}".ljust(300))
        bucket = struct.pack("<QQ", 3, 0)
        pages = [
            meta(0, transaction=1, root=99),
            meta(1, transaction=2, root=2),
            page(2, 2, [struct.pack("<IIII", 1, 16, 3, 16)], [b"key" + bucket]),
            page(3, 1, [struct.pack("<IIQ", 32, 17, 4), struct.pack("<IIQ", 33, 17, 5)], keys),
            page(4, 2, [struct.pack("<IIII", 0, 16, 17, 0)], [keys[0]]),
            page(5, 2, [struct.pack("<IIII", 0, 16, 17, len(value))], [keys[1] + value]),
        ]
        (tmp_path / "db").write_bytes(b"".join(pages))
        return tmp_path / "db"

    def test_the_way_to_a_page_is_changed_with_it(self, lone: Path) -> None:
        assert last_revision(lone) == 9
        before = lone.read_bytes()
        raise_last_revision(lone, MARK, 1_800_000_000_000_000)
        after = lone.read_bytes()
        assert last_revision(lone) == 1_800_000_000_000_000
        assert len(after) == len(before)
        assert after.count(struct.pack(">q", 1_800_000_000_000_000)) == 2
        assert after[: 3 * 4096] == before[: 3 * 4096]

    @pytest.mark.parametrize(("key", "revision"), [(b"/another", 10), (MARK, 9), (MARK, 8)])
    def test_no_other_change_is_raised_and_none_is_lowered(self, key: bytes, revision: int, lone: Path) -> None:
        before = lone.read_bytes()
        with pytest.raises(InternalError, match="is not the one"):
            raise_last_revision(lone, key, revision)
        assert lone.read_bytes() == before

    @pytest.mark.parametrize("at", [0, 4096 + 40, 2 * 4096 + 8, 3 * 4096 + 8, 5 * 4096 + 8])
    def test_what_is_damaged_is_reported(self, at: int, lone: Path) -> None:
        found = bytearray(lone.read_bytes())
        found[0:4096] = bytes(4096)
        found[at : at + 8] = b"\xff" * 8
        lone.write_bytes(found)
        if at == 0:
            assert last_revision(lone) == 9
            return
        with pytest.raises(InvalidInput, match="is no database of etcd's, or is damaged"):
            last_revision(lone)


def meta(number: int, *, transaction: int, root: int) -> bytes:
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, 4096, 0, root, 0, 1, 6, transaction)
    checksum = 0xCBF29CE484222325
    for byte in body:
        checksum = (checksum ^ byte) * 0x100000001B3 % 2**64
    return page(number, 4, [], [body + struct.pack("<Q", checksum)])


def rpc_value(key: bytes, revision: int, value: bytes) -> bytes:
    """What etcd stores of a key: its own message has these fields first."""
    stored: bytes = rpc.KeyValue(
        key=key, create_revision=revision, mod_revision=revision, version=1, value=value
    ).SerializeToString()
    return stored


async def test_a_compaction_whose_answer_was_lost_is_known_to_be_done(tmp_path: Path) -> None:
    """It is asked for again then, and refused as done before: on a busy machine that failed a restore."""
    async with EmbeddedEtcd(tmp_path / "data", find_etcd()) as etcd:
        channel = EtcdChannel([etcd.endpoint])

        async def call(method: Method, request: Any) -> Any:
            return await channel.call(method, request, deadline=time.monotonic() + 30)

        for _ in range(3):
            put = rpc.RequestOp(request_put=rpc.PutRequest(key=restoration.MARK))
            made = await call(Methods.TXN, rpc.TxnRequest(success=[put]))
        revision = made.header.revision
        assert not await restoration._is_compacted(call, revision)
        await call(Methods.COMPACT, rpc.CompactionRequest(revision=revision))
        assert await restoration._is_compacted(call, revision)
        with pytest.raises((OutcomeUnknown, RevisionGone)):
            await call(Methods.COMPACT, rpc.CompactionRequest(revision=revision))
        await channel.close()
