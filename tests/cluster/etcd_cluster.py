"""An etcd cluster on loopback: a real process for each member, which can be killed, stopped and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from coordinator.store.embedded import find_etcd
from coordinator.store.embedded.binary import ETCD_VARIABLE
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.freezing import freeze

__all__ = ["EtcdCluster", "EtcdMember", "run_cluster"]

_START_SECONDS = 30.0
#: Where ``scripts/fetch_etcd.py`` puts what it fetches.
_FETCHED = Path(__file__).parents[2] / ".etcd"


@dataclass
class EtcdMember:
    """One member: the command that runs it, and its process while it runs."""

    endpoint: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False

    def start(self) -> None:
        """Start it, with the data that it has."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self.stopped = False

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> None:
        """End it in good order: where it leads it hands that over first."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_START_SECONDS)
            self.process = None

    def stop(self) -> None:
        """Have it hang: its connections stay and do not answer."""
        assert self.process is not None
        freeze(self.process.pid)
        self.stopped = True

    def go_on(self) -> None:
        """Let it go on, or start it again if it was killed."""
        if self.process is None:
            self.start()
        elif self.stopped:
            os.kill(self.process.pid, signal.SIGCONT)
            self.stopped = False

    def etcdctl(self, *arguments: str) -> None:
        """Have etcdctl do something at this member; raises CalledProcessError where that fails."""
        # Each version's own stands beside it.
        program = Path(self.command[0]).with_name("etcdctl")
        command = [str(program), "--endpoints", self.endpoint, *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
        subprocess.run(command, env=environment | {"ETCDCTL_API": "3"}, check=True, capture_output=True, timeout=30)

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None


@dataclass
class EtcdCluster:
    """The members. Each is asked at its own address, with nothing in between."""

    members: list[EtcdMember]
    credentials: grpc.ChannelCredentials | None = None
    _channels: dict[str, grpc.Channel] = field(default_factory=dict)

    @property
    def endpoints(self) -> list[str]:
        """Where the members are."""
        return [member.endpoint for member in self.members]

    @property
    def etcd(self) -> str:
        """The members, as ``--etcd`` takes them."""
        return ",".join(self.endpoints)

    def status(self, member: EtcdMember) -> rpc.StatusResponse | None:
        """Return what a member says of itself, None if it says nothing."""
        if not member.alive or member.stopped:
            return None
        channel = self._channels.get(member.endpoint)
        if channel is None:
            options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
            if self.credentials is None:
                channel = grpc.insecure_channel(member.endpoint, options=options)
            else:
                channel = grpc.secure_channel(member.endpoint, self.credentials, options=options)
            self._channels[member.endpoint] = channel
        call = channel.unary_unary(
            Methods.STATUS.path, rpc.StatusRequest.SerializeToString, rpc.StatusResponse.FromString
        )
        try:
            response: rpc.StatusResponse = call(rpc.StatusRequest(), timeout=1.0)
        except grpc.RpcError:
            return None
        return response

    def leader(self) -> EtcdMember:
        """Return the leader, on which all that answer agree; wait for one."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            statuses = [(member, self.status(member)) for member in self.members]
            reported = {status.leader for _, status in statuses if status is not None}
            if len(reported) == 1:
                for member, status in statuses:
                    if status is not None and status.leader == status.header.member_id:
                        return member
            time.sleep(0.05)
        raise AssertionError("the cluster has no leader")

    def move_leader(self) -> EtcdMember:
        """Have another member lead, as an operator does; returns it when all agree."""
        leader, successor = self.leader(), self.follower()
        status = self.status(successor)
        assert status is not None
        leader.etcdctl("move-leader", f"{status.header.member_id:x}")
        assert self.leader() is successor
        return successor

    def follower(self) -> EtcdMember:
        """Return a member that runs and does not lead."""
        leader = self.leader()
        return next(member for member in self.members if member is not leader and member.alive and not member.stopped)

    def await_all(self) -> None:
        """Wait until all members run and agree on a leader."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            statuses = [self.status(member) for member in self.members]
            if all(status is not None and status.leader for status in statuses):
                return
            for member in self.members:
                assert member.alive, member.log.read_text(errors="replace")[-2000:]
            time.sleep(0.05)
        raise AssertionError("the members do not come together")

    def close(self) -> None:
        """End all members."""
        for channel in self._channels.values():
            channel.close()
        for member in self.members:
            member.kill()


@contextlib.contextmanager
def run_cluster(
    directory: Path, size: int = 3, *, arguments: Sequence[str] = (), scheme: str = "http"
) -> Iterator[EtcdCluster]:
    """Run a cluster with its data below ``directory``.

    Its etcd is $COORDINATION_ETCD, else the newest that ``scripts/fetch_etcd.py`` has fetched, else the one that the
    coordinator would run: the wheel's, of which no member should be killed and started again (it may lose data).
    With ``scheme`` https, ``arguments`` must name certificates, and ``credentials`` be set before members are asked.
    """
    program = find_etcd(_fetched()).path
    with contextlib.ExitStack() as reserved:
        ports = [_reserve(reserved) for _ in range(2 * size)]
        clients, peers = ports[:size], ports[size:]
        names = [f"m{number}" for number in range(size)]
        initial = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, peers, strict=True))
        members = []
        for name, client, peer in zip(names, clients, peers, strict=True):
            command = [str(program), "--name", name, "--data-dir", str(directory / name), "--logger", "zap"]
            command += ["--listen-client-urls", f"{scheme}://127.0.0.1:{client}"]
            command += ["--advertise-client-urls", f"{scheme}://127.0.0.1:{client}"]
            command += ["--listen-peer-urls", f"http://127.0.0.1:{peer}"]
            command += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
            command += ["--initial-cluster", initial, "--log-level", "warn", *arguments]
            members.append(EtcdMember(f"127.0.0.1:{client}", command, directory / f"{name}.log"))
        cluster = EtcdCluster(members)
        try:
            for member in members:
                member.start()
            if scheme == "http":
                cluster.await_all()
            yield cluster
        finally:
            cluster.close()


def _fetched() -> str | None:
    if os.environ.get(ETCD_VARIABLE):
        return None
    found = [path for path in _FETCHED.glob("*/usr/bin/etcd") if path.parents[2].name[0].isdigit()]
    newest = max(found, key=lambda path: [int(part) for part in path.parents[2].name.split(".")], default=None)
    return None if newest is None else str(newest)


def _reserve(reserved: contextlib.ExitStack) -> int:
    """Bind a free port without listening, so that no other process gets it until etcd listens there."""
    found = reserved.enter_context(socket.socket())
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", 0))
    return int(found.getsockname()[1])
