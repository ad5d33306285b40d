"""Check that what the pages name exists: ``python scripts/check_docs.py [PAGE…]``; part of ``make lint``.

Read are the commands, options, environment variables, targets of the Makefile, metrics, files, modules, classes,
tests, decisions (docs/adr), links and counts that stand in README.md, CONTRIBUTING.md and docs/. Whatever is not in
the code is printed with its file and line, and the exit code is 1. ``FOREIGN`` lists what belongs to other programs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from documented_facts import NUMBERS, Facts
from pages import Page

ROOT = Path(__file__).resolve().parent.parent

#: Names that pages use and this tree does not define, by whose they are.
FOREIGN = {
    "etcd": {
        "--experimental-enable-lease-checkpoint",
        "--experimental-enable-lease-checkpoint-persist",
        "--initial-cluster-state",
        "--client-cert-auth",
        "LeaseTimeToLive",
        "server/lease/lessor.go",
    },
    "etcdctl and etcdutl": {"--bump-revision", "--mark-compacted", "--ignore-lease", "--endpoints"},
    "the reader": {
        "coordination/config.toml",
        "coordinator.example",
        "coordinator.log",
        "docker-compose.override.yml",
        "--no-deps",
        "--protocol",
        "--plaintext",
    },
    "agents": {
        "AGENTS.md",
        "CLAUDE.md",
        "mcp.json",
        "agents/skills/coordination/SKILL.md",
        "claude/settings.json",
        "claude/skills/coordination/SKILL.md",
        "codex/config.toml",
        "codex/hooks.json",
        "cursor/hooks.json",
        "cursor/mcp.json",
        "gemini/settings.json",
        "gemini/skills/coordination/SKILL.md",
    },
    "pytest-randomly": {"--randomly-seed"},
    "uv": {"--all-extras", "--upgrade", "--extra", "--constraint"},
}
_FOREIGN = frozenset().union(*FOREIGN.values())
_OTHER_PROGRAMS = re.compile(
    r"(?:sudo )?(?:docker|etcd|etcdctl|etcdutl|pip|uv|grpcurl|buf|openssl|rsync|curl|perf|systemctl)\b"
)
_FILE = re.compile(r"[\w.*-]*(?:/[\w.*-]+)*\.(?:py|md|toml|ya?ml|lock|in|proto|json|pyi)|[\w.-]+(?:/[\w.-]+)*/")
#: What pages count: the words about it, with # for the number, and how many there are.
COUNTS: dict[str, Callable[[Facts], int]] = {
    r"# (?:such steps|(?:kinds of )?steps of an operation|kinds of steps)": lambda facts: len(facts.steps),
    r"# (?:`?make`? targets|targets of the Makefile)": lambda facts: len(facts.targets),
    r"# tries in all": lambda facts: facts.tries,
    r"# commands of `coordination`": lambda facts: len(facts.options_of) - 1,
    r"# decision records": lambda facts: len(facts.decisions),
    r"# (?:gRPC (?:methods|calls)|RPCs|methods and)|(?:API|service) has # (?:methods|calls)": lambda facts: len(
        facts.methods
    ),
    r"# (?:MCP tools|tools of MCP)": lambda facts: len(facts.mcp_tools),
    r"# alerts(?! of)": lambda facts: len(facts.alerts),
    r"# exit codes": lambda facts: len(facts.exit_codes),
    r"# mutants": lambda facts: len(facts.mutants),
    r"# campaigns": lambda facts: len(facts.campaigns),
}

Found = Iterator[tuple[int, str]]


def commands(page: Page, facts: Facts) -> Found:
    """Check ``coordination COMMAND --option`` and spans that begin with a command."""
    for line, text, language in page.pieces:
        if language in {None, "sh", "console", "bash", "text", "yaml"} and not _OTHER_PROGRAMS.match(text):
            for called in re.findall(r"(?:^|[\s(/])coordination((?: [^\s|;&#)]+)+)", text):
                yield from ((line, problem) for problem in _call(called.split(), facts))
        if language is None and text.split()[0] in facts.options_of:
            yield from ((line, problem) for problem in _call(text.split(), facts))
    for found in re.finditer(r"(?<![\w/.-])work-[a-z]+(?![\w*-])", page.text):
        if found[0] not in facts.options_of:
            yield page.line_at(found.start()), f"there is no command `coordination {found[0]}`"


def _call(words: list[str], facts: Facts) -> Iterator[str]:
    """Check what stands behind ``coordination``."""
    common, command, value_next = facts.options_of[""], None, False
    for place, word in enumerate(words):
        option = word.partition("=")[0]
        if word == "--":
            return
        if value_next or not re.match(r"--?[a-z]|[a-z]", word):
            value_next = False
        elif word.startswith("-"):
            value_next = option in facts.takes_value and "=" not in word
            if option.startswith("--") and option not in common | facts.options_of.get(command or "", frozenset()):
                yield f"`{' '.join(filter(None, ('coordination', command)))}` has no option `{option}`"
        elif command is None:
            two = " ".join(words[place : place + 2])
            command = two if two in facts.options_of else word
            if re.fullmatch(r"[a-z-]+", word) and command not in facts.options_of:
                yield f"there is no command `coordination {word}`"
                return


def options(page: Page, facts: Facts) -> Found:
    """Check options that stand by themselves, or behind a program of this tree."""
    for line, text, _ in page.pieces:
        if not _OTHER_PROGRAMS.search(text):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
                if option not in facts.options | _FOREIGN:
                    yield line, f"no program here has the option `{option}`"


def variables(page: Page, facts: Facts) -> Found:
    """Check environment variables."""
    for found in re.finditer(r"\bCOORDINATION_[A-Z_]*[A-Z]\b(?!_?[*…<])", page.text):
        if found[0] not in facts.words | facts.variables:
            yield page.line_at(found.start()), f"nothing reads the environment variable `{found[0]}`"


def targets(page: Page, facts: Facts) -> Found:
    """Check ``make TARGET`` and the variables given with it."""
    for line, text, language in page.pieces:
        for found in re.findall(r"(?:^|[($] ?)make((?: [A-Za-z_]+=?[^\s)]*)+)", text if language != "python" else ""):
            for word in found.split():
                name, assigned, _ = word.partition("=")
                if assigned and name not in facts.words:
                    yield line, f"the Makefile has no variable `{name}`"
                if not assigned and re.fullmatch(r"[a-z-]+", name) and name not in facts.targets:
                    yield line, f"there is no target `make {name}`"
    if page.name == "CONTRIBUTING.md":
        listed = re.findall(r"^\| `make ([a-z-]+)` \|", page.text, re.MULTILINE)
        yield from (
            (1, f"`make {name}` is missing from the table of targets") for name in facts.targets if name not in listed
        )


def metrics(page: Page, facts: Facts) -> Found:
    """Check the names of metrics and of the rules that sum them up."""
    for found in re.finditer(r"\bcoordination[_:][a-z0-9_:]*(?![\w:-])", page.text):
        name = found[0]
        plain = re.sub(r"_(?:bucket|sum|count)$", "", name)
        known = plain in facts.metrics or (name.endswith(":") and any(m.startswith(name) for m in facts.metrics))
        if not known:
            yield page.line_at(found.start()), f"there is no metric `{name}`"


def paths(page: Page, facts: Facts) -> Found:
    """Check files and directories."""
    for line, text, language in page.pieces:
        for word in text.split() if language is None else ():
            path = word.strip("().,:;'\"").partition("::")[0]
            is_ours = _FILE.fullmatch(path) and not path.startswith(("/", "~", ".", "…")) and path not in _FOREIGN
            if is_ours and re.match(r"[\w*-]", path) and not _is_stored(path) and not facts.has_path(path):
                yield line, f"there is no file `{path}`"
    for found in re.finditer(
        r"(?<![\w/.:-])(?:coordinator|tests|docs|scripts|deploy|demo)/[\w/.-]+\.[a-z]+\b", page.text
    ):
        if not facts.has_path(found[0]):
            yield page.line_at(found.start()), f"there is no file `{found[0]}`"


def _is_stored(path: str) -> bool:
    """Return whether a path is one of etcd's keys or of a running coordinator's directories."""
    return bool(
        re.match(
            r"(?:claim|record|loose|ended|history|contender|request|reaper|replica|fleets|etcd|sockets|dist|certs)/",
            path,
        )
    )


def modules(page: Page, facts: Facts) -> Found:
    """Check dotted names in ``coordinator``, also those that Python examples import."""
    if page.name == "docs/json.md":
        return  # `coordinator.version` is a member of an object there
    for line, text, _ in page.pieces:
        for module, names in re.findall(r"^from (coordinator[\w.]*) import ([\w, ]+)", text):
            yield from (
                (line, f"there is no `{module}.{name}`")
                for name in names.split(", ")
                if not facts.has_name(f"{module}.{name}")
            )
        for name in re.findall(r"(?<![\w./-])(?:coordinator|engine|store|service|reaper)(?:\.\w+)+(?=[\s(`,]|$)", text):
            dotted = name if name.startswith("coordinator.") else f"coordinator.{name}"
            parts = dotted.split(".")
            is_ours = parts[0] == name.partition(".")[0] or f"coordinator/{parts[1]}" in facts.directories
            is_file = re.search(r"\.(?:py|yml|proto)$", name)
            if is_ours and parts[1] != "v1" and not is_file and name not in _FOREIGN and not facts.has_name(dotted):
                yield line, f"there is no `{name}`"


def tests(page: Page, facts: Facts) -> Found:
    """Check tests by their node ids."""
    for found in re.finditer(r"\btests/[\w/]+\.py::[\w:]+", page.text):
        if not facts.has_test(found[0]):
            yield page.line_at(found.start()), f"there is no test `{found[0]}`"


def names(page: Page, facts: Facts) -> Found:
    """Check classes, calls and the like: words of more than one part must stand somewhere in the code."""
    for line, text, language in page.pieces:
        if language is None and re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}(?:\.\w+)?(?:\(.*\))?", text):
            for word in re.findall(r"\w+", text.partition("(")[0]):
                if word not in facts.words | _FOREIGN:
                    yield line, f"nothing in the code is called `{word}`"


def decisions(page: Page, facts: Facts) -> Found:
    """Check the numbers of decisions, and that a link leads to the one that it names."""
    for found in re.finditer(r"\bADRs? (\d+)(?:\]\(([^)]*)\))?", page.text):
        if int(found[1]) not in facts.decisions:
            yield page.line_at(found.start()), f"there is no ADR {found[1]}"
        elif found[2] and f"{int(found[1]):04}-" not in found[2]:
            yield page.line_at(found.start()), f"the link of ADR {found[1]} leads to {found[2]}"


def links(page: Page, facts: Facts) -> Found:
    """Check relative links, with their anchors."""
    for found in re.finditer(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", page.prose):
        line, here = page.line_at(found.start()), PurePosixPath(page.name)
        target = _resolved(here.parent / found[1]) if found[1] else page.name
        if target not in facts.files | facts.directories:
            yield line, f"the link leads to `{found[1]}`, which is not there"
        elif found[2] and target.endswith(".md"):
            other = page if target == page.name else Page(target, facts.read(target))
            if found[2] not in other.anchors:
                yield line, f"`{target}` has no heading `#{found[2]}`"


def _resolved(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts) or "."


def counts(page: Page, facts: Facts) -> Found:
    """Check numbers of things that are counted in code."""
    counted = COUNTS | {
        rf"# {package} modules|# modules (?:of|in) (?:the )?`?{package}`?|{package}`? has # modules": partial(
            Facts.modules_in, package=package
        )
        for package in facts.packages
    }
    for what, count in counted.items():
        pattern = rf"\b(?:{what})(?!\w)".replace(" ", r"\s+").replace("#", rf"(\d+|{'|'.join(NUMBERS)})")
        for found in re.finditer(pattern, page.text, re.IGNORECASE):
            number = next(filter(None, found.groups()))
            said = int(number) if number.isdigit() else NUMBERS.index(number.lower())
            if said != (there := count(facts)):
                yield page.line_at(found.start()), f"“{found[0]}”: there are {there}"


CHECKS = (commands, options, variables, targets, metrics, paths, modules, tests, names, decisions, links, counts)


def problems(page: Page, facts: Facts) -> list[str]:
    """Return what is wrong with a page, each with file and line."""
    found = sorted({problem for check in CHECKS for problem in check(page, facts)})
    return [f"{page.name}:{line}: {problem}" for line, problem in found]


def pages(facts: Facts) -> list[str]:
    """Return the pages that are checked: all but the changelog, which speaks of what was."""
    return sorted(name for name in facts.files if name.endswith(".md") and name != "CHANGELOG.md")


def main() -> int:
    """Check the pages that are named, or all."""
    facts = Facts(ROOT)
    found = [line for name in sys.argv[1:] or pages(facts) for line in problems(Page(name, facts.read(name)), facts)]
    for line in found:
        print(line, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
