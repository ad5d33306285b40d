"""What a coordinator that is to run its own etcd says where the disk is full."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from coordinator.errors import Unavailable
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.embedded.binary import EtcdBinary

#: What etcd 3.5.1 wrote on a file system of 10 MB, its stack cut short.
FULL_DISK = [
    {"level": "warn", "msg": "failed to preallocate an initial WAL file", "error": "no space left on device"},
    {"level": "panic", "msg": "failed to create WAL", "error": "no space left on device", "stacktrace": "go.etcd.io/…"},
]
STACK = ["panic: failed to create WAL", "", "goroutine 1 [running]:", "main.main()", "\t/tmp/etcd/server/main.go:32"]


def ending_with(words: list[str], directory: Path) -> EtcdBinary:
    """A program that ends as etcd did, saying ``words``."""
    program = directory / "etcd"
    said = "\n".join(words)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 2\n")
    program.chmod(0o755)
    return dataclasses.replace(find_etcd(), path=program)


async def test_a_full_disk_is_named_as_the_cause_with_what_must_be_free(tmp_path: Path) -> None:
    words = [json.dumps(entry) for entry in FULL_DISK] + STACK
    with pytest.raises(Unavailable) as caught:
        await EmbeddedEtcd(tmp_path / "data", ending_with(words, tmp_path)).start()
    assert caught.value.message == (
        f"etcd cannot start: there is no space left on the file system of {tmp_path / 'data'}"
    )
    assert (caught.value.hint or "").startswith("free at least 128 MB there, or name another --data-dir")
    assert (caught.value.hint or "").endswith("ends with: failed to create WAL: no space left on device")


async def test_a_quota_of_the_file_system_counts_as_a_full_disk(tmp_path: Path) -> None:
    words = [json.dumps({"level": "panic", "msg": "failed to create WAL", "error": "disk quota exceeded"}), *STACK]
    with pytest.raises(Unavailable, match="etcd cannot start: there is no space left on the file system of"):
        await EmbeddedEtcd(tmp_path / "data", ending_with(words, tmp_path)).start()


async def test_a_panic_is_reported_by_its_message_and_not_by_its_stack(tmp_path: Path) -> None:
    words = [json.dumps({"level": "info", "msg": "starting"}), *STACK]
    with pytest.raises(Unavailable, match="ended with exit code 2") as caught:
        await EmbeddedEtcd(tmp_path / "data", ending_with(words, tmp_path)).start()
    assert (caught.value.hint or "").endswith("ends with: starting | panic: failed to create WAL")
