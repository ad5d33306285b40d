"""What may stand in a name or a work key: what can be seen, and distinguished from all else that can be seen.

Invariants:
- Dashes that look alike are one: language models write them where people type ``-``.
- A word that mixes letters of Latin with letters of another script that look like Latin ones is refused: two names
  that look alike are never silently different. Words of one script are not compared with those of another.
"""

from __future__ import annotations

import unicodedata

from coordinator.patterns import Pattern

__all__ = [
    "APOSTROPHES",
    "DASHES",
    "INVISIBLE",
    "first_invisible",
    "first_unprintable",
    "fold_dashes",
    "fold_signs",
    "mixed_word",
    "normal",
    "without_pictures",
    "without_raised",
]

#: Every dash of Unicode (category Pd: U+2010 to U+2015, U+FE58, U+FF0D …), and the minus sign.
DASHES = (
    "\u058a\u05be\u1400\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    "\u2e5d\ufe31\ufe32\ufe58\ufe63\uff0d\U00010ead"
)
_DASHES = Pattern(f"[{DASHES}]")
#: Digits above and below the line, and fractions of one character, behind a digit.
_RAISED = Pattern("(?<=[0-9\uff10-\uff19])[\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]")
_FRACTION = Pattern("(?<=[0-9\uff10-\uff19])[\u00bc-\u00be\u2150-\u215f\u2189]")
#: Signs of fractions and of division; a ratio, and a letter that is drawn like a colon.
_SLASHES = Pattern("[\u2044\u2215\u29f8\u2571\u27cb]")
#: The sharp of music, other signs that are drawn like it, and the percent sign of Arabic.
_LIKE_SIGNS = str.maketrans({"\u266f": "#", "\u2317": "#", "\u22d5": "#", "\u29e3": "#", "\u066a": "%"})
_COLONS = Pattern("[\u2236\ua789]")
#: Apostrophes; and what people type for one within a word: a prime or a grave.
APOSTROPHES = Pattern("['\u2018\u2019\u201b\u02bc\u02bb\u02b9]|(?<=[^\\W\\d_])[\u2032`](?=[^\\W\\d_])")
#: Variation selectors choose between two pictures of one character.
_PICTURE_CHOICE = Pattern("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
#: Invisible although they count as letters or marks: the grapheme joiner, fillers, and selectors of Mongolian.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f")
#: What must not stand in a key: controls, line ends, private or unassigned characters. None of them is printable.
_ILLEGIBLE = frozenset({"Cc", "Zl", "Zp", "Co", "Cn"})
#: Letters of Cyrillic, Greek and Armenian that are drawn like Latin ones, from Unicode's confusables.txt
#: (https://www.unicode.org/Public/security/latest/confusables.txt).
_LIKE_LATIN = frozenset(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0475\u04cf"
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u04ae\u050c"
    "\u03bf\u03bd\u03c1\u03b1\u03b9\u03ba\u03c5\u03c7"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u0585\u057d\u0578\u0570\u0555"
)
_LATIN = Pattern("[A-Za-z\u00c0-\u024f]")
_WORD = Pattern(r"[^\W\d_]+")


def normal(text: str) -> str:
    """Return the text in NFKC."""
    return unicodedata.normalize("NFKC", text)


def without_raised(text: str) -> str:
    """Return the text with a sign between a digit and what NFKC would join to it: ``10²`` is not ``102``."""
    return _RAISED.sub(r"^\g<0>", _FRACTION.sub(r" \g<0>", text))


def fold_dashes(text: str) -> str:
    """Return the text with ``-`` for every dash."""
    return text if text.isascii() else _DASHES.sub("-", text)


def fold_signs(text: str) -> str:
    """Return the text with ``-``, ``/``, ``:``, ``#`` and ``%`` for all signs that are drawn like them."""
    return text if text.isascii() else _COLONS.sub(":", _SLASHES.sub("/", fold_dashes(text))).translate(_LIKE_SIGNS)


def first_unprintable(text: str) -> str | None:
    """Return the first control, line end, private or unassigned character; None if there is none."""
    if text.isprintable():
        return None
    return next((character for character in text if unicodedata.category(character) in _ILLEGIBLE), None)


def without_pictures(text: str) -> str:
    """Return the text without what chooses between two pictures of one character."""
    return _PICTURE_CHOICE.sub("", text)


def first_invisible(text: str) -> str | None:
    """Return the first character that is printed as nothing, or only turns others around; None if there is none."""
    if text.isascii():
        return None
    return next((c for c in text if c in INVISIBLE or unicodedata.category(c) == "Cf"), None)


def mixed_word(text: str) -> str | None:
    """Return the first word with letters of Latin and others that look like Latin ones; None if there is none."""
    if text.isascii():
        return None
    # As typed and without its case, because keys lose theirs.
    words = (found[0] for found in _WORD.finditer(f"{text} {normal(text.casefold())}"))
    return next((word for word in words if not _LIKE_LATIN.isdisjoint(word) and _LATIN.search(word)), None)
