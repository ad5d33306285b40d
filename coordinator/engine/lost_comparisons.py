"""Retries after a lost comparison: others have changed what an operation had read, so it begins again.

Invariant: an operation is tried ``MAX_TRIES`` times (``limits.py``) and then fails with ``Contended``.
"""

from __future__ import annotations

from coordinator.errors import Contended
from coordinator.keys import WorkKey
from coordinator.limits import MAX_TRIES
from coordinator.quotation import key

__all__ = ["TRIES", "contended", "policy_contended"]

#: What an operation goes through, a try each.
TRIES = range(MAX_TRIES)
#: When to ask again, in seconds.
_RETRY_AFTER_SECONDS = 0.1


def contended(work_key: WorkKey, doing: str) -> Contended:
    """Say that a work key changed too often while something was done, such as "it was being claimed"."""
    return _changed(key(work_key), doing)


def policy_contended(doing: str) -> Contended:
    """Say the same of a policy."""
    return _changed("the policy", doing)


def _changed(what: str, doing: str) -> Contended:
    return Contended(f"{what} changed {MAX_TRIES} times while {doing}", retry_after_seconds=_RETRY_AFTER_SECONDS)
