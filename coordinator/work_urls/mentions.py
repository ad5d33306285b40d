"""Texts that name work among other words, or name none of which it is known whose it is: they are refused.

Invariant: a text without a kind that holds a reference either is that reference, or is refused. As the title of a task
it would be granted beside the work that it names. Behind ``task:`` any text is a title.
"""

from __future__ import annotations

import re

from coordinator.errors import InvalidInput
from coordinator.spoken_numbers import read_number
from coordinator.work_urls.hosts import HOST
from coordinator.work_urls.reference import UnknownSite

__all__ = [
    "cut",
    "refuse_either",
    "refuse_foreign",
    "refuse_garbled",
    "refuse_mention",
    "refuse_number",
    "refuse_ticket",
]

#: How much of a text an error repeats, in characters.
_MOST_SHOWN = 40
_SEGMENT = r"[A-Za-z0-9_.~-]+"
_FULL = re.compile(rf"(?<![\w./~-]){_SEGMENT}(?:/{_SEGMENT})+[#!][0-9]+(?!\w)", re.ASCII)
_ADDRESS = re.compile(r"(?<![\w+.-])(?:https?|ssh|git)://[^\s<>()\[\]\"'`]+", re.IGNORECASE | re.ASCII)
#: A number with its word, or as commits, mails and lists of GitHub write it: ``Fix it (#7)``, ``#7 Fix it``.
_NUMBER = re.compile(
    r"(?<![\w/-])(?:issues?|prs?|pull requests?|mrs?|merge requests?|gh) ?[ :-]?[#!][0-9]+(?![\w/])"
    r"|\((?:(?:gh-|(?:issue|pr|mr) ?)[#!]?|[#!])[0-9]+\)\Z"
    r"|\A[#!][0-9]+(?=[ :/]|-[a-z])",
    re.IGNORECASE | re.ASCII,
)
_TICKET_FIRST = re.compile(r"([A-Z][A-Z0-9]+-[0-9]+)\s*:.*", re.ASCII | re.DOTALL)
_ELSEWHERE = re.compile(rf"({HOST}(?::[0-9]+)?)/(?:{_SEGMENT}/)+{_SEGMENT}[#!&][0-9]+", re.IGNORECASE | re.ASCII)
_EPIC = re.compile(rf"(?:[A-Za-z0-9_~-]+(?:/{_SEGMENT})*)?&[0-9]+", re.ASCII)
#: ``acme/web/issues#7``: number 7 of acme/web, or of the project acme/web/issues.
_EITHER = re.compile(rf"({_SEGMENT}/{_SEGMENT})/(?:issues?|pulls?|prs?|mrs?|merge_requests?|gh)[#!]([0-9]+)", re.ASCII)
#: ``acme/web 7``, ``acme/web (7)``, ``acme/web no. 7``, ``acme/web -> #7``, ``repo=acme/web issue=7``.
_SPACED = re.compile(
    rf"(?:repo(?:sitory)? ?[=:] ?)?({_SEGMENT}/{_SEGMENT})"
    r"(?:'s ?|,? |[(\[\\|\u00b7\u2192\u21d2]|[-=]> ?| - )+"
    r"(?:(?:issues?|prs?|pulls?|mrs?|no|nr|num(?:ber)?|id)(?![a-z]) ?[.=:]? ?)?[#!]?([0-9]+)[)\]]?",
    re.IGNORECASE,
)
#: Also with a word for it: ``no. 7``, ``number 7``.
_NUMBER_ALONE = re.compile(r"(?:(?:no\.?|nr\.?|number) ?)?\(?(\d+)\)?", re.IGNORECASE)
#: ``@acme/web#7``, ``acme/web#7#8``, ``acme/web#pr7``, ``acme/web/issues/#7``.
_GARBLED_BEHIND = re.compile(r"[#!].*[0-9]|/(?:issues|pulls?|merge_requests|pull-requests)/\S*[0-9]", re.ASCII)
#: A command about a piece of work: ``gh pr view 7 -R acme/web``.
_COMMAND = re.compile(r"\A(?:\$ )?(?:gh|glab|tea|hub|jira|linear) (?:issue|pr|mr|api)s? [a-z].*[0-9]", re.DOTALL)
#: What stands where a number should: ``acme/web#7a``, ``acme/web#+7``, ``acme/web##7#8``.
_GARBLED = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})+[#!]+[+-]?[0-9]\S*", re.ASCII)
_SITE_FIRST = re.compile(
    rf"(github|gitlab|bitbucket|gitea|forgejo|codeberg)/({_SEGMENT}/{_SEGMENT}(?:[#!]|/(?:[a-z_-]+/)?)[0-9]+)", re.ASCII
)
_HOSTLESS = re.compile(
    rf"(?:projects|users)/{_SEGMENT}/repos/{_SEGMENT}(?:/pull-requests/[0-9]+.*|![0-9]+)", re.IGNORECASE
)
#: What a shell or a template was to fill in.
_UNFILLED = re.compile(
    rf"\$\{{?[A-Za-z_]\w*\}}?(?:[#!/]\S*)?|{_SEGMENT}(?:/{_SEGMENT})*[#!](?:\$|\{{|<)\S*|{_SEGMENT}(?:/{_SEGMENT})+#",
    re.ASCII,
)
#: What GitHub names work with in its API, where the case of letters counts.
_NODE = re.compile(r"(?:I|PR|D|IC)_kw[A-Za-z0-9_-]{8,}", re.ASCII)
#: A path of a forge with letters that none of them has in its names.
_STRANGE = re.compile(r"[^\s/#!:]+(?:/[^\s/#!]+)+[#!\u01c3\u203c\u2757]\d+")


def cut(text: str) -> str:
    """Return no more of a text than an error repeats."""
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def refuse_number(text: str) -> None:
    """Refuse a number whose repository is not named, and a number of which nothing is known."""
    alone = _NUMBER_ALONE.fullmatch(text)
    if alone is not None:
        raise _invalid(
            f"{cut(text)} is a number and nothing more: of what?",
            f"write #{cut(alone[1])} for an issue or pull request of the repository, or put task: in front",
        )
    found = read_number(text)
    if found is None:
        return
    sign = "#" if found.sort == "#" else "!" if found.sort == "!" else "#"
    raise _invalid(
        f"{cut(text)} names no repository: which repository?",
        f"write owner/repository{sign}{cut(found.digits)}, or set COORDINATION_REPO; or put task: in front if it is no "
        "number of a repository",
    )


def refuse_foreign(text: str) -> None:
    """Refuse the number of a site that is not known, or that may be one of two."""
    elsewhere = _ELSEWHERE.fullmatch(text)
    if elsewhere is not None:
        raise UnknownSite(
            f"the site of {elsewhere[1].lower()[:80]} is not known, so {cut(text)} may be the number of several",
            field="work_key",
            hint=f"put the site in front, for example gitlab:{text[:120]}; for all numbers of the repository set "
            f"COORDINATION_REPO=gitlab:{re.split('[#!&]', text)[0][:120]}; operators name hosts with --github-hosts, "
            "--gitlab-hosts and --gitea-hosts; or put task: in front",
        )
    if _EPIC.fullmatch(text) is not None and ("/" in text or text.startswith("&")):
        raise _invalid(
            f"{cut(text)} may be an epic of GitLab, or a title",
            "write gitlab:group&5 for the epic, or put task: in front",
        )
    spaced = _SPACED.fullmatch(text)
    if spaced is not None:
        raise _invalid(
            f"{cut(text)} may be a number of {cut(spaced[1])}, or a title",
            f"write {cut(spaced[1])}#{cut(spaced[2])}, or put task: in front",
        )
    if _HOSTLESS.fullmatch(text) is not None:
        raise _invalid(
            f"{cut(text)} names no host, and Bitbucket Data Center has many",
            "write the host in front, for example bitbucket:HOST/project/repository!12",
        )
    if _UNFILLED.fullmatch(text) is not None:
        raise _invalid(
            f"{cut(text)} holds the name of a variable, or nothing, where a value should be",
            "check how the text is quoted, or put task: in front",
        )
    if _NODE.fullmatch(text) is not None:
        raise _invalid(
            f"{cut(text)} is a name of GitHub's API, and not the number of an issue or pull request",
            "write owner/repository#number",
        )
    if not text.isascii() and _STRANGE.fullmatch(text) is not None:
        raise _invalid(
            f"{cut(text)!a} has the form of a reference, with characters that no repository has in its name",
            "type it in ASCII, or put task: in front",
        )


def refuse_garbled(kind: str, text: str) -> None:
    """Refuse what stands behind the kind of a site with repositories, and has a sign of numbers but no number."""
    if _GARBLED_BEHIND.search(text) is not None:
        raise _invalid(
            f"{kind}:{cut(text)} has the form of a reference, and is no number of a repository",
            f"write {kind}:owner/repository#number",
        )


def refuse_either(text: str) -> None:
    """Refuse what is the number of a project of GitLab, and may be meant for another."""
    either = _EITHER.fullmatch(text)
    if either is not None:
        raise _invalid(
            f"{cut(text)} may be number {cut(either[2])} of {cut(either[1])}, or of a project below it",
            f"write {cut(either[1])}#{cut(either[2])}, or gitlab: in front of the project's whole path",
        )
    site = _SITE_FIRST.fullmatch(text.lower())
    if site is not None:
        raise _invalid(
            f"{cut(text)} may be a number of {site[1].title()}, or of a group of that name on GitLab",
            f"write {site[1]}:{cut(site[2])}, or gitlab:{cut(text)}",
        )


def refuse_ticket(text: str) -> None:
    """Refuse a number of a tracker with other words behind it."""
    named = text.partition(" ")[0].rstrip(":,")
    raise _invalid(
        f"the text names {cut(named)} among other words",
        f"give {cut(named)} alone if that is the work, or put task: in front if it is other work",
    )


def refuse_mention(text: str) -> None:
    """Refuse a text that names work among other words."""
    if _GARBLED.fullmatch(text) is not None and _FULL.match(text) is None:
        raise _invalid(
            f"{cut(text)} has the form of a reference, and no number behind its sign",
            "write owner/repository#number, or put task: in front",
        )
    if _COMMAND.match(text) is not None:
        raise _invalid(
            f"{cut(text)} is a command about a piece of work",
            "give the work that it is about, for example owner/repository#number, or put task: in front",
        )
    ticket = _TICKET_FIRST.fullmatch(text)
    found = _FULL.search(text) or _ADDRESS.search(text) or _NUMBER.search(text) or ticket
    if found is None:
        return
    named = found[1] if found is ticket and ticket is not None else found[0].strip("()")
    # An address may hold a credential.
    shown = "an address" if "://" in named else cut(named)
    raise _invalid(
        f"the text names {shown} among other words",
        f"give {shown if shown == named else 'the reference'} alone if that is the work, or put task: in front if it "
        "is other work",
    )


def _invalid(message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, field="work_key", hint=hint)
