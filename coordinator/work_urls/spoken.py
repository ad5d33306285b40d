"""References as sentences, mails, programs and CI write them: other ways to say what a plain reference says.

``Fixes acme/web#7``, ``acme/web PR 7``, ``#7 in acme/web``, ``acme/web:refs/pull/7/merge``, ``acme/web#7 (comment)``,
``acme%2Fweb%237``. Each is rewritten to what is read as a reference or not.

Invariant: what is rewritten counts only where it is the number of a known site; else the text stays as it was.

Sources: https://docs.github.com/en/issues/tracking-your-work-with-issues (keywords), Message-ID of GitHub's mails.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from coordinator.spoken_numbers import bare, read_number, without_doing, without_rest
from coordinator.work_urls.hosts import HOST
from coordinator.work_urls.reference import SEGMENT

__all__ = ["SPOKEN_KINDS", "rewritten", "site_first", "unescaped"]

#: Words that people write in front of a reference as if they were kinds; in front of anything else they are kinds.
SPOKEN_KINDS = frozenset(
    (
        *("key", "work-key", "work_key", "work", "ref", "refs", "reference", "references", "see", "link", "ghe"),
        *("todo", "wip", "feat", "feature", "chore", "closing", "fixing", "resolving", "implementing"),
        *("issue", "issues", "pr", "prs", "pull", "pulls", "pull-request", "pull_request", "mr", "mrs"),
        "merge-request",
        *("merge_request", "work-item", "work_item", "epic", "ticket", "bug", "close", "closes", "closed"),
        *("fix", "fixes", "fixed", "resolve", "resolves", "resolved", "implement", "implements", "gh-issue"),
        *("gh-pr", "github-issue", "github_issue", "github-pr", "github_pr", "gitlab-issue", "gitlab_issue"),
        *("gitlab-mr", "gitlab_mr", "jira-issue", "jira-ticket", "linear-issue", "bitbucket-pr"),
    )
)
_PATH = rf"{SEGMENT}(?:/{SEGMENT})+"
_NOUNS = (
    r"issues?|prs?|pulls?|pull[ _-]?requests?|mrs?|merge[ _-]?requests?|tickets?|bugs?|work[ _-]?items?|discussions?"
)
#: What stands in front of a reference in a form or a list, and says nothing of it.
_LABEL = re.compile(
    r"\A(?:key|work[ _-]?key|work|see|todo|wip|feat|feature|chore|ref(?:erence)?s?|link|url|ghe) ?: ?",
    re.IGNORECASE | re.ASCII,
)
#: A noun in front of a reference. A merge request has another sequence of numbers than an issue, on sites that have it.
_NOUN_FIRST = re.compile(rf"\A(?:the )?({_NOUNS})(?: ?: ?| )(?=[^ ]+(?: ?[#!] ?[0-9]+)?$)", re.IGNORECASE | re.ASCII)
_NOUN_AMID = re.compile(
    rf"(?<=[A-Za-z0-9]) +(?:{_NOUNS})(?: number| no\.?)? *(?=[#!] ?[0-9]+$)", re.IGNORECASE | re.ASCII
)
#: The end of a text in which the number is looked for that stands behind a repository, in characters.
_LONGEST_NUMBER = 48
_BETWEEN = re.compile(r"[\s:,@/\])\u203a\u00bb]+")
_REPOSITORY = re.compile(rf"(?:{HOST}(?::[0-9]+)?/)?{_PATH}", re.IGNORECASE | re.ASCII)
_NUMBER_FIRST = re.compile(
    rf"([^()]{{1,{_LONGEST_NUMBER}}}?)(?:\s+(?:(?:in|of|on|at|from|for|[-|\u00b7>@]) ?)?|\s*[@,]\s*)"
    rf"\(?(?:the )?(?:repo(?:sitory)?:? )?({_PATH})\)?",
    re.IGNORECASE | re.ASCII,
)
#: ``<acme/web/issues/7@github.com>``, ``<acme/web/pull/7/c99@github.com>``: the Message-ID of a mail.
_MAIL = re.compile(rf"({SEGMENT}/{SEGMENT}/(?:issues?|pull|pulls|discussions)/[0-9]+)(?:/[^@\s]*)?@({HOST})", re.ASCII)
_SITE_FIRST = re.compile(
    rf"(github|gitlab|bitbucket|gitea|forgejo|codeberg|jira|linear|gh|gl|bb)(?:[ _-](?P<noun>{_NOUNS}))?"
    r"(?: ?[:#] ?| )(?=\S)",
    re.IGNORECASE | re.ASCII,
)
#: Of GitLab: ``#5+`` shows the title, ``#5+s`` more.
_EXPANDED = re.compile(r"(?<=[0-9])\+s?\Z")
_GITLAB_NAMED = re.compile(
    rf"(issue|work_item|merge_request|epic):({SEGMENT}(?:/{SEGMENT})*)/([0-9]+)", re.IGNORECASE | re.ASCII
)
#: ``jira/OPS-7``, ``OPS-7 (Jira)``, ``ENG-42 in Linear``.
_TRACKER = re.compile(
    r"(jira|linear)/([a-z][a-z0-9_]*-[0-9]+)|([a-z][a-z0-9_]*-[0-9]+),? \(?(?:(?:in|on|of|from) )?(jira|linear)\)?",
    re.IGNORECASE | re.ASCII,
)
#: What a link to a place in a page, and to a part of it, has behind the number.
_TAIL = re.compile(
    r"(?<=[0-9])(?:\?.*|#(?:issuecomment|discussioncomment|discussion_r|pullrequestreview|note_|comment-|event-|issue-).*"
    r"|/(?:diffs|commits|files|pipelines|checks|changes|overview|activity|comments)(?:/.*)?)\Z",
    re.DOTALL,
)
#: Pictures and arrows in front of a text or behind it.
_PICTURES = re.compile(r"\A[^\w\s#!/@&(\[{<\"'`*~]+\s+|\s+[^\w\s)\]}>\"'`*~]+\Z")
_NO_LINK = re.compile(r"\Ahxxp", re.IGNORECASE)
_SCHEME_AGAIN = re.compile(r"\A(?:https?:/+)+(?=https?:/)", re.IGNORECASE)
_KEYCAP = re.compile("\u20e3")


def rewritten(text: str, *, two: bool) -> Iterator[str]:
    """Yield other ways to write a text, the likelier first; each is bare of what stands around it.

    ``two`` is whether the site is known to have a sequence of numbers for pull or merge requests.
    """
    named = _GITLAB_NAMED.fullmatch(text)
    if named is not None:
        sign = {"merge_request": "!", "epic": "&"}.get(named[1].lower(), "#")
        yield f"gitlab:{named[2]}{sign}{named[3]}"
    tracked = _TRACKER.fullmatch(text)
    if tracked is not None:
        yield f"{(tracked[1] or tracked[4]).lower()}:{tracked[2] or tracked[3]}"
    mail = _MAIL.fullmatch(text)
    if mail is not None:
        yield f"{mail[2]}/{mail[1]}"
        return
    yield from _mended(text)
    rest = _TAIL.sub("", _EXPANDED.sub("", bare(without_rest(_PICTURES.sub("", text.replace("\\", ""))))))
    if rest != text:
        yield rest
    said = bare(without_doing(_LABEL.sub("", rest)))
    if said != rest:
        yield said
    amid = said if two else _NOUN_AMID.sub("", said)
    if amid != said:
        yield amid
    yield from _without_noun(said, two=two)
    yield from _with_repository(said, two=two)


def site_first(text: str) -> tuple[str, str] | None:
    """Return the kind that the name of a site in front of a text means, and the rest: ``GitHub issue acme/web#7``."""
    found = _SITE_FIRST.match(text)
    if found is None:
        return None
    rest = text[found.end() :]
    # What a sentence calls it counts, where a site has two sequences.
    return found[1].lower(), f"{found['noun']} {rest}" if found["noun"] else rest


