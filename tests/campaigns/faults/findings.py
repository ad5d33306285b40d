"""What the checker complains about."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """A promise that was not kept: which ``rule``, for which work key, and in words what was seen."""

    rule: str
    work_key: str
    text: str
