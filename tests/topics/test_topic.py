"""A topic has what tells which work a title names, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from coordinator.engine.topics import BUILT_IN, read_topic

SAME = [
    ("case, dashes and spaces", "Fix the flaky CI on main", "fix_the-flaky  CI on MAIN!"),
    ("order", "flaky login test", "login test, flaky"),
    ("inflection", "Migrating the sessions", "migrate session"),
    ("stop words", "How to write a parser for TOML", "Write parser for the TOML"),
    ("accents", "Na\u00efve caf\u00e9 r\u00e9sum\u00e9", "naive cafe resume"),
    ("wide letters", "\uff26\uff49\uff58 login", "fix login"),
    ("British spelling", "Optimise colour handling, cancelled jobs", "Optimize color handling, canceled jobs"),
    (
        "abbreviations of words",
        "k8s db auth docs for the repo",
        "Kubernetes database authentication documentation repository",
    ),
    ("abbreviations of phrases", "CI/CD: e2e tests", "continuous integration / CD end-to-end tests"),
    ("written as two words", "sign-in time out", "login timeout"),
    ("numbers as words", "two retries in phase II", "2 retries, phase 2"),
    ("versions", "Upgrade to Node.js v20", "nodejs 20 upgrade"),
    ("thousands", "10,000 claims", "10k claims"),
    ("units", "timeout of 30s", "30 seconds timeout"),
    ("digits of other scripts", "phase \u0663", "phase 3"),
    ("arrows", "csv2json", "CSV -> JSON"),
    ("the order of a stated direction", "move sessions from redis to postgres", "move sessions to postgres from redis"),
    ("how a direction is said", "JSON from CSV", "CSV to JSON"),
    ("a goal that is a number", "k8s upgrade to v1.29", "upgrade to kubernetes 1.29"),
]
DIFFERENT = [
    ("numbers", "phase 1 of the migration", "phase 2 of the migration"),
    ("versions", "upgrade to v1.2", "upgrade to v1.20"),
    ("versions and numbers", "upgrade to v1.2", "upgrade to v12"),
    ("a number", "retry uploads", "retry uploads 3"),
    ("directions", "csv to json", "json to csv"),
    ("stated directions", "migrate from redis to postgres", "migrate to redis from postgres"),
    ("replacements", "replace moment with dayjs", "replace dayjs with moment"),
    ("negation", "deploy with downtime", "deploy without downtime"),
    ("signs that mean something", "C++ memory model", "C# memory model"),
]


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in SAME], ids=[pair[0] for pair in SAME])
def test_what_does_not_tell_which_work_it_is_leaves_no_trace(one: str, other: str) -> None:
    assert read_topic(one).words == read_topic(other).words
    assert read_topic(one).numbers == read_topic(other).numbers
    assert read_topic(one).signature == read_topic(other).signature


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in DIFFERENT], ids=[pair[0] for pair in DIFFERENT])
def test_what_tells_them_apart_is_in_the_signature(one: str, other: str) -> None:
    assert read_topic(one).signature != read_topic(other).signature


def test_operators_extend_the_abbreviations() -> None:
    own = BUILT_IN.extended({"ACME": "checkout", "bff": "backend for frontend"})

    assert read_topic("ACME db", own).words == read_topic("checkout database").words
    assert read_topic("backend for frontend docs", own).words == read_topic("bff docs", own).words
    assert read_topic("ACME", {"acme": "checkout"}) == read_topic("checkout")


def test_signatures_are_the_same_in_every_process() -> None:
    title = "Migrate k8s sessions from Redis 6.2 to Postgres 16, phase II"
    code = f"from coordinator.engine.topics import read_topic; print(read_topic({title!r}).signature)"

    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    assert other == read_topic(title).signature


@pytest.mark.parametrize("title", ["", "!!!", "how to do it", "\ud800", "\u0301", "v", "#", "\u200b"])
def test_a_title_of_which_nothing_is_left_still_has_words(title: str) -> None:
    assert read_topic(title).words
