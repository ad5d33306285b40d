"""The procedures of docs/operations.md, carried out: upgrades, a lost member, a backup brought back."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import Cause, Client, Denial, NotFound, Outcome, State
from tests.deploy.compose_running import CannotRun, Compose, composed, deployed_etcd, load

ETCD = ("etcd-1", "etcd-2", "etcd-3")
COORDINATORS = ("coordinator-1", "coordinator-2")
FLEET = "operated"
SERVICES = load()["services"]
KEPT = [f"task:kept-{number}" for number in range(5)]


def _endpoints(running: Compose) -> list[str]:
    return [running.place(name, 7420) for name in COORDINATORS]


class Sessions:
    """Sessions that go on while their service is worked at; ``answers`` counts what they were rightly answered."""

    def __init__(self, endpoints: list[str]) -> None:
        self._client = Client(endpoints, fleet=FLEET, timeout=20)
        self._held = {key: self._client.claim("session-a", key, ttl=60) for key in KEPT}
        self._over = threading.Event()
        self.answers = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Renew what is held, see others denied it, and do other work, until it is over."""
        number = 0
        while not self._over.is_set() and not self.wrong:
            number += 1
            try:
                self._round(number)
            except Exception as error:  # noqa: BLE001  # any other answer is wrong
                self.wrong.append(f"{type(error).__name__}: {error}")
            self.answers += 1
            self._over.wait(0.05)

    def _round(self, number: int) -> None:
        key = KEPT[number % len(KEPT)]
        renewed = self._client.renew("session-a", key, token=self._held[key].fencing_token)
        if renewed.outcome is not Outcome.RENEWED or renewed.fencing_token != self._held[key].fencing_token:
            self.wrong.append(f"{key} was answered {renewed}")
        denial = self._client.try_claim("session-b", key)
        if not isinstance(denial, Denial) or denial.holder != "session-a":
            self.wrong.append(f"{key} was answered {denial}")
        other = self._client.claim("session-b", f"task:other-{number}")
        self._client.complete("session-b", other.work_key, token=other.fencing_token)

    def stop(self) -> None:
        """Have them end, and what they held too."""
        self._over.set()

    def close(self) -> None:
        """Complete what is held: it was held all the time."""
        for key, claim in self._held.items():
            self._client.complete("session-a", key, token=claim.fencing_token)
        self._client.close()


@contextlib.contextmanager
def _going_on(running: Compose) -> Iterator[Sessions]:
    sessions = Sessions(_endpoints(running))
    thread = threading.Thread(target=sessions.run)
    thread.start()
    try:
        yield sessions
    finally:
        sessions.stop()
        thread.join()
    assert sessions.wrong == []
    sessions.close()


@pytest.mark.long
def test_no_claim_is_lost_while_everything_is_restarted_and_a_member_replaced(tmp_path: Path) -> None:
    with composed(tmp_path, SERVICES) as running:
        running.up(*COORDINATORS)
        with _going_on(running) as sessions:
            for name in (*COORDINATORS, *ETCD):
                before = sessions.answers
                running.restart(name)
                _go_on_for(sessions, before)
            _replace(running, "etcd-2")
            _go_on_for(sessions, sessions.answers)
        reported = running.etcdctl("etcd-1", "member", "list")
        assert reported.count("started") == 3


def _go_on_for(sessions: Sessions, before: int) -> None:
    """Wait until the sessions have gone on since ``before``, so that each step is seen by them."""
    pause = threading.Event()
    for _ in range(600):
        if sessions.answers >= before + 3 or sessions.wrong:
            return
        pause.wait(0.05)
    raise AssertionError("the sessions do not go on")


def _replace(running: Compose, name: str) -> None:
    """Replace a member whose disk is gone, as docs/operations.md says."""
    running.kill(name)
    member = next(
        line.partition(",")[0] for line in running.etcdctl("etcd-1", "member", "list").splitlines() if name in line
    )
    _when_healthy(running, "member", "remove", member)
    _when_healthy(running, "member", "add", name, f"--peer-urls=http://{name}:2380")
    running.replace(name, load(ETCD_INITIAL_CLUSTER_STATE="existing")["services"][name])


def _when_healthy(running: Compose, *arguments: str) -> None:
    """Change the members. etcd refuses until those that remain have been connected for five seconds."""
    pause = threading.Event()
    for _ in range(60):
        with contextlib.suppress(CannotRun):
            running.etcdctl("etcd-1", *arguments)
            return
        pause.wait(0.5)
    raise AssertionError(f"etcd refuses {arguments}")


@pytest.mark.long
def test_a_restored_backup_gives_no_token_a_second_time(tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with composed(tmp_path / "before", SERVICES) as running:
        running.up("coordinator-1")
        with Client(_endpoints(running)[0], fleet=FLEET, timeout=20) as client:
            held = client.claim("session-a", "task:held", ttl=600)
            client.claim("session-b", "task:expires", ttl=5)
            client.claim("session-c", "task:done")
            client.complete("session-c", "task:done")
            running.etcdctl("etcd-1", "snapshot", "save", str(backup))
            lost = client.claim("session-d", "task:lost")
            tokens = [client.claim("session-d", f"task:lost-{number}").fencing_token for number in range(20)]
    with composed(tmp_path / "after", SERVICES) as running:
        for name in ETCD:
            _restore(running, name, backup)
        running.up("coordinator-1")
        with Client(_endpoints(running)[0], fleet=FLEET, timeout=20) as client:
            details = client.get("task:held")
            assert details.claim is not None
            assert client.renew("session-a", "task:held", token=held.fencing_token).outcome is Outcome.RENEWED
            assert client.get("task:done").record.state is State.COMPLETED
            # What was claimed after the backup is unknown, and is claimed again, with another token.
            with pytest.raises(NotFound):
                client.renew("session-d", "task:lost", token=lost.fencing_token)
            again = client.claim("session-e", "task:lost")
            assert again.fencing_token > max(tokens)
            _await_expiry(client, "task:expires")


def _restore(running: Compose, name: str, backup: Path) -> None:
    """Make a member's data from a backup, as docs/operations.md says."""
    settings = running.settings(name)
    command = [str(deployed_etcd().with_name("etcdutl")), "snapshot", "restore", str(backup)]
    command += ["--name", settings["ETCD_NAME"], "--data-dir", settings["ETCD_DATA_DIR"]]
    command += ["--initial-cluster", settings["ETCD_INITIAL_CLUSTER"]]
    command += ["--initial-cluster-token", settings["ETCD_INITIAL_CLUSTER_TOKEN"]]
    command += ["--initial-advertise-peer-urls", settings["ETCD_INITIAL_ADVERTISE_PEER_URLS"]]
    command += ["--bump-revision", "1000000000", "--mark-compacted"]
    subprocess.run(command, check=True, capture_output=True)


def _await_expiry(client: Client, work_key: str) -> None:
    """Wait until the reaper has written down that a claim of the backup expired."""
    pause = threading.Event()
    for _ in range(300):
        details = client.get(work_key)
        if details.history:
            assert (details.record.state, details.record.cause) == (State.ABANDONED, Cause.EXPIRED)
            return
        pause.wait(0.1)
    raise AssertionError(f"the end of {work_key} is not written down")
