"""Make the tables of docs/architecture.md from the code: ``python scripts/architecture_docs.py [--check]``.

Between ``<!-- modules: PACKAGE -->`` and ``<!-- end -->`` stand the modules of a package and of those in it, each with
the first paragraph of its docstring; of ``coordinator`` itself, its modules and packages. Between ``<!-- steps -->``
and ``<!-- end -->`` stand the steps of an operation, from the docstring of the engine's ``steps.py``. With ``--check``
nothing is written, and the exit code is 1 if the page is not what the code makes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from documented_facts import NUMBERS
from generated_files import write_or_check

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/architecture.md"
#: Generated, and described where the page speaks of them.
_GENERATED = {"v1", "etcdapi"}
_BLOCK = re.compile(r"(<!-- (modules: (?P<package>[\w/]+)|steps) -->\n).*?(<!-- end -->)", re.DOTALL)
_STEP = re.compile(r"^- ``(\w+)``: (.+?); answered by (.+?)[;.]$", re.MULTILINE | re.DOTALL)


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{_made(block['package'])}\n{block[4]}", text)


def _made(package: str | None) -> str:
    if package is None:
        return _steps()
    top = ROOT / package if package == "coordinator" else ROOT / "coordinator" / package
    rows = [f"| `{name}` | {_cell(_about(path))} |" for name, path in _modules(top, deep=package != "coordinator")]
    return "\n".join(["| module | what it is |", "|---|---|", *rows]) + "\n"


def _modules(top: Path, *, deep: bool) -> Iterator[tuple[str, Path]]:
    """Yield the modules of a package and then its packages, each followed by its own modules if ``deep``."""
    for path in sorted(top.glob("*.py")):
        if path.stem != "__init__":
            yield path.name, path
    for path in sorted(top.glob("*/__init__.py")):
        name = path.parent.name
        if name not in _GENERATED:
            yield f"{name}/", path
            inside = _modules(path.parent, deep=True) if deep else ()
            yield from ((f"{name}/{module}", file) for module, file in inside)


def _about(path: Path) -> str:
    """Return the first paragraph of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path.relative_to(ROOT)} has no docstring")
    return " ".join(text.partition("\n\n")[0].split())


def _steps() -> str:
    """Return the table of steps; every one in ``Step`` must be in the list of the module's docstring."""
    tree = ast.parse((ROOT / "coordinator/engine/steps.py").read_text(encoding="utf-8"))
    named = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "Step"
    )
    steps = ast.unparse(named).split(" | ")
    described = {
        name: (" ".join(what.split()), " ".join(answer.split()))
        for name, what, answer in _STEP.findall(ast.get_docstring(tree) or "")
    }
    if steps != [*described]:
        raise SystemExit(
            "the docstring of engine/steps.py does not list the steps in the order in which Step names them"
        )
    rows = [f"| `{name}`: {_cell(what)} | {_cell(answer)} |" for name, (what, answer) in described.items()]
    return (
        "\n".join([f"There are {NUMBERS[len(steps)]} such steps:\n", "| step | answered by |", "|---|---|", *rows])
        + "\n"
    )


def _cell(text: str) -> str:
    """Return text of a docstring as the cell of a table: with links to the decisions that it names."""
    text = text.removesuffix(".").replace("``", "`").replace("|", "\\|")
    return re.sub(r"\bADR (\d+)", _link, text)


def _link(found: re.Match[str]) -> str:
    file = next((ROOT / "docs/adr").glob(f"{int(found[1]):04}-*.md"), None)
    return f"[{found[0]}](adr/{file.name})" if file else found[0]


if __name__ == "__main__":
    sys.exit(write_or_check({PAGE: page(PAGE.read_text(encoding="utf-8"))}, source="the code", target="docs"))
