"""Whether two pieces of work ever have one key: ``python -m tests.campaigns.keys [--works N] [--seed N]``, two minutes.

Pieces of work of ten sites are made up, close to one another: the same paths and numbers at several hosts, as an issue
and as a pull request. Each is written in all its ways, and so are titles that differ in one sign, and the rows of the
table of docs/keys.md that are none of these. Prints how many keys were made, and every key of two pieces of work; exits
1 if there is one, or if one piece of work has two keys.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Hashable, Iterator

from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules
from tests import spellings as table
from tests.references import HOSTS, SITES, random_work, spellings

#: Titles, and what is put into them: words that differ in one sign, or in one letter.
_TITLES = ("{} memory", "ship {}", "port to {}", "{}")
_WORDS = (
    *("C", "C++", "C#", "v1.2", "v12", "v1", "node.js", "nodejs", "50%", "50", "5.0", "$50", "R&D", "RD"),
    *("a/b", "a-b/c", "x<3", "x>3", "x=3", ".env", "env"),
)


def main() -> int:
    """Make up work, and compare keys."""
    options = argparse.ArgumentParser(prog="tests.campaigns.keys", description=__doc__)
    options.add_argument("--works", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    keys: dict[str, tuple[Hashable, str]] = {}
    keys_of: dict[Hashable, set[str]] = {}
    count = problems = 0
    for work, rules, spelling in itertools.chain(_made_up(chosen.works, chosen.seed), _of_table(), _titles()):
        count += 1
        try:
            key = str(rules.parse(spelling))
        except InvalidInput as error:
            print(f"{spelling!r} is refused: {error.message}")
            problems += 1
            continue
        other, before = keys.setdefault(key, (work, spelling))
        if other != work:
            print(f"{key} is two: {before!r} of {other}, and {spelling!r} of {work}")
            problems += 1
        keys_of.setdefault(work, set()).add(key)
    for work, found in keys_of.items():
        if len(found) > 1:
            print(f"{work} has {len(found)} keys: {sorted(found)}")
            problems += 1
    print(f"{count} spellings of {len(keys_of)} pieces of work: {len(keys)} keys, {problems} problems")
    return int(problems > 0)


def _made_up(works: int, seed: int) -> Iterator[tuple[Hashable, KeyRules, str]]:
    chance, rules = random.Random(seed), KeyRules(hosts=HOSTS)
    for number in range(works):
        work = random_work(chance, SITES[number % len(SITES)])
        yield from ((work, rules, spelling) for spelling in spellings(chance, work))


def _of_table() -> Iterator[tuple[Hashable, KeyRules, str]]:
    """Yield the rows of the table, in a fleet of their own: its hosts are others."""
    rules = KeyRules(hosts=table.HOSTS)
    for work in table.TABLE:
        # Some of them may be made up as well: then they are the same work by their key.
        yield from ((f"table {work.key}", rules, f"{spelling}") for spelling in work.spellings if _is_title(work.key))


def _is_title(key: str) -> bool:
    return key.startswith(("task:", "blog:", "deploy:", "url:"))


def _titles() -> Iterator[tuple[Hashable, KeyRules, str]]:
    for title, word in itertools.product(_TITLES, _WORDS):
        named, rules = title.format(word), KeyRules()
        forms = (named, named.upper(), f"\u201c{named}.\u201d", named.replace(" ", "_"))
        yield from ((("title", named), rules, f"task:{form}") for form in forms)


if __name__ == "__main__":
    sys.exit(main())
