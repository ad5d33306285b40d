"""Keeps an embedded etcd running: one that ends by itself is started again, where it was.

Invariant: it is given up only where starting it again cannot help, or has not helped several times running.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NoReturn

from coordinator.errors import Unavailable
from coordinator.logs.format import said
from coordinator.store.embedded.embedded_etcd import EmbeddedEtcd

__all__ = ["GIVEN_UP_AFTER", "keep_running"]

#: Pauses before it is started again, in seconds, doubling from the first to the second figure.
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
#: An etcd that ran for so long, in seconds, is counted from one again when it ends.
STEADY_SECONDS = 60.0
#: How many ends, each less than the above after a start, are enough.
GIVEN_UP_AFTER = 6
#: How often to look whether etcd's log has become long, in seconds.
LOG_CHECK_SECONDS = 10.0

_LOG = logging.getLogger(__name__)


async def keep_running(etcd: EmbeddedEtcd) -> NoReturn:
    """Start ``etcd`` again whenever it ends, and keep its log short; to be cancelled before it is stopped.

    Raises ``Unavailable`` when it is given up.
    """
    ends = 0
    while True:
        started = time.monotonic()
        code = await _wait(etcd)
        if time.monotonic() - started >= STEADY_SECONDS:
            ends = 0
        ends = await _start_again(etcd, ends + 1, f"etcd has ended by itself, with exit code {code}")


async def _start_again(etcd: EmbeddedEtcd, ends: int, problem: str) -> int:
    """Start it until it serves; returns how often it has ended, or not come up, in a row."""
    while True:
        cause, last_words = etcd.why_it_ended()
        if cause is not None:
            raise Unavailable(f"{problem}: {cause.what}", hint=f"{cause.hint}; {last_words}")
        if ends >= GIVEN_UP_AFTER:
            raise Unavailable(
                f"{problem}; that was the {ends}th time in a short period, so it is not restarted again",
                hint=f"find out why, then start it again: claims are kept; {last_words}",
            )
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (ends - 1), LONGEST_PAUSE_SECONDS)
        _LOG.error("etcd ended", extra=said(why=problem, times=ends, again_in_seconds=pause))
        await asyncio.sleep(pause)
        try:
            await etcd.restart()
        except Unavailable as error:
            ends, problem = ends + 1, error.message
        else:
            _LOG.warning("etcd started again", extra=said(etcd=etcd.endpoint, etcd_pid=etcd.pid))
            return ends


async def _wait(etcd: EmbeddedEtcd) -> int:
    """Wait until it ends; returns its exit code."""
    ended = asyncio.create_task(etcd.wait())
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=LOG_CHECK_SECONDS)
            etcd.trim_log()
        return ended.result()
    finally:
        ended.cancel()
