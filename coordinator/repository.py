"""Which repository ``#7`` means: the one that is named for the client.

Invariants:
- A number alone (``#7``, ``!7``), or with the name of a repository without its owner (``web#7``), is never sent as it
  stands where a repository is named; where none is, the coordinator refuses it.
- Every other key is sent as it was given.
"""

from __future__ import annotations

import re

from coordinator.errors import InvalidInput
from coordinator.names import shorten

__all__ = ["in_repository", "read_repository"]

_NUMBER = re.compile(r"([A-Za-z0-9._-]*)([#!])\s*([0-9]+)")
#: What people put around a number, and what a sentence puts behind it.
_AROUND = " \t<>`\"'()[].,;:"
_PATH = r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)+"
_SHORT = re.compile(rf"(?:(github|gitlab|bitbucket|gitea|gh|gl|bb|forgejo|codeberg):)?({_PATH})", re.IGNORECASE)
#: As git writes remotes: ``https://host/path.git``, ``ssh://git@host:22/path.git``, ``git@host:path.git``.
_URL = re.compile(rf"[a-z+]+://(?:[^@/]*@)?([A-Za-z0-9.-]+)(?::([0-9]+))?/({_PATH}?)(?:\.git)?/?", re.IGNORECASE)
_SCP = re.compile(rf"(?:[^@/:]+@)?([A-Za-z0-9.-]+):({_PATH}?)(?:\.git)?/?")
#: The kinds of work of sites whose repositories are named without their host.
_KINDS = {"github.com": "github:", "gitlab.com": "gitlab:", "bitbucket.org": "bitbucket:"}


def read_repository(given: str) -> str:
    """Return what stands before the number in a key of a repository.

    ``owner/name`` is one of GitHub. Others are named by their kind (``gitlab:group/project``), by their address or as
    git writes it (``git@host:path.git``). Raises ``InvalidInput`` for anything else; "" names none.
    """
    given = given.strip()
    if not given:
        return ""
    short = _SHORT.fullmatch(given)
    if short is not None:
        kind, path = (short[1] or "github").lower(), short[2]
        return f"{kind}:{path.removesuffix('.git')}"
    address = _URL.fullmatch(given)
    host, port, path = address.groups() if address is not None else ("", None, "")
    scp = _SCP.fullmatch(given)
    if address is None and scp is not None:
        host, path = scp.groups()
    if not host:
        raise InvalidInput(
            f"{shorten(given)} is no repository; allowed are owner/name, a kind and a path like gitlab:group/project, "
            "and addresses",
            field="repo",
            hint="for example acme/web",
        )
    host = host.lower().removeprefix("www.")
    # The port is that of ssh where the address is not one of a page.
    port = f":{port}" if port and given.lower().startswith("http") and port not in ("80", "443") else ""
    return f"{_KINDS[host]}{path}" if host in _KINDS else f"{host}{port}/{path}"


def in_repository(key: str, repository: str) -> str:
    """Return the key with the repository that it leaves out; ``repository`` is as ``read_repository`` returns it."""
    if not repository:
        return key
    found = _NUMBER.fullmatch(key.strip(_AROUND))
    if found is None:
        return key
    name, sign, number = found.groups()
    if name:
        repository = f"{repository.rpartition('/')[0]}/{name}"
    return f"{repository}{sign}{number}"
