"""The table of spellings, ``spellings.toml``, of which docs/keys.md is made."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

from coordinator.work_urls import Hosts

__all__ = ["HOSTS", "TABLE", "Work"]


class Work(NamedTuple):
    """A piece of work; ``what`` is "" where the one before it in the table says."""

    what: str
    key: str
    spellings: tuple[str, ...]


_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
HOSTS = Hosts(**{site: tuple(hosts) for site, hosts in _DATA["hosts"].items()})
TABLE = tuple(Work(each["what"], each["key"], tuple(each["spellings"])) for each in _DATA["work"])
