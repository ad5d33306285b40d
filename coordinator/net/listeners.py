"""The addresses that a coordinator listens on, without another program on any of them.

Invariant: a client that reaches a coordinator by a name of this host never reaches another program by that name,
whichever of the name's addresses it tries first. So a start fails
- if it cannot listen on every address of the name (those that this host does not have are left out);
- if another program answers on its port at another address of a name that leads to it too: beside 127.0.0.1 that is
  ::1, because both are ``localhost``, and the other addresses of this host's own name. Two that start at the same time
  see one another, because each looks after it has begun to listen.

Nothing here relies on a port that two programs share: SO_REUSEPORT is never set, and SO_REUSEADDR only lets Linux
forget connections of the past; it refuses a port on which another program listens.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from coordinator.errors import Unavailable
from coordinator.net.port_owner import owner_of

__all__ = ["Held", "hold"]

Address = IPv4Address | IPv6Address

_LOCALHOST: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
#: How often another free port is tried where the first is not free on all addresses.
_TRIES = 20
#: How long a program on this host may take to answer, in seconds.
_ANSWER_SECONDS = 1.0
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True)
class Held:
    """A port that was free on all addresses of what was typed, and what keeps it; ``what`` is to listen there.

    ``sockets`` are bound and do not listen yet: others may do so in their place, and Linux gives the port to no program
    that asks for any free one. They are to be closed.
    """

    what: str
    typed: str
    option: str
    port: int
    addresses: tuple[Address, ...]
    sockets: tuple[socket.socket, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The addresses with the port, as gRPC takes them."""
        return tuple(_show(address, self.port) for address in self.addresses)

    def check_alone(self) -> None:
        """Raise ``Unavailable`` if who asks for us by name may reach another program. To be called while we listen."""
        for address in _neighbours(self.addresses):
            if _answers(address, self.port):
                raise _unavailable(self, address, self.port, "taken")

    def refused(self, address: Address) -> Unavailable:
        """Return the error of an address that was free a moment ago."""
        return _unavailable(self, address, self.port, "taken")

    def close(self) -> None:
        """Let others have the addresses on which we do not listen by now."""
        for each in self.sockets:
            each.close()


@contextmanager
def hold(host: str, port: int, *, what: str, option: str) -> Iterator[Held]:
    """Hold a port on every address of ``host`` until the block ends; 0 picks one that is free on all of them.

    Raises ``Unavailable`` for ``what``, such as "the coordinator", if one of them is taken, or none is this host's.
    """
    held = _hold(host, port, what, option)
    try:
        yield held
    finally:
        held.close()


def _hold(host: str, port: int, what: str, option: str) -> Held:
    typed = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    wanted = Held(what, typed, option, port, _resolve(host), ())
    if not wanted.addresses:
        raise _unavailable(wanted, None, port, "no address is known by that name")
    for _ in range(_TRIES - 1 if port == 0 else 0):
        with suppress(Unavailable):
            return _bind(wanted)
    return _bind(wanted)


def _bind(wanted: Held) -> Held:
    """Bind a socket to each address that this host has; the first of them chooses the port where none is named."""
    port = wanted.port
    addresses: list[Address] = []
    sockets: list[socket.socket] = []
    with ExitStack() as stack:
        for address in wanted.addresses:
            try:
                bound = _bound(address, port)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    why = "taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
                    raise _unavailable(wanted, address, port, why) from None
                continue
            stack.enter_context(closing(bound))
            port = bound.getsockname()[1]
            addresses.append(address)
            sockets.append(bound)
        if not addresses:
            raise _unavailable(wanted, None, port, "the address is not this machine's")
        held = Held(wanted.what, wanted.typed, wanted.option, port, tuple(addresses), tuple(sockets))
        held.check_alone()
        stack.pop_all()
        return held


def _bound(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Listening everywhere takes IPv4 in, so that no other program can have half of it.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not address.is_unspecified)
        bound.bind((str(address), port))
    except BaseException:
        bound.close()
        raise
    return bound


def _resolve(host: str) -> tuple[Address, ...]:
    """Return the addresses of a host: none if it has none here."""
    if host.rstrip(".").lower() == "localhost":
        return _LOCALHOST
    addresses = _look_up(host)
    if any(address.is_unspecified for address in addresses):
        # With IPv6, this is all of IPv4 too.
        return (IPv6Address("::"),) if socket.has_dualstack_ipv6() else (IPv4Address("0.0.0.0"),)  # noqa: S104
    return addresses


def _neighbours(addresses: Sequence[Address]) -> list[Address]:
    """Return the other addresses of the names that lead to these."""
    mine = {*addresses}
    names: list[Sequence[Address]] = [_LOCALHOST]
    # Beside who listens everywhere Linux lets no other program listen, and looking names up may take seconds.
    if not mine & {*_LOCALHOST} and not any(address.is_unspecified for address in addresses):
        names.append(_look_up(socket.gethostname()))
    return [address for name in names if mine & {*name} for address in name if address not in mine]


def _look_up(host: str) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    addresses = []
    for *_, where in found:
        try:
            address = ip_address(str(where[0]))
        except ValueError:
            continue
        mapped = address.ipv4_mapped if address.version == 6 else None
        addresses.append(mapped or address)
    return tuple(dict.fromkeys(addresses))


def _answers(address: Address, port: int) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.settimeout(_ANSWER_SECONDS)
            asking.connect((str(address), port))
            # A port on which no program listens can be given to the very connection that tries it.
            return bool(asking.getsockname() != asking.getpeername())
    except TimeoutError:
        return True  # its queue is full
    except OSError:
        return False


def _unavailable(held: Held, address: Address | None, port: int, why: str) -> Unavailable:
    if why == "taken" and address is not None:
        why = f"{owner_of(port, address)} listens on {_show(address, port)}"
    return Unavailable(
        f"{held.what} cannot listen on {held.typed}: {why}",
        hint=f"choose another with {held.option}, port 0 picks a free one; or use what is running there",
    )


def _show(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
