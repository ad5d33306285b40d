"""How words that a session has written are shown to others: in briefings, denials, errors and on terminals.

Notes, reasons, results and names reach people's terminals and the contexts of language models. Invariants:

- **What is quoted is known to be quoted.** A quotation begins and ends with a double quote and has none in between, nor
  anything that looks like one: whatever was written, what stands behind the second double quote is ours.
- **It stays in its line.** It holds no end of a line, no control character, and no white space but single spaces.
- **It looks as it is.** Nothing in it is invisible, and nothing changes where something else is shown: of each of
  Unicode's default-ignorable characters (joiners, selectors, fillers, tags), controls, private and unassigned ones none
  is left. Marks above and below a letter are bounded. Letters of scripts that run from right to left are isolated, so
  that the text around them keeps its order (UAX #9, FSI and PDI, the only such characters that are ever written).
- **It is no markup.** It holds no backtick, so it may stand in a code span of Markdown, in which nothing else means
  anything (CommonMark 0.31, 6.1): no link, no HTML, no entity.
- **It is bounded,** and says where it was cut.
- **It is labelled:** ``said`` names who wrote it.

The texts themselves are stored and returned as they were written: fields of the API, of the Python model and of
``--json`` hold them raw, for programs. Programs that show them to people have to quote them too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import Enum

from coordinator.limits import MAX_SESSION_BYTES, MAX_WORK_KEY_BYTES
from coordinator.names import is_session
from coordinator.patterns import Pattern

__all__ = [
    "LONGEST",
    "Writer",
    "block",
    "code",
    "key",
    "line",
    "name",
    "names",
    "quoted",
    "said",
    "said_lines",
    "visible",
    "writer",
]

#: How much of a text is shown on a line, and how much of it where lines are shown, in characters and lines.
LONGEST, LONGEST_BLOCK, MOST_LINES = 160, 4_000, 60
#: The longest name of a session, work key and line of ours.
_LONGEST_NAME, _LONGEST_KEY, _LONGEST_LINE = MAX_SESSION_BYTES, MAX_WORK_KEY_BYTES, 2_000
#: How many names stand on a line.
_MOST_NAMES = 20
#: How many characters are looked at for each that may be shown: what cannot be seen must not cost without end.
_LOOKED_AT = 4
#: How many marks a letter may carry; Vietnamese takes two, Hebrew with accents three.
_MOST_MARKS = 4

#: Default_Ignorable_Code_Point of Unicode 15.1, what is drawn as nothing although it is none of these (an empty braille
#: cell, musical notation without a head), and placeholders of objects.
_INVISIBLE = Pattern(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
#: What is drawn as, or taken for, a double quote or a backtick, among them primes and commas of two or more strokes.
_QUOTES = (
    '"`\u02ba\u02dd\u02ee\u02f6\u05f4\u1cd3\u1fef\u201c-\u201f\u2033\u2034\u2036\u2037\u2057\u275d\u275e\u2760\u2e42'
    "\u3003\u301d-\u301f\uff02\uff40\U0001f676-\U0001f678"
)
#: What is drawn as a single quote: two in a row are taken for a double one (Unicode's confusables.txt, no letters).
_SINGLES = (
    "'\u00b4\u02b9\u02bb-\u02bf\u02c8\u02ca\u02cb\u02f4\u0374\u0384\u055a\u055d\u07f4\u07f5\u1fbd\u1fbf\u1ffd\u1ffe"
    "\u2018-\u201b\u2032\u2035\u275b\u275c\u275f\uff07"
)
_QUOTING = Pattern(f"[{_SINGLES}{_QUOTES}]*[{_QUOTES}][{_SINGLES}{_QUOTES}]*|[{_SINGLES}]{{2,}}")
#: Keys that may stand among our words, as nearly all are: one word of visible ASCII, without what quotes.
_PLAIN_KEY = Pattern(rf"[!#-_a-~]{{1,{MAX_WORK_KEY_BYTES}}}")
#: Names that Markdown leaves as they are: no emphasis, no link, no mention.
_PLAIN_NAME = Pattern(r"(?!www\.)[A-Za-z0-9.-]+")
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_BACKTICKS = Pattern("`+")
_SINGLE = "'"


class Writer(Enum):
    """The writer of a text, where that is not a session."""

    OPERATOR = "an operator"
    ACKNOWLEDGER = "the caller who acknowledged it"
    SUBMITTER = "the session that submitted it"


def quoted(text: str, most: int = LONGEST) -> str:
    """Return text as a quotation on one line, of at most ``most`` characters between its double quotes."""
    return f'"{_isolated(_QUOTING.sub(_SINGLE, _cut(text, most)))}"'


def code(text: str, most: int = LONGEST) -> str:
    """Return text as a quotation for Markdown: a code span, with the double quotes in it."""
    return f"`{quoted(text, most)}`"


def said(what: str, who: str | Writer | None, text: str | None, *, markdown: bool = False) -> str:
    """Return ``note by session-1: "…"``; "" where there is no text."""
    return f"{what} by {writer(who, markdown=markdown)}: {code(text) if markdown else quoted(text)}" if text else ""


def said_lines(what: str, who: str | Writer | None, text: str | None, indent: str = "  ") -> list[str]:
    """Return the lines of ``said``, of more than one if the text has more or is long; none where there is no text."""
    if not text:
        return []
    if len(text) <= LONGEST and len(text.strip().splitlines()) <= 1:
        return [f"{indent}{said(what, who, text)}"]
    return [f"{indent}{what} by {writer(who)}:", *block(text, f"{indent}  | ")]


def writer(who: str | Writer | None, *, markdown: bool = False) -> str:
    """Return who wrote something: a session by its ``name``."""
    return who.value if isinstance(who, Writer) else name(who, markdown=markdown)


def block(text: str, prefix: str) -> list[str]:
    """Return the lines of a text, each behind ``prefix``, so that none of them looks like one of ours."""
    lines: list[str] = []
    room, taken = LONGEST_BLOCK, 0
    for part in text[: LONGEST_BLOCK * _LOOKED_AT].splitlines(keepends=True):
        shown = _cut(part, LONGEST_BLOCK) if not lines else _clean(part)
        if len(lines) == MOST_LINES or len(shown) > room:
            break
        lines.append(f"{prefix}{_isolated(shown)}".rstrip())
        room -= len(shown)
        taken += len(part)
    if left := len(text[taken:].rstrip()):
        lines.append(f"{prefix}… and {left} more characters")
    while lines and lines[-1] == prefix.rstrip():
        lines.pop()
    return lines


def name(session: str | None, *, markdown: bool = False) -> str:
    """Return a session's name as it is; as a quotation where older coordinators took what now is none."""
    if session is None or session == "?":
        return "?"
    if not is_session(session):
        return code(session, _LONGEST_NAME) if markdown else quoted(session, _LONGEST_NAME)
    return f"`{session}`" if markdown and not _PLAIN_NAME.fullmatch(session) else session


