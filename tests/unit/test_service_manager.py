"""What is said to systemd, where it listens, and that nothing depends on it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from coordinator.process.service_manager import ADDRESS_VARIABLE, notify


@pytest.mark.parametrize("form", ["/{}/notify", "@{}"])
def test_a_state_reaches_the_socket_that_is_named(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = form.format(str(tmp_path).strip("/"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
        notify("READY=1")
        assert manager.recv(100, socket.MSG_DONTWAIT) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all", f"/{'x' * 200}", "@", "@\udcff"])
def test_nothing_fails_where_no_one_listens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    if address is not None:
        monkeypatch.setitem(os.environ, ADDRESS_VARIABLE, address)
    notify("READY=1")


def test_it_does_not_wait_for_one_that_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv(ADDRESS_VARIABLE, str(tmp_path / "notify"))
        for _ in range(2_000):  # more than the kernel keeps for a reader
            notify("READY=1")
