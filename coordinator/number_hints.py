"""Whether a text may be a number whose repository is not named, without looking closely.

Invariant: it may, wherever ``spoken_numbers.read_number`` reads one. Nothing is loaded for it, because every command
asks it of each work key.
"""

from __future__ import annotations

__all__ = ["may_be_number"]

_STEMS = ("issue", "gh", "work", "discussion", "incident", "pr", "pull", "mr", "merge")
_SITES = ("github", "gitlab", "bitbucket", "gitea", "forgejo", "codeberg", "gh", "gl", "bb")
_BEFORE = " \t<>`\"'()[]{}*_~.,;:-+>|/"


def may_be_number(text: str) -> bool:
    """Return whether a text may be a number whose repository is not named; False only where it is none."""
    if not (text.isascii() and text.isprintable()):
        return True
    text = text.lower().lstrip(_BEFORE).rstrip(_BEFORE)
    if not any(map(str.isdecimal, text)):
        return False
    head, colon, rest = text.partition(":")
    if colon:
        named = head.strip().startswith((*_SITES, *_STEMS)) and "/" not in rest
        return named or ("/" not in rest and ("#" in rest or "!" in rest or rest.strip().startswith(_STEMS)))
    if "/" in text:
        return text.startswith((*_STEMS, "refs/")) or " " in text or text.endswith(("/merge", "/head"))
    begun = text.startswith((*_STEMS, *_SITES)) or (" " in text and any(stem in text for stem in _STEMS))
    return begun or "#" in text or "!" in text
