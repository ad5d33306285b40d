"""Trackers that have no kind of their own: the one address of a card, a task, a ticket or a work item.

Its title, the place within its page, the board around it and the address in the tracker's API make no other key. What
is numbered once for a whole organisation, or for the whole tracker, leaves out the project.

Invariant: two pieces of work have two addresses, and an address that is read again stays as it is.

Sources: https://learn.microsoft.com/azure/devops/boards/work-items/work-item-url-hyperlink, the REST references of
Azure DevOps, Trello and Asana (its forum has the forms of V0 and V1), https://man.sr.ht/todo.sr.ht/,
https://help.launchpad.net/Bugs, https://www.jetbrains.com/help/youtrack/, https://bugzilla.readthedocs.io.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from coordinator.work_urls.address import Address

__all__ = ["page_of_tracker"]

_AZURE = r"dev\.azure\.com/(?P<org>[^/?]+)|(?P<old>[a-z0-9-]+)\.visualstudio\.com"
_YOUTRACK = r"(?P<host>(?:[a-z0-9-]+\.youtrack\.cloud|youtrack\.[a-z0-9.-]+|[a-z0-9-]+\.myjetbrains\.com)(?::[0-9]+)?)"


class _Rule(NamedTuple):
    """An address without its scheme, with its query, and the one address that it stands for."""

    pattern: re.Pattern[str]
    address: str


def _rule(pattern: str, address: str) -> _Rule:
    return _Rule(re.compile(pattern, re.ASCII), address)


_RULES = (
    _rule(r"trello\.com/c/(?P<id>[A-Za-z0-9]{6,24})(?:[/?].*)?", "https://trello.com/c/{id}"),
    _rule(r"api\.trello\.com/1/cards/(?P<id>[A-Za-z0-9]{6,24})(?:[/?].*)?", "https://trello.com/c/{id}"),
    _rule(
        r"app\.asana\.com/(?:0/[0-9]+/(?P<id>[0-9]+)(?:/f)?|1/[0-9]+/(?:.*/)?task/(?P<new>[0-9]+)(?:/.*)?"
        r"|api/1\.0/tasks/(?P<api>[0-9]+)(?:/.*)?)(?:\?.*)?",
        "https://app.asana.com/0/0/{id}{new}{api}",
    ),
    _rule(
        rf"(?:{_AZURE})(?:/[^/?]+){{0,2}}?/(?i:_workitems/edit/(?P<id>[0-9]+)(?:[/?].*)?"
        r"|_apis/wit/workitems/(?P<api>[0-9]+)(?:[/?].*)?"
        r"|_(?:workitems|boards|backlogs|sprints|queries)(?:/[^?]*)?\?(?:.*&)?(?:workitem|id)=(?P<shown>[0-9]+)(?:&.*)?)",
        "https://dev.azure.com/{org}{old}/_workitems/edit/{id}{api}{shown}",
    ),
    _rule(
        rf"(?:{_AZURE})(?:/[^/?]+){{0,2}}?/(?i:_git/(?:[^/?]+/)?pullrequest/(?P<id>[0-9]+)(?:[/?].*)?"
        r"|_apis/git/(?:repositories/[^/?]+/)?pullrequests/(?P<api>[0-9]+)(?:[/?].*)?)",
        "https://dev.azure.com/{org}{old}/_apis/git/pullrequests/{id}{api}",
    ),
    _rule(
        r"(?:(?:bugs\.|www\.)?launchpad\.net/(?:.*/\+bug|bugs)|api\.launchpad\.net/[^/]+/bugs)/(?P<id>[0-9]+)(?:[/?].*)?",
        "https://bugs.launchpad.net/bugs/{id}",
    ),
    _rule(r"todo\.sr\.ht/(?P<id>~[^/?]+/[^/?]+/[0-9]+)(?:[/?].*)?", "https://todo.sr.ht/{id}"),
    _rule(
        rf"{_YOUTRACK}(?P<below>/youtrack)?/(?:issue|api/issues|mobile/issue)/(?P<key>[A-Za-z][A-Za-z0-9_]*-[0-9]+)(?:[/?].*)?",
        "https://{host}{below}/issue/{key}",
    ),
    _rule(
        rf"{_YOUTRACK}(?P<below>/youtrack)?/agiles/.*\?(?:.*&)?issue=(?P<key>[A-Za-z][A-Za-z0-9_]*-[0-9]+)(?:&.*)?",
        "https://{host}{below}/issue/{key}",
    ),
    _rule(
        r"(?P<host>(?:phabricator|phab|reviews)\.[a-z0-9.-]+(?::[0-9]+)?)/(?P<key>[TDtd][0-9]+)(?:[/?].*)?",
        "https://{host}/{key}",
    ),
    _rule(
        r"(?P<host>(?:bugzilla|bugs|bz)\.[a-z0-9.-]+(?::[0-9]+)?)/(?:.*/)?show_bug\.cgi\?(?:.*&)?id=(?P<id>[0-9]+)(?:&.*)?",
        "https://{host}/show_bug.cgi?id={id}",
    ),
    _rule(
        r"(?P<host>bugzilla\.[a-z0-9.-]+(?::[0-9]+)?)/(?:rest/bug/)?(?P<id>[0-9]+)(?:\?.*)?",
        "https://{host}/show_bug.cgi?id={id}",
    ),
    _rule(r"app\.shortcut\.com/(?P<id>[^/?]+/story/[0-9]+)(?:[/?].*)?", "https://app.shortcut.com/{id}"),
)
#: Redmine is at any host: its notes are places within the page of an issue.
_REDMINE = re.compile(r"(?:/.*)?/issues/[0-9]+", re.ASCII)
_NOTE = re.compile(r"(?:note|change)-[0-9]+", re.ASCII)


def page_of_tracker(address: Address) -> str | None:
    """Return the one address of what a page of a tracker is about; None for any other address."""
    if address.scheme != "https":
        return None
    if _NOTE.fullmatch(address.fragment) is not None and _REDMINE.fullmatch(address.path) is not None:
        return str(address._replace(fragment=""))
    text = f"{address.host}{address.path}{f'?{address.query}' if address.query else ''}"
    for rule in _RULES:
        found = rule.pattern.fullmatch(text)
        if found is not None:
            return rule.address.format(**_plain(found.groupdict("")))
    return None


def _plain(parts: dict[str, str]) -> dict[str, str]:
    """Return the parts as they have one spelling: organisations, and numbers with a project in front, have no case."""
    plain = parts | {name: parts[name].lower() for name in ("org", "old") if name in parts}
    if "key" in parts:
        plain["key"] = parts["key"].upper()
    return plain
