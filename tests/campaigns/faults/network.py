"""A network namespace for each member of etcd, so that packets between two of them can vanish one way.

It needs root, iproute2 and a kernel that allows it. What is sent from one member to another
vanishes while the sender takes the receiver for a machine that is not there: nothing is refused, nothing answers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

__all__ = ["Namespaces", "namespaces"]

_NOWHERE = "02:00:00:00:00:01"


class Namespaces:
    """``count`` namespaces on one bridge, whose hosts are reached from here too."""

    def __init__(self, count: int) -> None:
        number = os.getpid() % 250
        self._bridge = f"cf{os.getpid()}"
        self.names = [f"{self._bridge}-{each}" for each in range(count)]
        self._net = f"10.213.{number}"
        self.addresses = [f"{self._net}.{11 + each}" for each in range(count)]

    def make(self) -> None:
        """Make bridge and namespaces; raises CalledProcessError where that is not allowed."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self._net}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            _ip("netns", "add", name)
            _ip("link", "add", f"{self._bridge}v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", f"{self._bridge}v{number}", "master", self._bridge, "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove all of it, as far as it is there."""
        for arguments in [*(("netns", "delete", name) for name in self.names), ("link", "delete", self._bridge)]:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(*arguments)

    def prefix(self, number: int) -> list[str]:
        """Return what comes before a command that is to run in a namespace."""
        return ["ip", "netns", "exec", self.names[number]]

    def cut(self, sender: int, receiver: int) -> None:
        """Have all that one sends to another vanish."""
        target = self.addresses[receiver]
        _ip(
            "-n",
            self.names[sender],
            "neighbour",
            "replace",
            target,
            "lladdr",
            _NOWHERE,
            "nud",
            "permanent",
            "dev",
            "eth0",
        )

    def heal(self) -> None:
        """Have everything arrive again."""
        for sender, name in enumerate(self.names):
            for receiver, address in enumerate(self.addresses):
                if sender != receiver:
                    with contextlib.suppress(subprocess.CalledProcessError):
                        _ip("-n", name, "neighbour", "delete", address, "dev", "eth0")


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[Namespaces | None]:
    """Make namespaces until the block ends; None where that is not possible here."""
    made = Namespaces(count)
    if os.geteuid() or shutil.which("ip") is None:
        yield None
        return
    try:
        made.make()
    except subprocess.CalledProcessError:
        made.remove()
        yield None
        return
    try:
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    command: Sequence[str] = ("ip", *arguments)
    subprocess.run(command, check=True, capture_output=True, timeout=20)
