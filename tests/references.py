"""Issues and pull requests of forges and trackers, and the ways to write each, by the sites' own rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from coordinator.work_urls import Hosts

#: The hosts that a coordinator is given.
HOSTS = Hosts(
    github=("github.example.com",), gitlab=("git.example.org",), gitea=("forge.example.net:3000", "git.disroot.org")
)


@dataclass(frozen=True)
class Work:
    """A piece of work: two are the same if these are. ``path`` and ``number`` are in lower case, where case is none."""

    site: str
    host: str
    path: tuple[str, ...]
    what: str
    number: str


#: The sites: what their hosts are, how long their paths, and which sequences of numbers they have.
_SITES: dict[str, tuple[tuple[str, ...], range, tuple[str, ...]]] = {
    "github": (("github.com",), range(2, 3), ("any",)),
    "github enterprise": (HOSTS.github, range(2, 3), ("any",)),
    "gitlab": (("gitlab.com",), range(2, 5), ("issue", "merge request")),
    "gitlab elsewhere": (("git.example.org", "gitlab.freedesktop.org"), range(2, 5), ("issue", "merge request")),
    "bitbucket": (("bitbucket.org",), range(2, 3), ("issue", "pull request")),
    "bitbucket data center": (("bitbucket.example.com",), range(2, 3), ("pull request",)),
    "codeberg": (("codeberg.org",), range(2, 3), ("any",)),
    "gitea": (("gitea.com", "code.forgejo.org", *HOSTS.gitea), range(2, 3), ("any",)),
    "jira": (("acme.atlassian.net",), range(1, 2), ("issue",)),
    "linear": (("linear.app",), range(1, 2), ("issue",)),
    "azure devops": (("dev.azure.com",), range(1, 2), ("work item", "pull request")),
    "trello": (("trello.com",), range(1), ("card",)),
    "asana": (("app.asana.com",), range(1), ("task",)),
    "launchpad": (("bugs.launchpad.net",), range(1), ("bug",)),
    "sourcehut": (("todo.sr.ht",), range(2, 3), ("ticket",)),
    "youtrack": (("acme.youtrack.cloud", "youtrack.example.com"), range(1, 2), ("issue",)),
    "phabricator": (("phabricator.wikimedia.org", "phab.example.com"), range(1), ("T", "D")),
    "bugzilla": (("bugzilla.mozilla.org", "bugzilla.example.com"), range(1), ("bug",)),
}
#: Sites whose numbers have the name of a project in front, and those whose paths have a case.
_WITH_PROJECT = ("jira", "linear", "youtrack")
_WITH_CASE = ("sourcehut",)
SITES = tuple(_SITES)
_NAMES = ("acme", "web", "web-ui", "data_lake", "x", "a1", "docs.io", "core", "issues", "pulls", "v2", "team-7")
_OWNERS = ("acme", "gptme", "x", "a1", "team-7", "web-ui")


def random_work(random: random.Random, site: str) -> Work:
    """Make up a piece of work of a site."""
    hosts, lengths, sequences = _SITES[site]
    if lengths == range(1):
        path: tuple[str, ...] = ()
    elif site in _WITH_PROJECT:
        path = (random.choice(("ops", "eng", "abc", "x1")),)
    else:
        rest = [random.choice(_NAMES) for _ in range(random.choice(lengths) - 1)]
        path = (random.choice(_OWNERS), *rest)
    return Work(site, random.choice(hosts), path, random.choice(sequences), str(random.randint(1, 12)))


def neighbours(random: random.Random, work: Work) -> Iterator[Work]:
    """Yield other pieces of work that differ in one thing only."""
    hosts, _, sequences = _SITES[work.site]
    yield replace(work, number=f"{work.number}{random.randint(0, 9)}")
    if work.path:
        yield replace(work, path=(*work.path[:-1], f"{work.path[-1]}2"))
        yield replace(work, path=(f"{work.path[0]}z", *work.path[1:]))
    yield from (replace(work, what=what) for what in sequences if what != work.what)
    if work.site not in ("jira", "linear"):
        yield from (replace(work, host=host) for host in hosts if host != work.host)


def spell(random: random.Random, work: Work) -> str:
    """Write it in one of its ways."""
    return random.choice(list(spellings(random, work)))


def spellings(random: random.Random, work: Work) -> Iterator[str]:
    """Yield all ways to write it, with what may vary chosen by ``random``."""
    path = "/".join(segment if work.site in _WITH_CASE else _cased(random, segment) for segment in work.path)
    number = work.number if SITES.index(work.site) > SITES.index("linear") else _with_zeros(random, work.number)
    yield from _FORMS[work.site](random, replace(work, number=number), path)


def _with_zeros(random: random.Random, number: str) -> str:
    return random.choice(("", "", "0", "00")) + number


def _cased(random: random.Random, text: str) -> str:
    return random.choice((text, text, text.upper(), text.title()))


def _urls(random: random.Random, host: str, pages: tuple[str, ...]) -> Iterator[str]:
    """Yield addresses of pages, with what does not matter around them."""
    for page in pages:
        scheme = random.choice(("https://", "http://", "HTTPS://", "https://user:pw@"))
        behind = random.choice(("", "", "/", "?utm_source=x", "#:~:text=a", ".", ","))
        yield f"{scheme}{random.choice((host, host.upper()))}{page}{behind}"
        yield f"<{scheme}{host}{page}>"


def _github(random: random.Random, work: Work, path: str) -> Iterator[str]:
    own = work.host == "github.com"
    page = random.choice(("issues", "pull", "pulls", "discussions"))
    behind = random.choice(("", "#issuecomment-12", "/files", "/commits/0a1b2c", "?w=1"))
    pages = (f"/{path}/{page}/{work.number}", f"/{path}/{page}/{work.number}{behind}")
    yield from _urls(random, work.host, pages)
    yield from (f"{work.host}{page}" for page in (*pages, f"/{path}#{work.number}"))
    yield f"https://{work.host}/{path}#{work.number}"
    yield f"github:{'' if own else work.host + '/'}{path}#{work.number}"
    yield f"gh: {'' if own else work.host + '/'}{path} #{work.number}"
    api = "api.github.com/repos" if own else f"{work.host}/api/v3/repos"
    yield f"https://{api}/{path}/{random.choice(('issues', 'pulls'))}/{work.number}"
    yield from _cloned(random, work.host, path, f"#{work.number}")
    yield from _linked(random, f"https://{work.host}/{path}/{page}/{work.number}", f"#{work.number}")
    owner, _, name = path.partition("/")
    view = random.choice(("", "/views/1"))
    yield f"https://{work.host}/orgs/acme/projects/3{view}?pane=issue&itemId=1&issue={owner}%7C{name}%7C{work.number}"
    place = path if own else f"{work.host}/{path}"
    yield from (f"{place} {words} {work.number}" for words in ("issue", "PR", "pull request no."))
    yield from (f"#{work.number} in {place}", f"Fixes {place}#{work.number}.", f"{place}:refs/pull/{work.number}/head")
    yield f"{place}/issues/{work.number}@{work.host}".removeprefix("" if own else f"{work.host}/")
    if own:
        yield f"{path}#{work.number}"
        yield f"{path}.git#{work.number}"
        yield f"{path}/{page}/{work.number}"
        yield quote(f"https://{work.host}/{path}/{page}/{work.number}", safe="")


def _cloned(random: random.Random, host: str, path: str, number: str) -> Iterator[str]:
    """Yield what git clones, with a number behind it."""
    name = host.partition(":")[0]
    end = random.choice(("", ".git"))
    yield f"git@{name}:{path}{end}{number}"
    yield f"{random.choice(('ssh', 'git+ssh'))}://git@{name}{random.choice(('', ':22'))}/{path}{end}{number}"


def _linked(random: random.Random, address: str, number: str) -> Iterator[str]:
    """Yield links to an address, whose text says its number or a title."""
    shown = random.choice((number, "A title", address))
    yield from (f"[{shown}]({address})", f"- [{shown}]({address})", f"<{address}|{shown}>")


def _gitlab(random: random.Random, work: Work, path: str) -> Iterator[str]:
    own = work.host == "gitlab.com"
    sign, page = ("#", random.choice(("issues", "work_items"))) if work.what == "issue" else ("!", "merge_requests")
    behind = random.choice(("", "#note_12", "/designs" if sign == "#" else "/diffs", "?tab=x", ".json"))
    pages = (f"/{path}/-/{page}/{work.number}", f"/{path}/-/{page}/{work.number}{behind}")
    yield from _urls(random, work.host, pages)
    yield from (f"{work.host}{page}" for page in pages)
    yield f"gitlab:{'' if own else work.host + '/'}{path}{sign}{work.number}"
    yield f"gl:{'' if own else work.host + '/'}{path} {sign}{work.number}"
    api = "issues" if sign == "#" else "merge_requests"
    yield f"https://{work.host}/api/v4/projects/{quote(path, safe='')}/{api}/{work.number}"
    if own or work.host in HOSTS.gitlab:
        yield f"https://{work.host}/{path}/{api}/{work.number}"
        yield f"{work.host}/{path}{sign}{work.number}"
    if own or work.host in HOSTS.gitlab:
        yield from _cloned(random, work.host, path, f"{sign}{work.number}")
    yield from _linked(random, f"https://{work.host}/{path}/-/{page}/{work.number}", f"{sign}{work.number}")
    yield f"gitlab:{'' if own else work.host + '/'}{path} {'issue' if sign == '#' else 'MR'} {work.number}"
    if own:
        kind = "issue" if sign == "#" else "merge_request"
        yield f"[{kind}:{path}/{work.number}]"
        yield f"{path}/-/{page}/{work.number}"
        # Of GitHub's acme/web it may be an issue, too.
        if (sign == "!" and path.count("/") == 1) or (path.count("/") > 1 and work.path[-1] not in ("issues", "pulls")):
            yield f"{path}{sign}{work.number}"


def _bitbucket(random: random.Random, work: Work, path: str) -> Iterator[str]:
    sign, page, api = ("#", "issues", "issues") if work.what == "issue" else ("!", "pull-requests", "pullrequests")
    pages = (f"/{path}/{page}/{work.number}", f"/{path}/{page}/{work.number}/the-title")
    yield from _urls(random, work.host, pages)
    yield from (f"{work.host}{page}" for page in pages)
    yield f"bitbucket:{path}{sign}{work.number}"
    yield f"bb: {path} {sign} {work.number}"
    if page == "pull-requests":
        yield f"https://{work.host}/{path}/pull-request/{work.number}/the-title/diff"
    yield f"https://api.bitbucket.org/2.0/repositories/{path}/{api}/{work.number}"
    yield from _cloned(random, work.host, path, f"{sign}{work.number}")
    yield from _linked(random, f"https://{work.host}/{path}/{page}/{work.number}", f"{sign}{work.number}")


def _bitbucket_server(random: random.Random, work: Work, path: str) -> Iterator[str]:
    project, _, repository = path.partition("/")
    page = f"/projects/{project}/repos/{repository}/pull-requests/{work.number}"
    yield from _urls(random, work.host, (page, f"{page}/overview", f"/rest/api/1.0{page}"))
    yield f"{work.host}{page}/diff"
    yield f"bitbucket:{work.host}/{path}!{work.number}"
    yield f"bitbucket:{work.host}{page}"
    yield f"bitbucket:{work.host}/{path}/pull-requests/{work.number}"


def _gitea(random: random.Random, work: Work, path: str) -> Iterator[str]:
    page = random.choice(("issues", "pulls"))
    behind = random.choice(("", "#issuecomment-12", "/files" if page == "pulls" else ""))
    pages = (f"/{path}/{page}/{work.number}", f"/{path}/{page}/{work.number}{behind}")
    yield from _urls(random, work.host, (*pages, f"/api/v1/repos/{path}/{page}/{work.number}"))
    yield from (f"{work.host}{page}" for page in pages)
    yield f"gitea:{work.host}/{path}#{work.number}"
    yield f"forgejo: {work.host}/{path} #{work.number}"
    yield f"{work.host}/{path}{random.choice('#!')}{work.number}"
    yield f"gitea:{work.host}/{path}!{work.number}"
    yield from _cloned(random, work.host, path, f"#{work.number}")
    yield from _linked(random, f"https://{work.host}/{path}/{page}/{work.number}", f"#{work.number}")
    if work.host == "codeberg.org":
        yield f"codeberg:{path}{random.choice('#!')}{work.number}"


def _jira(random: random.Random, work: Work, path: str) -> Iterator[str]:
    number = f"{path}-{work.number}"
    pages = (
        *(f"/browse/{number}", f"/browse/{number}?focusedCommentId=1", f"/rest/api/3/issue/{number}"),
        f"/rest/agile/1.0/issue/{number}",
        f"/jira/software/projects/{path}/issues/{number}",
        f"/jira/software/c/projects/{path}/boards/1?selectedIssue={number}",
    )
    yield from (f"{scheme}{work.host}{page}" for page in pages for scheme in ("https://", ""))
    yield from (f"jira:{number}", f"Jira: {number}.", f"Jira issue {number}", f"jira:acme/{number}")
    yield from _linked(random, f"https://{work.host}/browse/{number}", number)


def _linear(random: random.Random, work: Work, path: str) -> Iterator[str]:
    number = f"{path}-{work.number}"
    pages = (f"/acme/issue/{number}", f"/acme/issue/{number}/{random.choice(('a-title', 'another-title'))}")
    yield from _urls(random, work.host, pages)
    yield from (f"{work.host}{page}" for page in pages)
    yield from (f"linear:{number}", f"linear://acme/issue/{number}", f"https://linear.app/issue/{number}")
    yield from (f"linear:acme/{number}", f"Linear {number}")
    yield from _linked(random, f"https://{work.host}/acme/issue/{number}", number)


def _of_tracker(
    random: random.Random, work: Work, pages: tuple[str, ...], others: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield addresses of pages below the host of the work, and ``others`` with their hosts."""
    for page in (*(f"{work.host}{page}" for page in pages), *others):
        yield f"{random.choice(('https://', 'http://', '', 'https://user:pw@'))}{page}"
        yield f"[A title](https://{page})"
        yield f"<https://{page}>"