def unescaped(text: str) -> str:
    """Return a text without escapes, however often it was escaped, with the digits of all scripts as those of ASCII."""
    for _ in range(3):
        plain = unquote(text, errors="strict") if "%" in text and _is_escaped(text) else text
        if plain == text:
            break
        text = plain
    if text.isascii():
        return text
    text = _KEYCAP.sub("", text)
    return "".join(str(digit) if (digit := unicodedata.decimal(c, None)) is not None else c for c in text)


def _is_escaped(text: str) -> bool:
    try:
        return unquote(text, errors="strict").isprintable()
    except UnicodeDecodeError:
        return False


def _mended(text: str) -> Iterator[str]:
    """Yield an address without what was done to it: other slashes, spaces around them, a scheme that is no link."""
    mended = _SCHEME_AGAIN.sub("", _NO_LINK.sub("http", text.replace("\\", "/"), count=1))
    if "://" in mended or mended != text:
        mended = re.sub(r" *(/+) *", r"\1", mended)
    if mended != text:
        yield mended


def _without_noun(text: str, *, two: bool) -> Iterator[str]:
    noun = _NOUN_FIRST.match(text)
    if noun is None:
        return
    rest = bare(text[noun.end() :])
    word = noun[1].lower()
    if two and word.startswith(("pr", "pull", "mr", "merge")):
        yield rest.replace("#", "!")
    # "MR group/project#5" names the issue of that number, or means the merge request.
    elif not (word.startswith(("mr", "merge")) and "#" in rest):
        yield rest


def _with_repository(text: str, *, two: bool) -> Iterator[str]:
    """Yield the plain form of a repository and a number that is written in words, in either order."""
    start = max(0, len(text) - _LONGEST_NUMBER)
    for between in _BETWEEN.finditer(text, start):
        path = text[: between.start()].lstrip("([ ")
        plain = _joined(path, text[between.end() :], strict="/" in between[0], two=two)
        if plain is not None:
            yield plain
            return
    first = _NUMBER_FIRST.fullmatch(text) if len(text) < 3 * _LONGEST_NUMBER else None
    plain = None if first is None else _joined(first[2], first[1], strict=False, two=two)
    if plain is not None:
        yield plain


def _joined(path: str, said: str, *, strict: bool, two: bool) -> str | None:
    """Return ``path#number``; ``strict``: what stands behind a slash may be a part of the path instead."""
    number = read_number(said)
    if number is None or number.name or number.site or _REPOSITORY.fullmatch(path) is None:
        return None
    if strict and said[0] not in "#!" and ("#" in said or "!" in said):
        return None
    path = path.removesuffix(".git")
    several = two or path.count("/") > 1
    if strict and number.sort == "pull" and several and not said.startswith("refs/"):
        return None
    sign = "#" if number.sort == "#" or (number.sort == "pull" and not several) else "!"
    return f"{path}{sign}{number.digits}"
