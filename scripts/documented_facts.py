"""What pages may name: the files, commands, options, metrics and so on of this tree, read from the tree itself.

Nothing is imported or run. Commands and options come from docs/cli.md, which ``scripts/cli_docs.py --check`` compares
with the command line.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

#: Read for the words that stand in code, by the ends of their names.
_CODE = (".py", ".pyi", ".proto", ".toml", ".yml", ".yaml", ".json", ".in", "Makefile", "Dockerfile", ".ci/run")
#: Small numbers as they are written out, from zero on.
NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TESTS = re.compile(r"^class (?P<owner>\w+)|^(?P<indent>(?: {4})?)(?:async )?def (?P<test>test_\w+)", re.MULTILINE)


class Facts:
    """What there is in the tree at ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def files(self) -> frozenset[str]:
        """The files that belong to the tree, tracked or new."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout
        return frozenset(name for name in listed.split("\0") if name and (self.root / name).is_file())

    @cached_property
    def directories(self) -> frozenset[str]:
        """The directories that these files are in."""
        return frozenset(str(parent) for name in self.files for parent in PurePosixPath(name).parents)

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.root / name).read_text(encoding="utf-8")

    @cached_property
    def _endings(self) -> frozenset[str]:
        paths = [path.split("/") for path in self.files | self.directories]
        return frozenset("/".join(parts[first:]) for parts in paths for first in range(len(parts)))

    def has_path(self, path: str) -> bool:
        """Return whether a file or directory is called so, with or without the directories before it."""
        path = path.removeprefix("./").rstrip("/")
        if "*" in path:
            return any(PurePosixPath(name).match(path) for name in self.files)
        return path in self._endings

    @cached_property
    def code(self) -> dict[str, str]:
        """The text of each file that is code or configuration."""
        left_out = {"scripts/check_docs.py", "tests/docs/test_named_things.py"}
        return {name: self.read(name) for name in self.files - left_out if name.endswith(_CODE)}

    @cached_property
    def words(self) -> frozenset[str]:
        """The words that stand in code, in comments or strings too."""
        return frozenset(word for text in self.code.values() for word in _WORD.findall(text))

    @cached_property
    def options_of(self) -> dict[str, frozenset[str]]:
        """The commands of ``coordination``, each with its own options; those of every command are under ``""``."""
        found: dict[str, frozenset[str]] = {}
        for section in re.split(r"^## ", self.read("docs/cli.md"), flags=re.MULTILINE):
            title = section.partition("\n")[0]
            rows = re.findall(r"^\| `(-[^`]+)` \|", section, re.MULTILINE)
            options = frozenset(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(rows)))
            if f"| [`{title}`](#" in self.read("docs/cli.md"):
                found[title] = options
            else:
                found[""] = found.get("", frozenset()) | options
        return found

    @cached_property
    def takes_value(self) -> frozenset[str]:
        """The options of ``coordination`` behind which a value stands."""
        return frozenset(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*) [^ `/]", self.read("docs/cli.md")))

    @cached_property
    def options(self) -> frozenset[str]:
        """Every option of a command of ours, and those of other programs that stand in code."""
        ours = frozenset().union(*self.options_of.values())
        return ours | {
            option for text in self.code.values() for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
        }

    @cached_property
    def variables(self) -> frozenset[str]:
        """The environment variables that stand for settings and options of ``coordination``."""
        return frozenset(re.findall(r"^\| `(COORDINATION_[A-Z_]+)` \|", self.read("docs/cli.md"), re.MULTILINE))

    @cached_property
    def targets(self) -> dict[str, str]:
        """The targets of the Makefile that ``make help`` lists, with what it says of them."""
        return dict(re.findall(r"^([a-z-]+):.*?## (.*)$", self.code["Makefile"], re.MULTILINE))

    @cached_property
    def metrics(self) -> frozenset[str]:
        """The names of metrics and recording rules."""
        named = re.compile(r"\bcoordination[_:][a-z0-9_:]+")
        found = {
            name for file, text in self.code.items() if not file.startswith("tests/") for name in named.findall(text)
        }
        # Gauges are named without the prefix, each with its help behind it.
        gauges = re.compile(r'"([a-z_]+)",\s*f?"[A-Z]')
        readings = [text for file, text in self.code.items() if file.startswith("coordinator/")]
        return frozenset(found | {f"coordination_{name}" for text in readings for name in gauges.findall(text)})

    @cached_property
    def decisions(self) -> dict[int, str]:
        """The files in docs/adr by their numbers."""
        found = (re.match(r"docs/adr/(\d{4})-", name) for name in self.files)
        return {int(match[1]): match.string for match in found if match}

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """What an operation of the engine may yield."""
        found = re.search(r"^Step = (\([^)]*\)|.*)$", self.read("coordinator/engine/steps.py"), re.MULTILINE)
        return tuple(found[1].split(" | ")) if found else ()

    @cached_property
    def tries(self) -> int:
        """How many times an operation of the engine tries a transaction."""
        found = re.search(r"^MAX_TRIES = (\d+)$", "\n".join(self.code.values()), re.MULTILINE)
        return int(found[1]) if found else 0

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods of the gRPC service."""
        return tuple(re.findall(r"^  rpc (\w+)\(", self.read("proto/coordinator/v1/service.proto"), re.MULTILINE))

    @cached_property
    def mcp_tools(self) -> tuple[str, ...]:
        """The tools that agents are offered."""
        return tuple(re.findall(r"^        Tool\(\n\s+\"(\w+)\"", self.read("coordinator/mcp/tools.py"), re.MULTILINE))

    @cached_property
    def alerts(self) -> tuple[str, ...]:
        """The alerts of Prometheus' rules."""
        rules = [text for file, text in self.code.items() if file.startswith("deploy/prometheus/")]
        return tuple(name for text in rules for name in re.findall(r"^\s*- alert: (\w+)", text, re.MULTILINE))

    @cached_property
    def exit_codes(self) -> tuple[str, ...]:
        """The exit codes of ``coordination``."""
        return tuple(re.findall(r"^\| (\d+) \| ", self.read("docs/cli.md"), re.MULTILINE))

    @cached_property
    def mutants(self) -> tuple[str, ...]:
        """The guards that ``make mutants`` takes away."""
        return tuple(re.findall(r"^\[([\w-]+)\]$", self.read("tests/mutants/mutants.toml"), re.MULTILINE))

    @cached_property
    def campaigns(self) -> tuple[str, ...]:
        """The targets that run a campaign."""
        return tuple(name for name in self.targets if name.startswith("campaign-"))

    @cached_property
    def packages(self) -> frozenset[str]:
        """The packages that lie directly in ``coordinator/``."""
        found = (PurePosixPath(name).parts for name in self.files)
        return frozenset(
            parts[1] for parts in found if parts[0] == "coordinator" and len(parts) == 3 and parts[-1] == "__init__.py"
        )

    def modules_in(self, package: str) -> int:
        """Return how many modules a package of ``coordinator`` has, those of its sub-packages included."""
        below = f"coordinator/{package}/"
        return sum(name.startswith(below) and name.endswith(".py") for name in self.files if "__init__" not in name)

    def has_name(self, dotted: str) -> bool:
        """Return whether ``coordinator.a.b.Name`` is a package, a module, or a word in one."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            base = "/".join(parts[:length])
            module = next((file for file in (f"{base}.py", f"{base}/__init__.py") if file in self.files), None)
            if module:
                return length == len(parts) or bool(re.search(rf"\b{parts[length]}\b", self.read(module)))
        return False

    def has_test(self, named: str) -> bool:
        """Return whether a test exists, by its node id without parameters; a class of tests counts as one."""
        path, *names = named.split("::")
        return path in self.files and tuple(names) in self._tests_of(path)

    @cache  # noqa: B019  # there is one for as long as the process runs
    def _tests_of(self, path: str) -> frozenset[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        owner = ""
        for match in _TESTS.finditer(self.read(path)):
            if match["owner"]:
                owner = match["owner"]
                found.add((owner,))
            else:
                found.add((owner, match["test"]) if match["indent"] else (match["test"],))
        return frozenset(found)
