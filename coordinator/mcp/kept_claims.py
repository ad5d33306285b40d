"""Keeps the claims of an agent's session: renews them in the background, and remembers what the agent has to know.

Invariants:
- Renewed is what was claimed or noted through this server, and nothing else: a claim under which another program works,
  as ``coordination run``, ends with that program.
- It is renewed while a tool was called, or a hook of the agent came, within the last two hours. A terminal that was
  left open holds no work for ever. A call after that, or a hook, goes on with what has not ended.
- No claim is lost silently: answers say so until the agent has asked about that work, at most a few times, because
  several agents may share a server. So do they if renewals fail.
- When the server ends, nothing is renewed any more, and claims end at their deadlines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coordinator.client._keepers import AsyncKeeper
from coordinator.client._renewal_schedule import HeldClaim
from coordinator.clock import boot_seconds
from coordinator.mcp.failures import LOST
from coordinator.model import Claim
from coordinator.quotation import key, line
from coordinator.time_text import format_duration

__all__ = ["IDLE_SECONDS", "Keeping"]

#: For how long claims are renewed after a call or a hook, and how often that is looked at, in seconds.
IDLE_SECONDS = 2 * 3600.0
_LOOK_SECONDS = 60.0
#: In how many answers a lost claim is reported, and how much of a reason is.
_REPORTED, _LONGEST_REASON = 5, 200


class Keeping:
    """The claims that were made here, by their work keys."""

    def __init__(
        self,
        keeper: AsyncKeeper,
        last_hook: Callable[[], float] = lambda: 0.0,
        *,
        clock: Callable[[], float] = boot_seconds,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Keep claims with ``keeper``; ``last_hook`` says when a hook of the agent came, on the same clock."""
        self._keeper = keeper
        self._last_hook = last_hook
        self._clock = clock
        self._look_seconds = look_seconds
        self._last_call = 0.0
        self._held: dict[str, HeldClaim] = {}
        #: How many answers have said that a claim is lost.
        self._reported: dict[str, int] = {}
        self._resting = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def work_keys(self) -> list[str]:
        """The work that is held here, as far as is known."""
        return [work_key for work_key, held in self._held.items() if self._is_held(held)]

    def touch(self) -> None:
        """Note that the agent is at work: what it holds is renewed from now on."""
        self._last_call = self._clock()
        self._look()

    def keep(self, claim: Claim) -> None:
        """Renew a claim from now on, which was granted or renewed just now."""
        held = self._held.get(claim.work_key)
        if held is not None and held.claim.fencing_token == claim.fencing_token and self._is_held(held):
            held.renewed(claim)
            return
        self.drop(claim.work_key)
        held = self._held[claim.work_key] = HeldClaim(claim, announce=lambda: None)
        self._keeper.add(held)

    def drop(self, work_key: str) -> None:
        """Renew a claim no more: it has ended, or the agent knows that it is lost."""
        held = self._held.pop(work_key, None)
        self._reported.pop(work_key, None)
        if held is not None:
            self._keeper.discard(held)

    def find(self, typed: str) -> str:
        """Return the work key that was claimed under a spelling; the spelling itself where none was."""
        for work_key, held in self._held.items():
            if typed in (work_key, held.claim.typed_key):
                return work_key
        return typed

    def knows(self, typed: str) -> bool:
        """Return whether work is held here, or was and the agent does not know yet that it is lost."""
        return self.find(typed) in self._held

    def notices(self) -> list[str]:
        """Return what the agent has to know of what it holds."""
        notices = []
        for work_key, held in list(self._held.items()):
            if not self._is_held(held):
                notices.append(f"LOST {key(work_key)}: {LOST}{_why(held)}")
                reported = self._reported[work_key] = self._reported.get(work_key, 0) + 1
                if reported >= _REPORTED:
                    self.drop(work_key)
            elif held.problem is not None:
                left = format_duration(max(0.0, held.deadline - self._clock()))
                notices.append(f"{key(work_key)} could not be renewed, and lasts {left} still: {_reason(held.problem)}")
        return notices

    def stop(self) -> None:
        """Renew nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._rest()

    def _look(self) -> None:
        """Renew or do not, by when the agent was at work; and look again soon."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._look_seconds, self._look)
        if self._clock() - max(self._last_call, self._last_hook()) >= IDLE_SECONDS:
            self._rest()
        elif self._resting:
            self._resting = False
            for held in self._held.values():
                if self._is_held(held):
                    self._keeper.add(held)

    def _rest(self) -> None:
        self._resting = True
        for held in self._held.values():
            self._keeper.discard(held)

    def _is_held(self, held: HeldClaim) -> bool:
        held.look(self._clock())
        return held.lost is None


def _why(held: HeldClaim) -> str:
    return f" ({_reason(held.lost)})" if held.lost is not None else ""


def _reason(error: Exception) -> str:
    return line(str(error))[:_LONGEST_REASON]
