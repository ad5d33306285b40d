"""scripts/check_docs.py: a page that names what is not there is found out; ``make lint`` runs it over all pages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import architecture_docs  # noqa: E402  # scripts is no package
import check_docs  # noqa: E402
from documented_facts import Facts  # noqa: E402
from pages import Page  # noqa: E402

FACTS = Facts(ROOT)

WRONG = {
    "a command": [
        "`coordination work-grab KEY`",
        "`work-grab`",
        "    coordination frobnicate --json",
        "the work-grab verb",
    ],
    "a command of a group": ["`coordination config show-all`", "```console\n$ coordination config set\n```"],
    "an option of a command": ["`coordination up --frobnicate`", "`work-claim --reason TEXT`", "`--frobnicate`"],
    "an option after its value": ["`coordination --endpoint HOST:1 work-show --ttl 5`"],
    "a variable": [
        "Set COORDINATION_FROB to 1.",
        "`COORDINATION_ENDPOINTS`",
        "    COORDINATION_FROB=1 coordination status",
    ],
    "a target": ["`make frobnicate`", "run `make test FROBS=`", "    $ make campaign-nothing", "`X=$(make etcds)`"],
    "a metric": ["`coordination_frobs_total`", "coordination_claims", "`rate(coordination_claim_total[5m])`"],
    "a rule": ["`coordination:frobs:sum`", "`coordination_kind:frob:ratio_rate5m`"],
    "a file": ["`coordinator/frob.py`", "`engine/frob.py`", "in tests/unit/test_frob.py there is", "`frob.toml`"],
    "a file that has moved": ["`coordinator/store/steps.py`", "`engine/keys.py`"],
    "a directory": ["`coordinator/frobs/`", "`frobs/`"],
    "a module": ["`coordinator.frob`", "`engine.frob.claim(command)`", "`coordinator.errors.Frobbed`"],
    "an import": ["```python\nfrom coordinator.frob import Frob\n```", "```python\nfrom coordinator import Frob\n```"],
    "a class": ["`FrobnicateCommand`", "`AsyncClientOfMine`", "`TxnAnswer(3)`"],
    "a test": ["`tests/unit/test_keys.py::test_frob`", "tests/unit/test_frob.py::test_it"],
    "a test of a class": ["`tests/cluster/test_guards.py::TestReap::test_frob`"],
    "a decision": ["see ADR 99", "[ADR 7](adr/0009-lost-replies.md)"],
    "a link": ["[x](frob.md)", "[x](../coordinator/frob.py)", "[x](security.md#frob)", "[x](#frob)"],
    "a count": ["There are five such steps.", "its three make targets", "two tries in all", "There are 3\nsuch steps."],
    "a count of modules": [
        "nine engine modules",
        "the 400 modules of the client",
        "The store has twenty modules.",
        "`reaper` has three modules",
    ],
    "a count of what can be asked": [
        "the API has thirteen calls",
        "its 7 gRPC methods",
        "Nineteen RPCs",
        "seven MCP tools",
    ],
    "a count of what is checked": [
        "fourteen mutants",
        "seventeen alerts fire",
        "there are 9 exit codes",
        "two campaigns",
    ],
}
RIGHT = [
    "`coordination work-claim session-7f8b KEY --ttl 60`",
    "`coordination --endpoint HOST:1 status --json`",
    "`up --detach`, `work-*`, `doctor --etcd`",
    "`COORDINATION_ENDPOINT`, `COORDINATION_`, COORDINATION_MAX_CALLS",
    "`make test PARALLEL=`, `make help`, and make sure of it",
    "`coordination_claims_total`, `rate(coordination_rpc_seconds_bucket[5m])`, `coordination_kind:…`",
    "`coordinator/errors.py`, `engine/steps.py`, `coordinator/v1/*`, `engine/`, `~/.config/frob.toml`",
    "`history/<K>/<attempt>`, `loose/`, `/etc/frob.json`",
    "`etcdctl get --frob`, `docker compose up --frob`",
    "`coordinator.errors`, `coordinator.errors.NotHolder`, `engine.steps`",
    "```python\nfrom coordinator import Client\n```",
    "[ADR 7](adr/0007-group-commit.md), ADR 12, [x](security.md), [x](https://frob.example/frob.md)",
    f"There are {len(FACTS.steps)} such steps. Two targets were missed.",
    f"The engine has {FACTS.modules_in('engine')} modules, and the service {len(FACTS.methods)} gRPC methods.",
    "Two alerts of these fire at once; 64 calls at a time; the tools of two agents; both exit codes",
]


def _problems(text: str, name: str = "docs/planted.md") -> list[str]:
    return check_docs.problems(Page(name, text), FACTS)


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{what}-{number}") for what in WRONG for number, text in enumerate(WRONG[what])]
)
def test_a_wrong_name_is_found_with_its_line(text: str) -> None:
    found = _problems(f"# Planted\n\nWords before it.\n\n{text}\n")
    assert found
    lines = {int(problem.split(":")[1]) for problem in found}
    assert lines <= set(range(5, 6 + text.count("\n")))
    assert all(problem.startswith("docs/planted.md:") for problem in found)


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_there_or_is_not_ours_passes(text: str) -> None:
    assert _problems(text) == []


def test_a_name_that_is_planted_in_any_page_is_found() -> None:
    for name in check_docs.pages(FACTS):
        text = FACTS.read(name)
        assert check_docs.problems(Page(name, text), FACTS) == []
        before = text.count("\n")
        planted = f"{text}\n\nSee `coordinator/frob.py`, `make frob` and `coordination frob`.\n"
        found = check_docs.problems(Page(name, planted), FACTS)
        assert [problem.split(":")[:2] for problem in found] == [[name, str(before + 3)]] * 3


def test_the_contributing_page_lists_every_target() -> None:
    text = FACTS.read("CONTRIBUTING.md")
    without = "\n".join(line for line in text.split("\n") if "`make setup`" not in line)
    assert check_docs.problems(Page("CONTRIBUTING.md", without), FACTS) == [
        "CONTRIBUTING.md:1: `make setup` is missing from the table of targets"
    ]


def test_the_tables_of_modules_and_steps_are_those_of_the_code() -> None:
    page = FACTS.read("docs/architecture.md")
    assert architecture_docs.page(page) == page
    changed = page.replace("| `Txn`: run", "| `Txm`: run").replace("There are", "There were")
    assert changed != page
    assert architecture_docs.page(changed) == page