def _azure(random: random.Random, work: Work, path: str) -> Iterator[str]:
    project = random.choice(("web", "My%20Project", "x"))
    place, old = f"/{path}/{project}", f"{path}.visualstudio.com"
    if work.what == "work item":
        pages = (
            *(f"{place}/_workitems/edit/{work.number}", f"/{path}/_workitems/edit/{work.number}/"),
            *(f"{place}/_workitems?id={work.number}&_a=edit", f"{place}/_apis/wit/workItems/{work.number}"),
            f"{place}/_boards/board/t/team/Stories/?workitem={work.number}",
        )
        others = (f"{old}/{project}/_workitems/edit/{work.number}",)
    else:
        pages = (
            *(f"{place}/_git/app/pullrequest/{work.number}", f"{place}/_git/app/pullrequest/{work.number}?_a=files"),
            *(f"/{path}/_git/{project}/pullrequest/{work.number}", f"/{path}/_apis/git/pullrequests/{work.number}"),
            f"{place}/_apis/git/repositories/app/pullRequests/{work.number}/threads",
        )
        others = (f"{old}/{project}/_git/app/pullrequest/{work.number}",)
    yield from _of_tracker(random, work, pages, others)


def _trello(random: random.Random, work: Work, path: str) -> Iterator[str]:
    card = f"aBcD{work.number:0>4}"
    pages = (f"/c/{card}", f"/c/{card}/12-a-title", f"/c/{card}/12-a-title#comment-5f", f"/c/{card}?filter=x")
    yield from _of_tracker(random, work, pages, (f"api.trello.com/1/cards/{card}",))


