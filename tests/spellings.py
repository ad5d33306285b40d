"""The table of spellings, ``spellings.toml``, of which docs/keys.md is made; and those that were tried beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

from coordinator.work_urls import Hosts

__all__ = ["HOSTS", "TABLE", "TRIED", "Tried", "Work"]


class Work(NamedTuple):
    """A piece of work; ``what`` is "" where the one before it in the table says."""

    what: str
    key: str
    spellings: tuple[str, ...]


_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
HOSTS = Hosts(**{site: tuple(hosts) for site, hosts in _DATA["hosts"].items()})
TABLE = tuple(Work(each["what"], each["key"], tuple(each["spellings"])) for each in _DATA["work"])


class Tried(NamedTuple):
    """Spellings that were tried: the ``same`` have the key, those of ``apart`` one each, ``refused`` have none."""

    number: int
    key: str
    same: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


TRIED = tuple(
    Tried(**each) for each in tomllib.loads(Path(__file__).with_name("spellings_tried.toml").read_text("utf-8"))["work"]
)
