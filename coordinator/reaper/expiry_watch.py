"""Follow: whenever a claim's key is deleted, look whether it expired, and write that down.

Invariants:
- A deletion is only a hint. What is written down is decided by the transaction that does it, so that hints that come
  twice, late, or for claims that were completed do no harm.
- A batch of hints is done with before the next is taken: up to where ``follow`` has come, everything is written down.
- What could not be written down is tried again until it is: no hint is given up while etcd does not answer. The task
  that has it written down shows meanwhile that it fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from functools import partial

from coordinator.engine.layout import ROOT, WorkPaths, work_paths_of
from coordinator.engine.reap import reap, reap_deleted
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import KeyValue, end_of_prefix
from coordinator.process.tasks import Task
from coordinator.reaper.batch import Reap, reap_all
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import DeletedKey, Watch
from coordinator.store.operation_driver import Runner

__all__ = ["Follower"]


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
        *,
        before_reaping: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._task = task
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
                hints = [hint for deleted in batch.deletes() if (hint := self._hint(deleted)) is not None]
                if hints and self._before_reaping is not None:
                    await self._before_reaping()
                await reap_all(self._runner, hints, self._task)
                if batch.events or done < 0:
                    done = max(done, batch.revision)
                yield done, max(done, batch.revision)

    def _hint(self, deleted: DeletedKey) -> Reap | None:
        paths = work_paths_of(deleted.key, "claim")
        if paths is None:
            return None
        if deleted.previous is None:
            return partial(reap, paths, self._clock())
        return partial(_reap_deleted, paths, deleted.previous, self._clock)


def _reap_deleted(paths: WorkPaths, previous: KeyValue, clock: Callable[[], datetime]) -> Operation[bool]:
    return reap_deleted(paths, previous, clock())
