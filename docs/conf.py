"""How Sphinx makes the site from these pages: ``make site``.

The pages are plain Markdown that reads well without Sphinx, too. What only the site needs is added here.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pygments.lexers.special import TextLexer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_PAGES = Path(__file__).resolve().parent
_ROOT = _PAGES.parent

project = "coordinator"
release = version = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("version", "")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["conf.py"]

html_theme = "furo"
html_title = "coordinator"
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["images"]

myst_heading_anchors = 4
# The order of the source is the order in which things are used.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

#: A link upwards: its text, its file, and where in that.
_UPWARDS = re.compile(r"\[([^\]]*)\]\((\.\./[^)#]*)[^)]*\)")


def _fit_into_the_site(app: Sphinx, page: str, source: list[str]) -> None:  # noqa: ARG001  # Sphinx's
    """Name the files of the repository that pages link to, which the site does not hold; list the decisions."""

    def fitted(link: re.Match[str]) -> str:
        file = (_PAGES / page).parent.joinpath(link[2]).resolve()
        return link[0] if file.is_relative_to(_PAGES) else f"{link[1]} (`{file.relative_to(_ROOT)}`)"

    source[0] = _UPWARDS.sub(fitted, source[0])
    if page == "adr/README":
        source[0] += "\n```{toctree}\n:glob:\n:hidden:\n\n[0-9]*\n```\n"


def setup(app: Sphinx) -> None:
    """Add what Sphinx does not know."""
    app.connect("source-read", _fit_into_the_site)
    # GitHub draws these; here they are read.
    app.add_lexer("mermaid", TextLexer)
