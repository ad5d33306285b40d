"""Links: a text and the address behind it, as Markdown, chats, HTML and other notations write them.

``[acme/web#7](https://…)``, ``<https://…|acme/web#7>`` (chats), ``[[https://…][acme/web#7]]``, ``<a href="…">…</a>``,
```` `acme/web#7 <https://…>`_ ````, ``[acme/web#7]: https://…``, ``[acme/web#7|https://…]`` (Jira).
"""

from __future__ import annotations

import re

__all__ = ["read_link"]

_TO = r"<?([a-z][a-z0-9+.-]*://[^\s<>|\]]+?)>?"
_TEXT_FIRST = re.compile(
    rf"!?\[([^\[\]]*)\]\(\s*{_TO}(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)|\[([^\[\]]*)\]: ?{_TO}(?:\s+\"[^\"]*\")?"
    rf"|\[([^\[\]|]*)\|{_TO}\]|`([^<>`]*) <{_TO}>`_*",
    re.IGNORECASE | re.ASCII,
)
_ADDRESS_FIRST = re.compile(
    rf"<{_TO}\|([^<>|]*)>|\[\[{_TO}\]\[([^\[\]]*)\]\]|<a\s[^<>]*?href=[\"']?{_TO}[\"']?(?:\s[^<>]*)?>([^<>]*)</a>",
    re.IGNORECASE | re.ASCII,
)


def read_link(text: str) -> tuple[str, str] | None:
    """Return the text and the address of what is a link and nothing else, maybe a text of ""; None for all else."""
    text = text.strip(" .,;:")
    if "://" not in text or not text.startswith(("[", "<", "!", "`")):
        return None
    found = _TEXT_FIRST.fullmatch(text)
    if found is not None:
        shown, address = (part for part in found.groups() if part is not None)
        return shown.strip(), address
    found = _ADDRESS_FIRST.fullmatch(text)
    if found is not None:
        address, shown = (part for part in found.groups() if part is not None)
        return shown.strip(), address
    return None
