"""A topic: what is left of a title when everything is taken away that does not tell which work it is.

Invariants:
- Titles that differ in case, accents, order, inflection, British or American spelling, stop words, or in abbreviations
  and what they stand for, have the same words.
- Numbers, versions and directions are no words: titles that differ in one of them are of other work.
- A topic depends on the title and on the table of abbreviations only, in all processes and versions of Python: its
  signature is stored. ``SIGNATURE_VERSION`` is part of it, and changes with what is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coordinator.engine.topics.abbreviations import BUILT_IN, Abbreviations
from coordinator.engine.topics.directions import NO_DIRECTION, Direction, Item, direction_of, is_number, marker_of
from coordinator.engine.topics.stems import stem
from coordinator.engine.topics.vocabulary import COUNTED, DETERMINERS, NUMBER_WORDS, ROMAN, STOP_WORDS
from coordinator.engine.topics.words import Piece, pieces_of

__all__ = ["SIGNATURE_VERSION", "Topic", "read_topic"]

#: Another one for each change of what signatures are made from: the same words must not meet what has changed.
SIGNATURE_VERSION = 1
_SIGNATURE_BYTES = 16
#: Of a title of which nothing is left, so much is a word.
_LAST_RESORT_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Topic:
    """What a title is about.

    ``words`` are stems, ``numbers`` the numbers and versions in order of size as text, both empty for neither.
    ``joined``: each two words that stand side by side, written as one; they find "time-out" where "timeout" is meant.
    """

    words: frozenset[str]
    numbers: tuple[str, ...] = ()
    direction: Direction = NO_DIRECTION
    joined: frozenset[str] = frozenset()

    @property
    def signature(self) -> str:
        """32 hexadecimal digits, the same for topics with the same words, numbers and sources, and for no others.

        Of opposite directions the sources differ. Goals are left out: "JSON from CSV" does not name one as such.
        """
        parts = (
            [str(SIGNATURE_VERSION)],
            sorted(self.words),
            self.numbers,
            sorted(self.direction.sources),
        )
        text = "\x1e".join("\x1f".join(part) for part in parts)
        return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_SIGNATURE_BYTES).hexdigest()


def read_topic(title: str, abbreviations: Mapping[str, str] = BUILT_IN) -> Topic:
    """Return the topic of a title, or of a slug made from one.

    ``abbreviations`` extend or replace the table that is built in: ``BUILT_IN.extended({…})``. An ``Abbreviations`` is
    made once and used often; any other mapping is made into one for each call.
    """
    table = abbreviations if isinstance(abbreviations, Abbreviations) else Abbreviations(abbreviations)
    pieces = pieces_of(title, table)
    items = _items(pieces, table)
    stems = {item.stem for item in items} - {""}
    words = frozenset(found for found in stems if not is_number(found))
    numbers = tuple(sorted(item.stem for item in items if is_number(item.stem)))
    if not words and not numbers:
        words = frozenset(stem(piece.word) for piece in pieces) or frozenset({title.strip()[:_LAST_RESORT_CHARACTERS]})
    return Topic(words, numbers, direction_of(items), _joined(pieces))


def _joined(pieces: Sequence[Piece]) -> frozenset[str]:
    return frozenset(
        (one.word + stem(other.word)).removesuffix("e") for one, other in pairwise(pieces) if one.word and other.word
    )


def _items(pieces: Sequence[Piece], table: Abbreviations) -> list[Item]:
    """Return what stands at each place of a title, phrases and abbreviations replaced."""
    words = [piece.word for piece in pieces]
    found: list[Item] = []
    at = 0
    while at < len(pieces):
        phrase = table.of_phrase(words, at) if words[at] else None
        if phrase is not None:
            found.append(Item(phrase[1]))
            at += phrase[0]
            continue
        number = pieces[at].number or _number_word(pieces, at)
        if number:
            if found and found[-1].stem == "version":
                found.pop()
            found.append(Item(number))
        elif words[at] not in DETERMINERS:
            found.append(_item(words, at, table, found))
        at += 1
    return found


def _item(words: Sequence[str], at: int, table: Abbreviations, before: Sequence[Item]) -> Item:
    word = words[at]
    marker = marker_of(words, at, [item.stem for item in before])
    if marker or word in STOP_WORDS:
        return Item("", marker)
    return Item(table.of_word(word) or stem(word))


def _number_word(pieces: Sequence[Piece], at: int) -> str:
    """Return the number that a word is; "" if it is none."""
    word, before = pieces[at].word, pieces[at - 1] if at else Piece("")
    if before.word in COUNTED and word in ROMAN:
        return ROMAN[word]
    return "" if word == "second" and before.number else NUMBER_WORDS.get(word, "")
