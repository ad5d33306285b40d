"""The number of an issue or pull request whose repository is not named, as people, programs and CI write it.

Invariants:
- ``#7``, ``PR #7``, ``fixes #7``, ``GH-7``, ``pull/7``, ``refs/pull/7/merge`` are one number: client and coordinator
  read them alike, the one to put the repository in front, the other to refuse what has none.
- A number that stands alone (``7``) is none: it may be anything.

Sources: https://docs.github.com/en/get-started/writing-on-github (references, and keywords that close), GITHUB_REF,
CI_MERGE_REQUEST_REF_PATH and BITBUCKET_PR_ID of the sites' CI, https://docs.gitlab.com/user/markdown/.
"""

from __future__ import annotations

__all__ = ["Number", "bare", "read_number", "without_doing", "without_mark", "without_rest"]


class Number:
    """A number, and what is said of its repository: ``site`` and ``name``, each "" where nothing is.

    ``sort`` is ``#``, ``!``, or ``pull``: a pull request, which is ``#`` on GitHub and ``!`` on GitLab and Bitbucket.
    """

    __slots__ = ("digits", "name", "site", "sort")

    def __init__(self, site: str, name: str, sort: str, digits: str) -> None:
        self.site, self.name, self.sort, self.digits = site, name, sort, digits


#: What a sentence puts behind a reference, and what people put around one.
_PROSE = ".,;:\u2026\u3002\u3001"
_AROUND = frozenset(
    (
        *(
            "<>",
            "``",
            '""',
            "''",
            "()",
            "[]",
            "{}",
            "**",
            "__",
            "~~",
            "\u201c\u201d",
            "\u201e\u201c",
            "\u201e\u201d",
            "\u201d\u201d",
        ),
        *(
            "\u2018\u2019",
            "\u201a\u2018",
            "\u00ab\u00bb",
            "\u00bb\u00ab",
            "\u2039\u203a",
            "\u300c\u300d",
            "\u300e\u300f",
        ),
        *("\u3010\u3011", "\u3008\u3009", "\u300a\u300b", "\u27e8\u27e9"),
    )
)
#: What Markdown puts in front of an item of a list, a heading or a quotation: ``- ``, ``1. ``, ``- [ ] ``.
_OF_A_LIST = r"\A(?:(?:[-*+\u2022\u2023\u25e6\u00b7>] |#{2,6} |[0-9]{1,3}[.)] )+(?:\[[ xX]?\] )?|\[[ xX]?\] )"
#: What is done with work, of which people write the number: GitHub's keywords, and what a session says of itself.
_DOING = (
    r"(?:(?:re)?(?:close[sd]?|closing)|resolve[sd]?|resolving|handle[sd]?|handling|solve[sd]?|solving|complete[sd]?"
    r"|completing|fix(?:e[sd])?|fixing"
    r"|(?:implement|address|finish)(?:s|es|ed|ing)?|work(?:s|ing)? on|tackl(?:e|ing)|do(?:ing)?|start(?:s|ing)?)"
    r"(?: ?: ?| )"
)
#: Half of a pair, and what a sentence ends with.
_HALVES = " \t<>`\"'()[]{}*|,;:.\u201c\u201d\u2018\u2019\u00ab\u00bb"
_MARKED = r"(?<=[0-9])[_~]+\Z"
_EXCLAIMED = "!?\uff01\uff1f\u2705 "
#: ``#7 (comment)``, ``!5 (merged)``: how sites show links to a place in a page, and the state of the work.
_NOTE = r" \((?:comment|review|diffs|commits|open|opened|closed|merged|moved|draft)(?: [0-9]+)?\)?\Z"
_SITE = r"(?:(?P<site>github|gitlab|bitbucket|gitea|forgejo|codeberg|gh|gl|bb)[ :_-]+)?"
_ISSUE = r"issues?|gh|work[ _-]?items?|discussions?|incidents?"
_PULL = r"prs?|pulls?|pull[ _-]?requests?"
_MERGE = r"mrs?|merge[ _-]?requests?"
#: ``PR #7``, ``issue 7``, ``GH-7``, ``pull/7/head``, ``refs/merge-requests/5/head``, ``issue:5``.
_WORDED = (
    rf"(?:{_DOING})?(?:the )?{_SITE}(?:/|-/|refs/(?:remotes/[a-z0-9_.-]+/)?)?"
    rf"(?:(?P<issue>{_ISSUE})|(?P<pull>{_PULL})|(?P<merge>{_MERGE}))"
    r"(?: ?[:._/-] ?| |(?: no\.?| number) )?(?P<sign>[#!])? ?(?P<number>[0-9]+)"
    r"(?:/(?:head|merge|from|to|files|diffs|commits|checks))?"
)
#: ``#7``, ``web#7``, ``fixes !5``, ``bug #7``, and as GitLab expands it ``#5+``; ``C#7`` is a version of a language.
_SIGNED = (
    rf"(?:{_DOING})?(?:the )?{_SITE}(?:(?:ticket|bug) ?:? ?)?"
    r"(?P<name>(?![cf]#)[A-Za-z0-9._-]*)(?P<sign>[#!]) ?(?P<number>[0-9]+)(?:\+s?)?"
)
#: GITHUB_REF_NAME of a pull request.
_MERGED = r"(?P<number>[0-9]+)/(?:merge|head)"


def without_mark(text: str) -> str:
    """Return the text without what Markdown puts in front of an item of a list."""
    import re

    return re.sub(_OF_A_LIST, "", text)


def bare(text: str) -> str:
    """Return the text without what Markdown and sentences put around it: brackets, marks, slashes, full stops."""
    import re

    while True:
        bared = re.sub(_OF_A_LIST, "", text.strip("/ "))
        # A segment of dots leads to another page.
        if not bared.endswith(("/.", "/..")):
            bared = bared.rstrip(_PROSE)
        if len(bared) > 2 and bared[0] + bared[-1] in _AROUND:
            bared = bared[1:-1]
        if bared == text:
            return text
        text = bared


def without_rest(text: str) -> str:
    """Return the text without half of a pair of brackets or marks, and what the pages of sites put behind a number."""
    import re

    bared = re.sub(_MARKED, "", text.strip(_HALVES).rstrip(_EXCLAIMED))
    return re.sub(_NOTE, "", bared, count=1, flags=re.IGNORECASE | re.ASCII)


def read_number(text: str) -> Number | None:
    """Return the number that a text is, whatever stands around it; None for any other text."""
    import re

    text = without_rest(bare(text))
    worded = re.fullmatch(_WORDED, text, re.IGNORECASE | re.ASCII)
    if worded is not None:
        sort = worded["sign"] or "#" if worded["issue"] else "pull" if worded["pull"] else "!"
        return Number((worded["site"] or "").lower(), "", sort, worded["number"])
    signed = re.fullmatch(_SIGNED, text, re.IGNORECASE | re.ASCII)
    if signed is not None:
        return Number((signed["site"] or "").lower(), signed["name"], signed["sign"], signed["number"])
    merged = re.fullmatch(_MERGED, text, re.ASCII)
    return None if merged is None else Number("", "", "pull", merged["number"])


def without_doing(text: str) -> str:
    """Return the text without what it says is done with the work that follows: ``Fixes``, ``working on``."""
    import re

    return re.sub(rf"\A{_DOING}", "", text, count=1, flags=re.IGNORECASE | re.ASCII)