def names(sessions: Iterable[str]) -> str:
    """Return the names of sessions with commas between them; of more than 20 how many more there are."""
    every = list(sessions)
    shown = [name(session) for session in every[:_MOST_NAMES]]
    more = len(every) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def key(work_key: object, *, markdown: bool = False) -> str:
    """Return a work key as it is if that is one word, else as a quotation; for Markdown as code, to be copied."""
    text = str(work_key)
    if not markdown:
        return text if _PLAIN_KEY.fullmatch(text) or _is_word(text) else quoted(text, _LONGEST_KEY)
    text = _isolated(_cut(text, _LONGEST_KEY))
    # A fence that the key cannot end (CommonMark 0.31, 6.1).
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def line(text: str) -> str:
    """Return a sentence, ours or a peer's, as one line in which everything can be seen."""
    return _cut(text, _LONGEST_LINE)


def visible(text: str) -> str:
    """Return text for a terminal, with escapes for all that could steer it or hide in it, line ends excepted.

    The last look at what is shown; texts of sessions have been quoted before.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(
        character
        if character in "\n\u2068\u2069" or (character.isprintable() and not _INVISIBLE.match(character))
        else _escape(character)
        for character in text
    )


def _is_word(text: str) -> bool:
    return " " not in text and _cut(text, _LONGEST_KEY) == text == _isolated(_QUOTING.sub(_SINGLE, text))


def _cut(text: str, most: int) -> str:
    """Return text on one line, without what cannot be seen; it ends with … if not all of it is shown."""
    cleaned = _clean(text[: most * _LOOKED_AT])
    if len(cleaned) > most or len(text) > most * _LOOKED_AT:
        return f"{cleaned[: most - 1]}…"
    return cleaned


def _clean(text: str) -> str:
    """Return text on one line, without what cannot be seen."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(_seen(_INVISIBLE.sub("", text)))
    return " ".join(text.split())


def _seen(text: str) -> Iterable[str]:
    """Yield what may be seen of text, and a space for each control character and each kind of space."""
    marks = _MOST_MARKS
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "M":
            # There is nothing for it to stand on at the beginning and behind a space but what is ours.
            marks += 1
            if marks <= _MOST_MARKS:
                yield character
            continue
        marks = _MOST_MARKS if category[0] in "CZ" else 0
        if category[0] == "Z" or category == "Cc":
            yield " "
        elif category[0] != "C":
            yield character


def _isolated(text: str) -> str:
    """Return text between isolates if it has letters that run from right to left."""
    if text.isascii() or not any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return text
    return f"{_ISOLATE}{text}{_END_OF_ISOLATE}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")
