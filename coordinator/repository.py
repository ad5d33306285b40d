"""Which repository ``#7`` means: the one that is named for the client.

Invariants:
- A number alone (``#7``, ``!7``, ``PR 7``, ``refs/pull/7/merge``), or with the name of a repository without its owner
  (``web#7``), is never sent as it stands where a repository is named; where none is, the coordinator refuses it.
- Every other key is sent as it was given, and does not look for a repository.
- A repository is read once: what ``read_repository`` returns may be read differently.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from coordinator.errors import InvalidInput
from coordinator.names import shorten
from coordinator.number_hints import may_be_number
from coordinator.spoken_numbers import read_number

__all__ = ["FindRepository", "in_repository", "read_repository", "repository_of"]

#: What finds a repository when a key needs it.
FindRepository = Callable[[], str]

#: Other names of kinds.
_SAME = {"gh": "github", "gl": "gitlab", "bb": "bitbucket", "forgejo": "gitea", "codeberg": "gitea"}
#: Patterns of ``read_repository``, which most commands never need: Python compiles each when it is first used.
_PATH = r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)+"
_SHORT = rf"(?:(github|gitlab|bitbucket|gitea|gh|gl|bb|forgejo|codeberg):)?({_PATH})"
#: An address without its scheme: a name with a dot, and more behind it than the two words of GitHub.
_HOST_FIRST = rf"([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)/({_PATH})"
#: As git writes remotes: ``https://host/path.git``, ``ssh://git@host:22/path.git``, ``git@host:path.git``.
_URL = rf"[a-z+]+://(?:[^@/]*@)?([A-Za-z0-9.-]+)(?::([0-9]+))?/({_PATH}?)(?:\.git)?/?"
_SCP = rf"(?:[^@/:]+@)?([A-Za-z0-9.-]+):/?({_PATH}?)(?:\.git)?/?"
#: A segment that names the directory itself or the one above: of a file, and of no repository at a site.
_DOTS = r"(?:.*[/:])?\.{1,2}(?:/.*)?"
#: The kinds of work of sites whose repositories are named without their host.
_KINDS = {"github.com": "github:", "gitlab.com": "gitlab:", "bitbucket.org": "bitbucket:"}
#: Sites whose repositories have an owner and a name; what is behind them is a page.
_OF_TWO_WORDS = ("github.com", "bitbucket.org", "codeberg.org", "gitea.com", "code.forgejo.org")


def read_repository(given: str) -> str:
    """Return what stands before the number in a key of a repository.

    ``owner/name`` is one of GitHub. Others are named by their kind (``gitlab:group/project``), by their address, with
    or without ``https://``, or as git writes it (``git@host:path.git``). "" names none. Raises ``InvalidInput`` for
    anything else.
    """
    given = given.strip().rstrip("/")
    if not given:
        return ""
    if re.fullmatch(_DOTS, given) is not None:
        raise _no_repository(given)
    short = re.fullmatch(_SHORT, given, re.IGNORECASE | re.ASCII)
    without_scheme = re.fullmatch(_HOST_FIRST, given)
    if short is not None and without_scheme is None:
        kind, path = (short[1] or "github").lower(), short[2]
        return f"{kind}:{path.removesuffix('.git')}"
    address = re.fullmatch(_URL, given, re.IGNORECASE | re.ASCII)
    host, port, path = address.groups() if address is not None else ("", None, "")
    written = without_scheme or re.fullmatch(_SCP, given)
    if address is None and written is not None:
        host, path = written.groups()
    if not host:
        raise _no_repository(given)
    host = host.lower().removesuffix(".").removeprefix("www.")
    if "." not in host:
        raise InvalidInput(
            f"{shorten(given)} names a host of one word, which may be a name that only this machine knows",
            field="repo",
            hint="for example acme/web for GitHub, or gitlab:group/project",
        )
    # The port is that of ssh where the address is not one of a page.
    port = f":{port}" if port and given.lower().startswith("http") and port not in ("80", "443") else ""
    return _of_path(host, port, path)


def _of_path(host: str, port: str, path: str) -> str:
    """Return a repository by what stands below its host, which may be one of its pages."""
    path = path.partition("/-/")[0]
    if path.startswith("scm/"):
        # So Bitbucket Data Center calls what is cloned, and no page.
        return f"bitbucket:{host}{port}/{path.removeprefix('scm/').removesuffix('.git')}"
    if host in _OF_TWO_WORDS:
        path = "/".join(path.split("/")[:2])
    path = path.removesuffix(".git")
    return f"{_KINDS[host]}{path}" if host in _KINDS else f"{host}{port}/{path}"


def _no_repository(given: str) -> InvalidInput:
    return InvalidInput(
        f"{shorten(given)} is no repository; allowed are owner/name, a kind and a path like gitlab:group/project, "
        "and addresses",
        field="repo",
        hint="for example acme/web",
    )


def repository_of(given: str | FindRepository) -> str | FindRepository:
    """Return what ``in_repository`` takes, of a repository as it is named or of what finds its name, once."""
    if isinstance(given, str):
        return read_repository(given)
    return functools.cache(lambda: read_repository(given()))


def in_repository(key: str, repository: str | FindRepository) -> str:
    """Return the key with the repository that it leaves out.

    ``repository`` is what ``repository_of`` returns. It is looked for only where the key is a number.
    """
    found = read_number(key) if repository and may_be_number(key) else None
    if found is None:
        return key
    if not isinstance(repository, str):
        repository = repository()
    if not repository or not _is_of_site(repository, found.site):
        return key
    if found.name:
        repository = f"{repository.rpartition('/')[0]}/{found.name}"
    return f"{repository}{'#' if found.sort == '#' else '!'}{found.digits}"


def _is_of_site(repository: str, site: str) -> bool:
    """Return whether a repository may be one of the site that stands in front of a number; of "" each may be."""
    kind, colon, _ = repository.partition(":")
    return not site or not colon or "/" in kind or _SAME.get(site, site) == _SAME.get(kind, kind)
