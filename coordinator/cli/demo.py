"""``demo``: what the coordinator is for, played in half a minute on this machine."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.cli.context import current
from coordinator.cli.server.serve import need_server

__all__ = ["COMMANDS"]


def demo() -> int:
    """Show ten sessions that pick from one list of work: without claims, with work-claim, and with work-next.

    Starts an etcd and a coordinator of its own on free ports, for half a minute, and leaves nothing behind. Exits with
    0 if no claimed work was done twice.
    """
    need_server()
    from coordinator.demo.play import play

    return play(as_json=current().json)


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"demo": demo}
