"""Paths of the APIs of sites without a host, as ``gh api`` and ``glab api`` take them: ``repos/acme/web/pulls/7``.

Invariant: such a path is the address in the API of the site whose API alone has paths of that form; no repository is
called so there.

Source: https://cli.github.com/manual/gh_api, https://docs.gitlab.com/cli/api/, and the sites' own APIs.
"""

from __future__ import annotations

import re

from coordinator.work_urls.reference import SEGMENT

__all__ = ["address_of_path"]

_PATHS = (
    (
        re.compile(
            rf"/?(?:api/v3/)?(repos/{SEGMENT}/{SEGMENT}/(?:issues|pulls|discussions)/[0-9]+.*)",
            re.IGNORECASE | re.ASCII,
        ),
        "https://api.github.com/",
    ),
    (
        re.compile(
            r"/?(?:api/v4/)?((?:projects|groups)/[^/\s]+/(?:issues|merge_requests|epics)/[0-9]+.*)",
            re.IGNORECASE | re.ASCII,
        ),
        "https://gitlab.com/api/v4/",
    ),
    (
        re.compile(
            rf"/?(?:2\.0/)?(repositories/{SEGMENT}/{SEGMENT}/(?:issues|pullrequests)/[0-9]+.*)",
            re.IGNORECASE | re.ASCII,
        ),
        "https://api.bitbucket.org/2.0/",
    ),
)


def address_of_path(text: str) -> str | None:
    """Return the address of a path in an API; None for any other text."""
    if "/" not in text:
        return None
    for pattern, below in _PATHS:
        found = pattern.fullmatch(text)
        if found is not None:
            return below + found[1]
    return None
