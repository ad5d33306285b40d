"""Which part of a fleet a briefing is about: work of some kinds, and of one repository.

Invariants:
- With a repository, work of other repositories is left out. Work that belongs to none, such as tasks, is not: it may be
  anyone's.
- ``ranges`` and ``has`` say the same: a key lies in one of the ranges if and only if its segment is in the scope. No
  two ranges overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from coordinator.engine.layout import encode_segment
from coordinator.engine.transaction import end_of_prefix
from coordinator.keys import REPOSITORY_KINDS

__all__ = ["Scope"]

#: Just behind all that belongs to a repository, seen from its name: the name itself, and what goes on with ``#``, ``!``
#: or ``/``, which are ``#``, ``%21`` and ``%2F`` in a segment. No character of a name is encoded as ``%0`` to ``%2``.
_END = b"%30"


@dataclass(frozen=True)
class Scope:
    """Work of these ``kinds`` (empty: of all), and of no other repository than this one ("": of all).

    ``repository`` is a prefix of canonical work keys, ``github:acme/web``.
    """

    kinds: tuple[str, ...] = ()
    repository: str = ""

    @cached_property
    def _parts(self) -> tuple[tuple[bytes, bytes], ...]:
        """From where up to where the segments in the scope lie; b"" is behind all of them."""
        own = encode_segment(self.repository).encode()
        of_repository = [(own, own + _END)] if self.repository else []
        if self.kinds:
            others = [kind for kind in self.kinds if not (self.repository and kind in REPOSITORY_KINDS)]
            if self.repository.partition(":")[0] not in self.kinds:
                of_repository = []
            return (*_of_kinds(others), *of_repository)
        if not self.repository:
            return ((b"", b""),)
        left_out = _of_kinds(sorted(REPOSITORY_KINDS))
        starts, ends = zip(*left_out, strict=True)
        return (*zip((b"", *ends), (*starts, b""), strict=True), *of_repository)

    def ranges(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return where the keys of a table lie that are in the scope; the table's keys start with ``prefix``."""
        return [(prefix + start, prefix + end if end else end_of_prefix(prefix)) for start, end in self._parts]

    def has(self, segment: bytes) -> bool:
        """Return whether a work key is in the scope, by its segment."""
        return any(start <= segment and (not end or segment < end) for start, end in self._parts)


def _of_kinds(kinds: list[str]) -> list[tuple[bytes, bytes]]:
    prefixes = [f"{kind}:".encode() for kind in kinds]
    return [(prefix, end_of_prefix(prefix)) for prefix in prefixes]
