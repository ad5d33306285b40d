"""What git clones, with a number behind it: ``git@github.com:acme/web.git#7``, ``ssh://…``, ``git+https://…``.

Invariant: the number is that of the site's page, if the site is known; of another it is refused, because its pages and
its clones could not be known to be one.

Source: https://git-scm.com/docs/git-clone#_git_urls; npm and pip put ``git+`` in front.
"""

from __future__ import annotations

import re

from coordinator.work_urls.hosts import HOST, named_like, without_port
from coordinator.work_urls.reference import Hosts, UnknownSite

__all__ = ["page_of_clone"]

_URL = re.compile(
    rf"(?:git\+)?(?:ssh|git|https?|file)(?:\+git)?://(?:[^/?#@]*@)?({HOST})\.?(?:(:[0-9]+)?/+|:/*)([^?#\s]*)(\S*)",
    re.IGNORECASE | re.ASCII,
)
_SCP = re.compile(rf"(?:[a-z0-9_.+-]+@)?({HOST}): ?(?![0-9]+/)/*([^?#\s:]+/[^?#\s:]*)(\S*)", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(
    r".*(?:[#!]|/(?:issues?|pulls?|merge_requests|pull-requests)/)[0-9]+(?:/.*)?", re.IGNORECASE | re.ASCII | re.DOTALL
)
_PLAIN = ("https://", "http://")


def page_of_clone(text: str, hosts: Hosts) -> str | None:
    """Return the address of the page of what is cloned, with all that stands behind; None for what is no clone.

    Raises ``UnknownSite`` for a number at a site that is not known.
    """
    if text.lower().startswith(_PLAIN):
        return None
    found = _URL.fullmatch(text)
    if found is not None:
        host, _, path, rest = found.groups()
    else:
        found = _SCP.fullmatch(without_port(text)) if ":" in text and "://" not in text else None
        if found is None:
            return None
        host, path, rest = found.groups()
    site = named_like(host.lower(), hosts)
    if site:
        return f"https://{site}/{path.removeprefix('scm/').removesuffix('/').removesuffix('.git')}{rest}"
    if _NUMBER.fullmatch(f"{path}{rest}") is not None:
        raise UnknownSite(
            f"the site of {host.lower()[:80]} is not known, so its number cannot be read",
            field="work_key",
            hint="give the address of the page, or the site in front, for example gitlab:HOST/group/project#7; an "
            "operator names hosts with --github-hosts, --gitlab-hosts and --gitea-hosts; or put url: in front",
        )
    return None
