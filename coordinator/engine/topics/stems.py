"""Stems: what all forms and spellings of an English word have in common.

British and American spellings have one stem. Words of other languages go through the same rules, which leave most of
them as they are. The stemmer is Snowball's for English (https://snowballstem.org/algorithms/english/stemmer.html).
"""

from __future__ import annotations

import re
from functools import lru_cache

from snowballstemmer.english_stemmer import EnglishStemmer

from coordinator.engine.topics.vocabulary import FORMS

__all__ = ["MAX_STEM_CHARACTERS", "stem"]

#: What is longer is cut: no word is, but hostile titles have such.
MAX_STEM_CHARACTERS = 40
#: How many words are remembered with their stems: stemming takes 40 microseconds, and remembering 0.1.
_REMEMBERED = 65_536

#: Endings of British spelling, and what they are in American spelling. They are applied to all words alike, so that a
#: word that has such an ending in both, such as "promise", still has one stem.
_SPELLINGS = (
    (re.compile(r"(?<=\w\w)isation(s?)$"), r"ization\1"),
    (re.compile(r"(?<=\w\w)is(e|ed|es|er|ers|ing|able)$"), r"iz\1"),
    (re.compile(r"(?<=\w)ys(e|ed|er|ers|ing)$"), r"yz\1"),
    (re.compile(r"^(.*(?:col|behavi|fav|hon|neighb|lab|harb|flav|rum|hum|vap|arm|rig|sav))our"), r"\1or"),
    (re.compile(r"^(.*(?:cent|met|fib|theat|lit|cal))re(s?)$"), r"\1er\2"),
    (re.compile(r"(?<=[aio]l)ogue"), "og"),
    (re.compile(r"(cancel|label|model|travel|signal|tunnel|channel|level|fuel|total|marshal)l(?=ed|ing|er)"), r"\1"),
    (re.compile(r"^(def|lic|off|pret)ence"), r"\1ense"),
    (re.compile(r"^(grey)"), "gray"),
    (re.compile(r"^artefact"), "artifact"),
    (re.compile(r"^programme(s?)$"), r"program\1"),
    (re.compile(r"^(acknowledg|judg)ement"), r"\1ment"),
    (re.compile(r"^(fulfil|enrol|instal)(ment|s|$)"), r"\1l\2"),
    (re.compile(r"^ageing$"), "aging"),
)


@lru_cache(maxsize=_REMEMBERED)
def stem(word: str) -> str:
    """Return the stem of a word in small letters; of a form in ``FORMS``, that of the form that counts."""
    cut = word[:MAX_STEM_CHARACTERS]
    for pattern, spelling in _SPELLINGS:
        cut = pattern.sub(spelling, cut)
    # A stemmer keeps what it works on in itself, so each word gets one of its own: it is made in no time.
    return str(EnglishStemmer().stemWord(FORMS.get(cut, cut)))
