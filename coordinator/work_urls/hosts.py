"""Hosts: which are known, under which names, and what a text without a scheme begins with.

Invariant: all names of a host are one. A host that is not known is read as it stands, and is no one's.

Sources: https://docs.github.com/en/authentication/troubleshooting-ssh/using-ssh-over-the-https-port (ssh.github.com),
https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency (ghe.com), and what bots put for github.com, so
that GitHub shows no reference (redirect.github.com).
"""

from __future__ import annotations

import re
from functools import lru_cache

from coordinator.work_urls.reference import Hosts

__all__ = ["GITLAB", "HOST", "LISTED", "begins_with_host", "is_known", "named_like", "one_name", "without_port"]

HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
#: The sites that are known by their host; those of Gitea last.
LISTED = ("github.com", "gitlab.com", "bitbucket.org", "linear.app", "codeberg.org", "code.forgejo.org", "gitea.com")
_OTHERS = {
    **{f"{before}.{host}": host for host in LISTED for before in ("www", "m", "mobile")},
    **dict.fromkeys(("ssh.github.com", "redirect.github.com", "togithub.com", "github.dev"), "github.com"),
    "altssh.gitlab.com": "gitlab.com",
    **dict.fromkeys(("altssh.bitbucket.org", "bitbucket.com", "www.bitbucket.com"), "bitbucket.org"),
}
_APIS = ("api.github.com", "api.bitbucket.org", "patch-diff.githubusercontent.com", "api.atlassian.com")
#: Of GitHub Enterprise Cloud and of Jira's cloud, each with a name of the organisation in front.
_BELOW = (".ghe.com", ".atlassian.net")
#: A host that is called so runs GitLab, whose pages are known at any host.
GITLAB = "gitlab."
#: The ends of names that are hosts where a path follows; none that files have, as ``.md``, ``.py`` and ``.sh``.
_ENDS = frozenset(
    (
        *(
            "com",
            "org",
            "so",
            "app",
            "me",
            "gg",
            "ly",
            "to",
            "fm",
            "im",
            "net",
            "edu",
            "gov",
            "mil",
            "int",
            "info",
            "biz",
            "io",
            "dev",
            "ai",
            "cloud",
            "page",
        ),
        *("site", "tech", "xyz", "online", "wiki", "blog", "eu", "us", "uk", "de", "fr", "nl", "ch", "at", "it"),
        *("es", "se", "no", "fi", "dk", "jp", "cn", "kr", "in", "br", "au", "ca", "co", "tv", "nz", "be", "cz", "ht"),
        *("example", "test", "invalid", "local", "internal", "corp", "lan"),
    )
)
#: A host of the own machine or network.
_NUMERIC = re.compile(r"(?:localhost|[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?::[0-9]+)?")
_AT_START = re.compile(rf"({HOST})(?::([0-9]+))?/", re.IGNORECASE | re.ASCII)


def one_name(host: str) -> str:
    """Return the name of a host, in lower case, under which its site is known; that of another host is its own."""
    return _OTHERS.get(host, host)


def is_known(host: str, hosts: Hosts) -> bool:
    """Return whether a host, as addresses have it, is one of a site that is known."""
    return host in _known(hosts) or host.endswith(_BELOW) or host.startswith(GITLAB)


def named_like(host: str, hosts: Hosts) -> str:
    """Return the host of a site for that of its git server, which may be at another port; "" where none is known."""
    host = one_name(host)
    if is_known(host, hosts):
        return host
    return next((named for named in _known(hosts) if named.partition(":")[0] == host), "")


def without_port(text: str) -> str:
    """Return a text without its scheme's port: of an address that leaves out its scheme it may be that of http."""
    found = _AT_START.match(text)
    return f"{found[1]}{text[found.end(2) :]}" if found is not None and found[2] in ("80", "443") else text


def begins_with_host(text: str, hosts: Hosts) -> bool:
    """Return whether a text without a scheme begins with a host: one that is known, or a name that can only be one."""
    head, slash, _ = text.partition("/")
    head = head.lower()
    if not slash or _NUMERIC.fullmatch(head) is not None:
        return bool(slash)
    if "." not in head:
        return False
    if is_known(one_name(head.removesuffix(":443").removesuffix(":80").removesuffix(".")), hosts):
        return True
    found = _AT_START.match(text)
    return found is not None and (head.startswith("www.") or found[1].rpartition(".")[2].lower() in _ENDS)


@lru_cache(maxsize=16)
def _known(hosts: Hosts) -> frozenset[str]:
    named = (*hosts.github, *hosts.gitlab, *hosts.gitea, *hosts.jira)
    return frozenset((*LISTED, *_OTHERS, *_APIS, *named, *(f"www.{host}" for host in named)))
