"""A process of clients, which the campaign stops, kills and starts: ``python -m tests.campaigns.faults.worker``."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from tests.campaigns.faults.notes import Notes, Unwithdrawn
from tests.campaigns.faults.sessions import Session
from tests.campaigns.upgrade.sessions import SessionOfRelease


async def work(options: argparse.Namespace) -> None:
    """Run the sessions until their time is over."""
    notes = Notes(options.out, f"{options.name}.{options.life}")
    log = logging.getLogger("coordinator.client._async_calls")
    log.setLevel(logging.DEBUG)
    log.addHandler(Unwithdrawn(notes))
    log.propagate = False
    kind = SessionOfRelease if options.as_released else Session
    sessions = [
        kind(
            notes,
            f"s{options.first + number}",
            options.endpoints,
            options.fleet,
            f"{options.seed} {options.name} {options.life} {number}",
            options.started,
        )
        for number in range(options.sessions)
    ]
    await asyncio.gather(*(session.run(options.until) for session in sessions))


def main() -> None:
    """Read what the campaign wants."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--fleet", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--started", type=float, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--as-released", action="store_true", help="do what the first release serves, and no more")
    asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