def _asana(random: random.Random, work: Work, path: str) -> Iterator[str]:
    project, task = random.randint(1, 10**15), f"12{work.number:0>12}"
    pages = (
        *(f"/0/{project}/{task}", f"/0/{project}/{task}/f", f"/0/0/{task}", f"/api/1.0/tasks/{task}?opt_fields=name"),
        *(
            f"/1/15793/project/{project}/task/{task}",
            f"/1/15793/task/{task}",
            f"/1/15793/project/1/task/{task}/comment/9",
        ),
    )
    yield from _of_tracker(random, work, pages)


def _launchpad(random: random.Random, work: Work, path: str) -> Iterator[str]:
    number = work.number
    pages = (f"/bugs/{number}", f"/ubuntu/+source/apt/+bug/{number}", f"/acme/+bug/{number}/comments/3")
    others = (f"launchpad.net/bugs/{number}", f"api.launchpad.net/1.0/bugs/{number}")
    yield from _of_tracker(random, work, pages, others)


def _sourcehut(random: random.Random, work: Work, path: str) -> Iterator[str]:
    page = f"/~{path}/{work.number}"
    yield from _of_tracker(random, work, (page, f"{page}#event-123", f"{page}/edit"))


def _youtrack(random: random.Random, work: Work, path: str) -> Iterator[str]:
    key = f"{path}-{work.number}"
    pages = (
        *(
            f"/issue/{key}",
            f"/issue/{key}/A-title",
            f"/issue/{key}#focus=Comments-4-5.0-0",
            f"/api/issues/{key}?fields=id",
        ),
        f"/agiles/81-1/current?issue={key}",
    )
    yield from _of_tracker(random, work, pages)


def _phabricator(random: random.Random, work: Work, path: str) -> Iterator[str]:
    page = f"/{work.what}{work.number}"
    yield from _of_tracker(random, work, (page, f"{page}#1234", f"{page}?id=55"))


def _bugzilla(random: random.Random, work: Work, path: str) -> Iterator[str]:
    number = work.number
    pages = (f"/show_bug.cgi?id={number}", f"/show_bug.cgi?id={number}#c4", f"/{number}", f"/rest/bug/{number}")
    yield from _of_tracker(random, work, pages)


_FORMS: dict[str, Callable[[random.Random, Work, str], Iterator[str]]] = {
    "github": _github,
    "github enterprise": _github,
    "gitlab": _gitlab,
    "gitlab elsewhere": _gitlab,
    "bitbucket": _bitbucket,
    "bitbucket data center": _bitbucket_server,
    "codeberg": _gitea,
    "gitea": _gitea,
    "jira": _jira,
    "linear": _linear,
    "azure devops": _azure,
    "trello": _trello,
    "asana": _asana,
    "launchpad": _launchpad,
    "sourcehut": _sourcehut,
    "youtrack": _youtrack,
    "phabricator": _phabricator,
    "bugzilla": _bugzilla,
}
