"""Makes one file of the board's page, style, script and what a fleet was at one moment.

Invariants:
- The file asks for nothing, and nothing runs in it but the board's script: its policy (CSP) names the script and the
  style by their hashes, and forbids all else.
- No text of a session can end the element that holds it: ``<``, ``>`` and ``&`` are escaped, and so is all that is not
  ASCII. The script shows texts as text nodes only.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

__all__ = ["build_page"]

_STYLE_LINK = '<link rel="stylesheet" href="board.css">'
_SCRIPT_LINK = '<script src="board.js" defer></script>'
_HEAD, _END = '<meta charset="utf-8">\n', "</body>\n</html>"


def build_page(snapshot: dict[str, Any]) -> str:
    """Return the page with ``snapshot``, which the script finds in an element of that name."""
    page, style, script = (_read(name) for name in ("board.html", "board.css", "board.js"))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    page = _exchange(page, _HEAD, f'{_HEAD}<meta http-equiv="Content-Security-Policy" content="{policy}">\n')
    page = _exchange(page, f"{_SCRIPT_LINK}\n", "")
    page = _exchange(page, _STYLE_LINK, f"<style>{style}</style>")
    # Last, so that nothing is looked for in texts of sessions.
    held = f'<script type="application/json" id="snapshot">{_escaped(snapshot)}</script>\n'
    return _exchange(page, _END, f"{held}<script>{script}</script>\n{_END}")


def _read(name: str) -> str:
    return resources.files("coordinator.web").joinpath("board", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _exchange(page: str, old: str, new: str) -> str:
    before, _, after = page.partition(old)
    return f"{before}{new}{after}"


def _escaped(snapshot: dict[str, Any]) -> str:
    text = json.dumps(snapshot, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
