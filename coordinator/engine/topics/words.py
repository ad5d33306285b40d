"""The pieces of a title: words and numbers in order, folded so that spelling does not matter.

Invariants:
- No text raises, and the time is proportional to its length.
- Case, accents of Latin, Greek and Cyrillic letters, and the signs that separate words do not matter. Digits of all
  scripts are read as those of ASCII. What is kept is kept for a reason: ``c++`` and ``c#`` are not ``c``.
- Scripts without spaces between words are read in pairs of letters, as search engines do.
- What is read is the same in all processes and versions of Python, for characters of Unicode 14.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from coordinator.engine.topics.abbreviations import Abbreviations
from coordinator.engine.topics.vocabulary import UNITS

__all__ = ["MAX_TITLE_CHARACTERS", "Piece", "pieces_of"]

#: Of a longer title the beginning is read. Titles come from work keys, which are shorter.
MAX_TITLE_CHARACTERS = 1024


class Piece(NamedTuple):
    """A piece of a title; a number has an empty ``word``. An arrow is the word "to"."""

    word: str
    number: str = ""


#: What writes vowels and the like, of scripts whose letters keep them.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u08d3-\u0903\u093a-\u094f"
    "\u0951-\u0957\u0962\u0963\u0981-\u0983\u09bc-\u09d7\u0a01-\u0a51\u0a70-\u0a83\u0abc-\u0acd\u0b01-\u0b03\u0b3c-\u0b57"
    "\u0b82\u0bbe-\u0bcd\u0c00-\u0c04\u0c3e-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6\u0d00-\u0d03\u0d3b-\u0d57\u0dca-\u0ddf"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"
)
#: Thai, Lao, Myanmar, Khmer, kana, Han: words are not separated.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LETTER = rf"(?:(?![{_UNSPACED}])[^\W\d_]|[{_MARKS}])"
_NUMBER = r"\d+(?:\.\d+)*%?"
_CHUNKS = re.compile(
    rf"(?P<arrow>[-=]*>|[\u2192\u21d2\u27f6\u2794])|(?P<unspaced>[{_UNSPACED}]+)"
    rf"|(?P<chunk>\.?(?:{_LETTER}|{_NUMBER})+(?:\+\+|\#(?!\w))?(?:\.{_LETTER}+)*)"
)
_PARTS = re.compile(rf"(?P<number>{_NUMBER})|(?P<word>{_LETTER}+(?:\+\+|\#)?)")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u02bb]")
#: "10,000"; a work key has a hyphen there, so that "10,250" looks like "10-250".
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:[, -]000)+)(?![.,]?\d)")
_VERSION = re.compile(r"\bv(?=\d)")
#: "csv2json"; not of what has a number in its name.
_TO = re.compile(rf"({_LETTER}{{3,}})2({_LETTER}{{3,}})")
_NUMBERED = frozenset({"oauth", "http", "python", "vue", "angular", "bzip", "sql", "web", "level", "layer", "phase"})
_LATIN = str.maketrans({"\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u0131": "i", "\u00e6": "ae", "\u0153": "oe"})
_ORDINAL_ENDINGS = frozenset({"st", "nd", "rd", "th"})
#: Letters up to here lose their accents: Latin, Greek and Cyrillic.
_LAST_ACCENTED = "\u052f"


def pieces_of(title: str, abbreviations: Abbreviations) -> list[Piece]:
    """Return the pieces of a title, of which ``MAX_TITLE_CHARACTERS`` are read."""
    text = _VERSION.sub("", _THOUSANDS.sub(_thousands, _folded(title[:MAX_TITLE_CHARACTERS])))
    found: list[Piece] = []
    for match in _CHUNKS.finditer(text):
        if match["arrow"]:
            found.append(Piece("to"))
        elif match["unspaced"]:
            letters = match["unspaced"]
            pairs = [a + b for a, b in pairwise(letters)]
            found.extend(map(Piece, pairs or [letters]))
        else:
            found.extend(_of_chunk(match["chunk"], abbreviations))
    return found


def _thousands(number: re.Match[str]) -> str:
    return number[1] + "000" * (len(number[2]) // 4)


def _folded(title: str) -> str:
    if title.isascii():
        return title.lower().replace("'", "")
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", title).casefold())
    kept: list[str] = []
    base = ""
    for character in text:
        if unicodedata.category(character) != "Mn":
            base = character
        elif base <= _LAST_ACCENTED:
            continue
        kept.append(character)
    # Folding may compose what it has made comparable, and it may leave capitals; once more settles it.
    folded = unicodedata.normalize("NFKC", "".join(kept).translate(_LATIN)).casefold()
    return _APOSTROPHES.sub("", folded)


def _of_chunk(chunk: str, abbreviations: Abbreviations) -> Iterator[Piece]:
    """Yield the pieces of what is written without a space: ``python3``, ``30s``, ``node.js``, ``k8s``, ``c++``."""
    if chunk.isalpha() or abbreviations.of_word(chunk) is not None:
        yield Piece(chunk)
        return
    to = _TO.fullmatch(chunk)
    if to is not None and to[1] not in _NUMBERED:
        yield from (Piece(to[1]), Piece("to"), Piece(to[2]))
        return
    numbered = False
    for part in _PARTS.finditer(chunk):
        if part["number"]:
            yield from _number(part["number"], chunk[part.end() : part.end() + 2])
            numbered = True
            continue
        word = part["word"]
        if not numbered:
            yield Piece(word)
        elif word not in _ORDINAL_ENDINGS and word != "k":
            yield Piece(UNITS.get(word, word))
        numbered = False


def _number(digits: str, behind: str) -> Iterator[Piece]:
    """Yield a number without leading zeros, in ASCII; "10k" is 10000."""
    first, dot, rest = digits.partition(".")
    percent = "%" if digits.endswith("%") else ""
    whole = str(int(first.removesuffix("%")))
    others = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in rest.removesuffix("%"))
    thousand = "000" if behind[:1] == "k" and not behind[1:].isalpha() and not dot else ""
    yield Piece("", f"{whole}{thousand}{dot}{others}{percent}")
