"""What the campaign runs: three members of etcd, three coordinators, and a proxy before each of them."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from coordinator.store.embedded import find_etcd
from coordinator.v1 import service_pb2 as pb
from tests.campaigns.faults.network import Namespaces, namespaces
from tests.campaigns.faults.proxies import Proxy
from tests.cluster.etcd_cluster import EtcdCluster, EtcdMember
from tests.freezing import freeze

__all__ = ["MEMBERS", "REPLICAS", "WORKERS", "Coordinator", "Member", "Setting", "members_of"]

MEMBERS, REPLICAS, WORKERS = 3, 3, 4
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), ")
_START_SECONDS = 60.0
#: The calls that a proxy before a coordinator may copy.
_COPIED = {
    f"/coordinator.v1.CoordinatorService/{name}": getattr(pb, f"{name}Request")
    for name in ("Claim", "ClaimMany", "ClaimNext", "Renew", "Complete", "Release", "Submit", "Revoke", "Acknowledge")
}
_TXN = "/etcdserverpb.KV/Txn"


@dataclass
class Member(EtcdMember):
    """A member that runs in a namespace of its own, if ``prefix`` says which."""

    prefix: Sequence[str] = ()

    def start(self) -> None:
        """Start it, with the data that it has."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            command = [*self.prefix, *self.command]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.stopped = False


@dataclass
class Coordinator:
    """A coordinator at an address that it keeps when it is started again. ``clock`` are settings of its wall clock."""

    etcd: str
    endpoint: str
    log: Path
    clock: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    metrics_url: str = ""
    stopped: bool = False
    kills: int = 0
    #: The package and the command that are run, where that is not the tree that this is in.
    program: Sequence[str] = (str(Path(sys.executable).with_name("coordination")),)
    package: str = os.environ.get("PYTHONPATH", "")

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [*self.program, "serve", "--etcd", self.etcd]
        command += ["--listen", self.endpoint, "--metrics-listen", "127.0.0.1:0", "--log-file", str(self.log)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        environment |= {"PYTHONPATH": self.package, **self.clock}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        assert process.stderr is not None
        self.process, self.stopped = process, False
        ready = _READY.match(process.stdout.readline())
        if not ready:
            process.kill()
            raise RuntimeError(f"the coordinator at {self.endpoint} did not start: {process.stderr.read()}")
        self.metrics_url = ready[2]
        threading.Thread(target=process.stderr.read, daemon=True).start()

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process, self.kills = None, self.kills + 1

    def stop(self) -> None:
        """Have it hang."""
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

    def counters(self) -> dict[str, float]:
        """Return what it has counted of grants and ends, in all fleets."""
        with urllib.request.urlopen(self.metrics_url, timeout=20) as response:  # noqa: S310  # our own
            page = response.read().decode()
        counted = dict.fromkeys(("granted", "completed", "expired", "released", "revoked"), 0.0)
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                name = {
                    "coordination_claims_total": sample.labels.get("outcome", ""),
                    "coordination_completions_total": "completed",
                    "coordination_abandonments_total": sample.labels.get("cause", ""),
                }.get(sample.name)
                if name in counted:
                    counted[name] += sample.value
        return counted


@dataclass
class Setting:
    """All of it. Links are named by who asks: ``r0`` … are coordinators, ``w0`` … the processes of clients."""

    cluster: EtcdCluster
    coordinators: list[Coordinator]
    network: Namespaces | None
    #: Before each member, with a relay for each coordinator.
    store: list[Proxy]
    #: Before each coordinator, with a relay for each process of clients.
    front: list[Proxy]

    def endpoints(self, worker: int) -> str:
        """Return where a process of clients finds the coordinators."""
        return ",".join(proxy.relays[f"w{worker}"].endpoint for proxy in self.front)


@contextlib.contextmanager
def members_of(directory: Path, etcd: str | None) -> Iterator[tuple[EtcdCluster, Namespaces | None]]:
    """Run a cluster, each member in a namespace of its own where that is possible."""
    program = str(find_etcd(etcd).path)
    with namespaces(MEMBERS) as network, contextlib.ExitStack() as stack:
        hosts = network.addresses if network else ["127.0.0.1"] * MEMBERS
        ports = [(free_port(stack), free_port(stack)) for _ in range(MEMBERS)]
        peers = [f"http://{host}:{peer}" for host, (_, peer) in zip(hosts, ports, strict=True)]
        initial = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
        members: list[EtcdMember] = []
        for number, (host, (port, _)) in enumerate(zip(hosts, ports, strict=True)):
            client, name = f"http://{host}:{port}", f"m{number}"
            command = [program, "--name", name, "--data-dir", str(directory / name), "--logger", "zap"]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peers[number], "--initial-advertise-peer-urls", peers[number]]
            command += ["--initial-cluster", initial, "--log-level", "warn"]
            prefix = network.prefix(number) if network else ()
            members.append(Member(f"{host}:{port}", command, directory / f"{name}.log", prefix=prefix))
        cluster = EtcdCluster(members)
        stack.callback(cluster.close)
        for member in members:
            member.start()
        cluster.await_all()
        yield cluster, network


async def set_up(
    stack: contextlib.AsyncExitStack,
    directory: Path,
    cluster: EtcdCluster,
    network: Namespaces | None,
    seed: int,
    copied: Callable[[str], None],
) -> Setting:
    """Put proxies before the members, and coordinators with proxies; ``copied`` is called for each request."""

    def copy_of_call(path: str, request: bytes) -> bool:
        if path not in _COPIED:
            return False
        message = _COPIED[path].FromString(request)
        if getattr(message, "wait", None) is not None and message.HasField("wait"):
            return False
        for each in [message, *getattr(message, "items", ())]:
            if getattr(each, "request_id", ""):
                copied(each.request_id)
        return True

    store = [
        Proxy(
            member.endpoint,
            [f"r{number}" for number in range(REPLICAS)],
            random.Random(f"{seed} store {place}"),
            lambda path, _: path == _TXN,
        )
        for place, member in enumerate(cluster.members)
    ]
    for proxy in store:
        await proxy.start(stack)
    coordinators, front = [], []
    for number in range(REPLICAS):
        with contextlib.ExitStack() as reserved:
            endpoint = f"127.0.0.1:{free_port(reserved)}"
        etcd = ",".join(proxy.relays[f"r{number}"].endpoint for proxy in store)
        coordinators.append(Coordinator(etcd, endpoint, directory / f"r{number}.log"))
        workers = [f"w{each}" for each in range(WORKERS)]
        front.append(Proxy(endpoint, workers, random.Random(f"{seed} front {number}"), copy_of_call))
        await front[-1].start(stack)
    return Setting(cluster, coordinators, network, store, front)


def free_port(reserved: contextlib.ExitStack) -> int:
    """Bind a free port without listening, so that no other process gets it until it is listened at."""
    found = reserved.enter_context(socket.socket())
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", 0))
    return int(found.getsockname()[1])


def await_started(coordinators: Sequence[Coordinator]) -> None:
    """Start all that do not run, trying again while etcd has no leader."""
    end = time.monotonic() + _START_SECONDS
    for each in coordinators:
        while each.process is None or each.process.poll() is not None:
            try:
                each.start()
            except RuntimeError:
                each.process = None
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
