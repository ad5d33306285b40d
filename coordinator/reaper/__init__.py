"""The reaper: records what expired, and sees to it that what should have expired does."""

from coordinator.reaper.reaper import Reaper, ReaperState
from coordinator.reaper.settings import ReaperSettings

__all__ = ["Reaper", "ReaperSettings", "ReaperState"]
