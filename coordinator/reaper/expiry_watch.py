"""Follow: whenever a claim's key is deleted, look whether it expired, and write that down.

Invariants:
- A deletion is only a hint. What is written down is decided by the transaction that does it, so that hints that come
  twice, late, or for claims that were completed do no harm.
- A batch of hints is done with before the next is taken: up to where ``follow`` has come, everything is written down.
- An expiry counts as a failed attempt of submitted work only where this reaper has heard others write in the meantime
  (``witnesses.py``).
- What could not be written down is tried again until it is: no hint is given up while etcd does not answer. The task
  that has it written down shows meanwhile that it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from functools import partial

from coordinator.engine.layout import ROOT, WorkPaths, work_paths_of
from coordinator.engine.policy import PolicyBook, WorkPolicy
from coordinator.engine.pool.witness import Witness
from coordinator.engine.reap import reap, reap_deleted
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import KeyValue, end_of_prefix
from coordinator.errors import TryAgain
from coordinator.process.tasks import Task
from coordinator.reaper.batch import Reap, reap_all
from coordinator.reaper.witnesses import Witnesses
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import DeletedKey, Watch, WatchBatch
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["Follower"]


#: How long policies may take to be read, and the longest pause before they are read again, in seconds.
_READ_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 5.0


class Follower:
    """Follows the deletions of all fleets' claims, as ``task``.

    ``before_reaping`` is awaited ahead of each batch, for tests.
    """

    def __init__(
        self,
        channel: EtcdChannel,
        runner: Runner,
        clock: Callable[[], datetime],
        task: Task,
        policies: Policies,
        witnesses: Witnesses,
        *,
        before_reaping: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._task = task
        self._policies = policies
        self._witnesses = witnesses
        self._before_reaping = before_reaping
        root = ROOT.encode()
        self.watch = Watch(channel, root, end_of_prefix(root), deletes_only=True, previous=True, broke=task.failed)

    async def follow(self, start_revision: int) -> AsyncGenerator[tuple[int, int], None]:
        """Write down what expires from ``start_revision`` on; 0 means from now on.

        Yields, again and again, up to which revision that is done, and how far the store is known to be. Raises
        ``Compacted`` and ``Rewound``.
        """
        done = start_revision - 1
        async with contextlib.aclosing(self.watch.follow(start_revision)) as batches:
            async for batch in batches:
                hints = await self._hints(batch)
                if hints and self._before_reaping is not None:
                    await self._before_reaping()
                await reap_all(self._runner, hints, self._task)
                if batch.events or done < 0:
                    done = max(done, batch.revision)
                yield done, max(done, batch.revision)

    async def _hints(self, batch: WatchBatch) -> list[Reap]:
        books: dict[str, PolicyBook] = {}
        hints: list[Reap] = []
        for deleted in batch.deletes():
            paths = work_paths_of(deleted.key, "claim")
            if paths is not None:
                if paths.fleet not in books:
                    books[paths.fleet] = await self._policies_of(paths.fleet)
                hints.append(self._hint(paths, deleted, books[paths.fleet].of(paths.work_key)))
        return hints

    def _hint(self, paths: WorkPaths, deleted: DeletedKey, policy: WorkPolicy) -> Reap:
        heard = self._witnesses.of(paths.fleet)
        if deleted.previous is None:
            return partial(reap, paths, self._clock(), loose_ends=policy.loose_ends)
        return partial(_reap_deleted, paths, deleted.previous, self._clock, policy, heard)

    async def _policies_of(self, fleet: str) -> PolicyBook:
        """Return the policies of a fleet, however long it takes to learn them."""
        while True:
            try:
                return await self._policies.of(fleet, deadline=time.monotonic() + _READ_SECONDS)
            except TryAgain as problem:
                await asyncio.sleep(min(self._task.failed(problem), _LONGEST_PAUSE_SECONDS))


def _reap_deleted(
    paths: WorkPaths, previous: KeyValue, clock: Callable[[], datetime], policy: WorkPolicy, heard: Witness
) -> Operation[bool]:
    return reap_deleted(
        paths,
        previous,
        clock(),
        loose_ends=policy.loose_ends,
        failing_after=policy.max_attempts if heard.has_heard else None,
        counts=heard.saw_others,
    )
