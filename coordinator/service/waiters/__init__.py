"""Waiting: calls that are held until the work that they want is free."""

from coordinator.service.waiters.calls import WaitingCalls, waited_of
from coordinator.service.waiters.held import Held
from coordinator.service.waiters.waits import Waits

__all__ = ["Held", "WaitingCalls", "Waits", "waited_of"]
