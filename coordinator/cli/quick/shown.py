"""How the values of an answer are shown, to people and in JSON.

Invariant: what the full command shows in another way than it was written raises ``NotQuick``.
"""

from __future__ import annotations

import time

from coordinator.cli.quick import table
from coordinator.cli.quick.errors import NotQuick
from coordinator.time_text import format_calendar

__all__ = ["became", "brief", "flag", "json", "json_list", "json_moment", "key", "known", "moment", "name"]

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@/+-")


def became(typed: str, work_key: str) -> str:
    """Return the line that says what a work key became, "" where it is what was typed; raises ``NotQuick``."""
    if typed == work_key:
        return ""
    if not (typed.isascii() and typed.isprintable()):
        raise NotQuick("the work key is shown in another way than it was typed")
    return table.BECAME % {"typed_key": typed, "work_key": work_key}


def key(work_key: str) -> str:
    """Return a work key that is shown as it is: one word of visible ASCII without quotes; raises ``NotQuick``."""
    plain = work_key.isascii() and work_key.isprintable() and 1 <= len(work_key) <= table.MOST_KEY
    if not plain or " " in work_key or '"' in work_key or "`" in work_key:
        raise NotQuick("a work key in the answer is quoted")
    return work_key


def name(session: str) -> str:
    """Return the name of a session that is shown as it is; raises ``NotQuick``."""
    if not 1 <= len(session) <= table.MOST_SESSION or not _NAME.issuperset(session):
        raise NotQuick("a name in the answer is quoted")
    return session


def known(of: dict[int, str], number: int) -> str:
    """Return the word for a number; raises ``NotQuick`` for one of a later coordinator."""
    found = of.get(number)
    if found is None:
        raise NotQuick("the answer holds a word that is not known")
    return found


def moment(seconds: int) -> str:
    """Return a time, given as seconds since 1970."""
    return format_calendar(time.gmtime(seconds))


def json_moment(seconds: int | None) -> str:
    """Return a time for JSON."""
    return "null" if seconds is None else json(moment(seconds))


def flag(number: int) -> str:
    """Return a truth value for JSON."""
    return "true" if number else "false"


def json_list(texts: list[str]) -> str:
    """Return a list of texts for JSON."""
    return f"[{', '.join(map(json, texts))}]"


def json(value: str | float | None) -> str:
    """Return a text, a number or None as ``json`` writes it, without loading that."""
    if value is None:
        return "null"
    if isinstance(value, str):
        from _json import encode_basestring_ascii

        written: str = encode_basestring_ascii(value)
        return written
    return repr(value)


def brief(text: str) -> str:
    """Return the lines of a brief, "" for none; raises ``NotQuick`` for one of which not all is shown as it is.

    A short one is a quotation on one line, and all others are a block, as ``quotation.said_lines`` has it.
    """
    if not text:
        return ""
    if not text.isascii() or not text.replace("\n", "").isprintable() or len(text) > table.MOST_OF_BLOCK:
        raise NotQuick("the brief is shown in another way than it was written")
    if len(text) <= table.MOST_OF_LINE and "\n" not in text.strip():
        line = " ".join(text.split())
        if '"' in line or "`" in line or "''" in line:
            raise NotQuick("the brief holds quotes")
        return table.BRIEF % {"brief": line}
    lines = [" ".join(line.split()) for line in text.split("\n")]
    if len(lines) > table.MOST_LINES:
        raise NotQuick("the brief is cut")
    while lines and not lines[-1]:
        lines.pop()
    return table.BRIEF_HEAD + "".join(f"{(table.BRIEF_LINE % {'brief': line}).rstrip()}\n" for line in lines)
