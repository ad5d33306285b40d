"""Slugs: the one spelling of a title, however its words are joined, and whatever their case.

Invariants:
- Titles that differ in case, in spaces, dashes and underscores, in quotation marks, in the punctuation of sentences and
  in the marks of a list in front are one slug; and so is the slug itself.
- What carries meaning is kept: ``C++`` and ``C#`` are not ``C``, ``v1.2`` is not ``v12``, ``node.js`` is not
  ``nodejs``, ``50%`` is not ``50``, ``x < 3`` is not ``x > 3``. Letters and digits of all scripts are kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from coordinator.legibility import APOSTROPHES, INVISIBLE, fold_signs, normal

__all__ = ["slug"]

#: Signs that may carry meaning, depending on what stands beside them; besides all signs of money and of mathematics.
_SIGNS = "+#.%&@/:!=<>"
_SIGN_RUNS = re.compile(r"([+#.%&@/:!])\1*")
_DROPPED_MATHEMATICS = "|~"
#: Of a list, a quotation or a task list in Markdown. A number behind ``>`` is compared.
_MARK = re.compile(r"\A(?:[-*+\u2022] |> (?=[^\W\d]))*(?:\[[ xX]?\] )?")
#: Signs for what is also typed in two characters; between words, as an arrow is not to be taken for ``>``.
_TYPED = {"\u2264": "<=", "\u2265": ">=", "\u2260": "!=", "\u21d2": "=>", "\u2030": " permille"}
_TYPED_SIGNS = re.compile("[\u2264\u2265\u2260\u21d2\u2030]")
_ARROW = re.compile(r"(?<= )(?:-+>|\u27f6|\u2794|\u279c)(?= )")
#: Names of languages, whose sign may stand apart, and two letters that are one name: R&D, Q&A.
_LANGUAGE = re.compile(r"(?<![^\W_])([cf]) (\+\+|#)(?![^\W_])")
_AMPERSAND = re.compile(r"(?<![^\W_])([^\W_]) & (?=[^\W_](?![^\W_]))")
_ESCAPED_SPACE = re.compile(r"(?<=[A-Za-z])%(?:25)*20(?=[A-Za-z])")


def slug(title: str, *, segments: bool = False) -> str:
    """Return the slug of a title, "" for one without a letter or digit; ``segments``: ``/`` and ``:`` are kept.

    They are kept between words, as in ``src/app.py:12``.
    """
    title = _MARK.sub("", _ESCAPED_SPACE.sub(" ", " ".join(title.split())))
    folded = APOSTROPHES.sub("", normal(fold_signs(normal(title)).casefold()))
    seen = normal("".join(c for c in folded if unicodedata.category(c) != "Cf" and c not in INVISIBLE))
    seen = _ARROW.sub("\u2192", _TYPED_SIGNS.sub(lambda sign: _TYPED[sign[0]], seen))
    seen = _AMPERSAND.sub(r"\1&", _LANGUAGE.sub(r"\1\2", seen))
    text = _joined(_of_words(seen, segments=segments))
    while True:
        kept = _joined(_without_empty_signs(text))
        if kept == text:
            return text if any(map(str.isalnum, text)) else ""
        text = kept


def _of_words(text: str, *, segments: bool) -> str:
    """Return letters, digits and signs, with a hyphen for each of all others."""
    found: list[str] = []
    after_letter = False
    for character in text:
        sort = _sort(character)
        # Marks belong to the letter before them: many scripts write their vowels so.
        after_letter = sort == "letter" or (sort == "mark" and after_letter)
        if after_letter or sort == "kept" or (sort == "segment" and segments):
            found.append(character)
        else:
            found.append("-")
    return "".join(found)


@lru_cache(maxsize=4096)
def _sort(character: str) -> str:
    """Return what a character is: a letter (or digit), a mark, a sign that is kept, one of segments, or another."""
    category = unicodedata.category(character)
    if category[0] in "LN":
        return "letter"
    if category[0] == "M":
        return "mark"
    if character in "/:":
        return "segment"
    mathematical = category == "Sm" and character not in _DROPPED_MATHEMATICS
    return "kept" if mathematical or category == "Sc" or character in _SIGNS else "other"


def _joined(text: str) -> str:
    return re.sub("-+", "-", text).strip("-")


def _without_empty_signs(text: str) -> str:
    """Return the text with a hyphen for each run of a sign that carries no meaning where it stands."""

    def kept(run: re.Match[str]) -> str:
        sign = run[1]
        if len(run[0]) > _LONGEST.get(sign, len(run[0])):
            return "-"
        before, after = text[run.start() - 1 : run.start()] or "-", text[run.end() : run.end() + 1] or "-"
        if not _KEEPS[sign](before, after):
            return "-"
        return "/" if sign == "/" else run[0]

    return _SIGN_RUNS.sub(kept, text)


#: A sign that stands more often in a row carries no meaning: three dots are a pause.
_LONGEST = {".": 1, ":": 2}


def _is_word(character: str) -> bool:
    return _sort(character) in ("letter", "mark")


def _beside(before: str, after: str) -> bool:
    return _is_word(before) or _is_word(after)


def _between(before: str, after: str) -> bool:
    return _is_word(before) and _is_word(after)


def _is_part(before: str, after: str) -> bool:
    """``v1.2``, ``node.js``, and at the beginning of a word ``.env``; not the end of a sentence."""
    return _is_word(after) and (_is_word(before) or (not after.isdecimal() and before in "-/@"))


#: For each sign whether it is kept between two characters; ``-`` stands for the beginning and the end.
_KEEPS: dict[str, Callable[[str, str], bool]] = {
    "+": _beside,
    "#": _beside,
    ".": _is_part,
    "%": lambda before, _: before.isdecimal(),
    "&": _between,
    "@": lambda _, after: _is_word(after),
    "/": lambda _, after: _is_word(after) or after == ".",
    ":": _between,
    "!": lambda _, after: after == "=",
}
