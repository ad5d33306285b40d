"""What a credential grants.

Invariant: what is not granted is refused. A pattern matches the whole of a name, letter for letter; only ``*`` stands
for anything else, for any run of characters, none included.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Grant", "Role"]

#: Answers that one grant remembers, for sessions and for fleets, and the longest name that it remembers.
_REMEMBERED, _LONGEST_REMEMBERED = 1024, 256


class Role(StrEnum):
    """What a credential is for. An operator may do all that an agent may, and what is for operators only."""

    AGENT = "agent"
    OPERATOR = "operator"


class _Patterns:
    """Patterns of names, and the results for the names that were asked for recently."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._said: dict[str, bool] = {}

    def __str__(self) -> str:
        return ", ".join(self._patterns) or "none"

    def __bool__(self) -> bool:
        return bool(self._patterns)

    @property
    def only_name(self) -> str:
        """The one name that is granted, "" where more are, or none is."""
        return self._patterns[0] if len(self._patterns) == 1 and "*" not in self._patterns[0] else ""

    def name_with(self, word: str) -> str:
        """Return a name that is granted, with ``word`` for what a pattern leaves open; "" where there is none."""
        pattern = next((pattern for pattern in self._patterns if "*" in pattern), "")
        return pattern.replace("*", word, 1).replace("*", "")

    def match(self, name: str) -> bool:
        """Return whether one of them matches."""
        said = self._said.get(name)
        if said is None:
            said = any(_matches(pattern, name) for pattern in self._patterns)
            if len(name) <= _LONGEST_REMEMBERED:
                if len(self._said) >= _REMEMBERED:
                    self._said.clear()
                self._said[name] = said
        return said


class Grant:
    """What the credential ``name`` grants; ``expires_at`` is in seconds since 1970, None for never."""

    __slots__ = ("expires_at", "fleets", "name", "role", "sessions")

    def __init__(
        self,
        name: str,
        *,
        role: Role = Role.AGENT,
        sessions: tuple[str, ...] = (),
        fleets: tuple[str, ...] = (),
        expires_at: float | None = None,
    ) -> None:
        self.name = name
        self.role = role
        self.sessions = _Patterns(sessions)
        self.fleets = _Patterns(fleets)
        self.expires_at = expires_at

    def __str__(self) -> str:
        return f"{self.role} {self.name!r}: {self.sessions}; {self.fleets}; {self.expires_at}"


def _matches(pattern: str, name: str) -> bool:
    # Not a regular expression: with several stars, a name of the caller's choice could keep one busy for hours.
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    *between, last = others
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in between:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
