"""The same work has the same key, and other work another: by references that are made up by the sites' own rules."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.keys import KeyRules
from tests.examples import examples
from tests.references import HOSTS, SITES, Work, neighbours, random_work, spell, spellings

RULES = KeyRules(hosts=HOSTS)
thorough = settings(max_examples=examples(100), deadline=None)
randoms = st.randoms(use_true_random=False)


def key(text: str) -> str:
    return str(RULES.parse(text))


@pytest.mark.parametrize("site", SITES)
@given(randoms)
@thorough
def test_6_all_spellings_of_one_piece_of_work_are_one_key(site: str, random: random.Random) -> None:
    work = random_work(random, site)
    keys = {spelling: key(spelling) for spelling in spellings(random, work)}
    assert len(set(keys.values())) == 1, keys
    canonical = keys.popitem()[1]
    assert key(canonical) == canonical


@pytest.mark.parametrize("site", SITES)
@given(randoms)
@thorough
def test_work_that_differs_in_one_thing_has_another_key(site: str, random: random.Random) -> None:
    work = random_work(random, site)
    wanted = key(spell(random, work))
    for other in neighbours(random, work):
        spelling = spell(random, other)
        assert key(spelling) != wanted, (spelling, work)


def test_6_five_hundred_pairs_of_all_sites_have_the_same_key_where_they_are_the_same_work() -> None:
    chance = random.Random(15)
    same = 0
    for number in range(500):
        first = random_work(chance, SITES[number % len(SITES)])
        others = [first, *neighbours(chance, first), random_work(chance, chance.choice(SITES))]
        second: Work = chance.choice(others)
        one, another = spell(chance, first), spell(chance, second)
        assert (key(one) == key(another)) == (first == second), (one, another)
        same += first == second
    assert 50 < same < 450
