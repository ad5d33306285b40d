"""Whatever stands in an agent's settings: removing what was installed leaves every byte as it was.

The texts are those of people: any indentation and ends of lines, comments, commas behind the last member, names that
occur twice, hooks and servers of others. What is no such text is not touched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.agents.json_text import NotJson, parse
from coordinator.agents.marked_section import Marks
from coordinator.agents.pieces import CannotEdit, JsonPiece, Piece
from coordinator.agents.places import Places
from coordinator.agents.registry import AGENTS, load_agent
from coordinator.agents.text_pieces import Section
from tests.examples import examples

#: Names at which something is installed, beside others.
NAMES = st.sampled_from(
    [
        "hooks",
        "mcpServers",
        "SessionStart",
        "Stop",
        "sessionStart",
        "AfterTool",
        "coordination",
        "version",
        "a",
        "é",
        "",
    ]
)
FOREIGN = st.sampled_from(
    [
        {"hooks": [{"type": "command", "command": "echo hook"}]},
        {"matcher": "Bash", "hooks": []},
        {"command": "my coordination", "timeout": 3},
        {"command": "npx", "args": ["coordination", "mcp"]},
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | FOREIGN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
#: Settings in which there is a place for everything, as agents take them.
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "a": VALUES,
        "hooks": st.dictionaries(
            st.sampled_from(["SessionStart", "Stop", "sessionStart", "AfterTool", "Other"]),
            st.lists(FOREIGN, max_size=2),
        ),
        "mcpServers": st.dictionaries(st.sampled_from(["other", "coordination"]), FOREIGN, max_size=2),
        "version": st.just(1),
    },
)
#: Where what is empty, or is not there, could be taken for one another.
EDGES = [
    *("", "\n", " \n", "\ufeff", "{}", "{ }", "{}\n", "{\n}\n", '{"version": 1}', '{\n  "version": 1\n}\n'),
    *(
        f"{{{before}{between}{empty}{end}"
        for before in ("", '"a": 1, ', '"a":1,', '\n  "a": 1,\n  ')
        for between, end in (("", "}"), ("", "\n}\n"))
        for empty in (
            *('"hooks": {}', '"hooks":{}', '"hooks": { }', '"mcpServers": {}', '"mcpServers":{}'),
            *('"hooks": {"SessionStart": []}', '"hooks": {"sessionStart": [ ]}', '"hooks": {"AfterTool":[]}'),
            *('"hooks": {\n    "SessionStart": []\n  }', '"hooks": {}, "mcpServers": {}'),
        )
    ),
]
SPACE = st.sampled_from(["", "", " ", "\n", "\n  ", "\n\t", "\r\n    ", "  // note\n", " /* , } */ ", "\n\n"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A file of settings, in some style or in none."""
    value = draw(SETTINGS | VALUES)
    style = draw(st.sampled_from(["free", "pretty", "plain"]))
    if style == "free":
        text = _free(draw, value)
    else:
        indent = draw(st.sampled_from([None, 2, 4, "\t", 0])) if style == "pretty" else None
        text = json.dumps(value, indent=indent, ensure_ascii=draw(st.booleans()))
    text = (
        draw(st.sampled_from(["", "\n", " // first\n"])) + text + draw(st.sampled_from(["", "\n", "\n\n", " ", "\t\n"]))
    )
    text = text.replace("\n", "\r\n") if draw(st.integers(0, 4)) == 0 else text
    return draw(st.sampled_from(["", "", "", "\ufeff"])) + text


def _free(draw: st.DrawFn, value: Any) -> str:
    """Write a value with any white space and comments, with members twice, and with commas behind the last."""
    if not isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, list):
        parts, ends = [_free(draw, item) for item in value], "[]"
    else:
        members = [*value.items(), *([next(iter(value.items()))] if value and draw(st.integers(0, 5)) == 0 else [])]
        parts = [f"{json.dumps(name)}{draw(SPACE)}:{draw(SPACE)}{_free(draw, item)}" for name, item in members]
        ends = "{}"
    inside = ",".join(f"{draw(SPACE)}{part}{draw(SPACE)}" for part in parts) if parts else draw(SPACE)
    comma = "," if parts and draw(st.integers(0, 5)) == 0 else ""
    return f"{ends[0]}{inside}{comma}{draw(SPACE)}{ends[1]}"


def _pieces(guard: list[str] | None = None) -> dict[str, Piece]:
    places = Places(Path("/root-of-the-project"), user=False)
    return {
        f"{agent} {piece.path.name}": piece
        for agent in AGENTS
        for piece in load_agent(agent).pieces(places, guard or [])
        if not piece.path.name.endswith((".mdc", "SKILL.md"))
    }


PIECES = _pieces()
JSON_PIECES = {name: piece for name, piece in PIECES.items() if isinstance(piece, JsonPiece)}
EDITED = _pieces(["git push*"])


@pytest.mark.parametrize("name", JSON_PIECES)
@settings(max_examples=examples(25))
@given(text=texts() | st.sampled_from(EDGES))
def test_removing_what_was_installed_leaves_every_byte_as_it_was(name: str, text: str) -> None:
    piece = JSON_PIECES[name]
    try:
        installed = piece.install(text)
    except CannotEdit:
        return
    assert piece.install(installed) == installed, "installing twice is installing once"
    if installed != text:
        assert piece.remove(installed) == text
    else:
        assert not piece.is_there(text) or piece.remove(text) != text


@pytest.mark.parametrize("name", JSON_PIECES)
def test_what_is_empty_is_told_from_what_is_not_there(name: str) -> None:
    piece = JSON_PIECES[name]
    installed = {text: piece.install(text) for text in EDGES}
    assert len({*installed.values(), piece.install(None)}) == len({*EDGES}) + 1
    assert {text: piece.remove(after) for text, after in installed.items()} == {text: text for text in EDGES}
    assert piece.remove(piece.install(None)) is None


@pytest.mark.parametrize("name", JSON_PIECES)
@settings(max_examples=examples(25))
@given(text=texts())
def test_another_version_is_replaced_and_can_be_removed(name: str, text: str) -> None:
    piece, other = JSON_PIECES[name], EDITED[name]
    try:
        installed = other.install(piece.install(text))
    except CannotEdit:
        return
    assert installed == other.install(text)
    assert piece.install(installed) == piece.install(text)


@pytest.mark.parametrize("name", JSON_PIECES)
@settings(max_examples=examples(25))
@given(text=texts(), indent=st.sampled_from([None, 2, 4, "\t"]))
def test_what_others_have_written_again_is_removed_and_nothing_else(
    name: str, text: str, indent: int | str | None
) -> None:
    piece = JSON_PIECES[name]
    try:
        installed = piece.install(text)
    except CannotEdit:
        return
    again = json.dumps({"before": 1, **parse(installed).value, "behind": [2]}, indent=indent)
    removed = piece.remove(again)
    assert removed is not None
    assert not piece.is_there(removed)
    kept = parse(removed).value
    before = {"before": 1, **(parse(text).value if text.strip("\ufeff \t\r\n") else {}), "behind": [2]}
    assert _without_empty(kept) == _without_empty(before)


def _without_empty(value: Any) -> Any:
    """Leave out what may have been empty before, or become so."""
    hooks = value.get("hooks")
    if isinstance(hooks, dict):
        hooks = {event: groups for event, groups in hooks.items() if groups != []}
    kept = {**value, "hooks": hooks}
    return {name: each for name, each in kept.items() if not (name in ("hooks", "mcpServers") and not each)}


@pytest.mark.parametrize("name", JSON_PIECES)
@settings(max_examples=examples(25))
@given(noise=st.binary(max_size=40) | st.text(alphabet='{}[]",:/* \n\\ut1e-.', max_size=40).map(str.encode))
def test_what_is_no_json_is_not_touched(name: str, noise: bytes) -> None:
    piece, text = JSON_PIECES[name], noise.decode("utf-8", "replace")
    try:
        parse(text)
    except NotJson:
        if text.strip("\ufeff \t\r\n"):
            with pytest.raises(CannotEdit):
                piece.install(text)
        return
    try:
        assert piece.remove(piece.install(text)) == text
    except CannotEdit:
        return


LINES = st.lists(st.sampled_from(["", "[a]", "b = 1", "# note", "  c = 'x'", "text"]), max_size=5)


@settings(max_examples=examples(25))
@given(lines=LINES, newline=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), bom=st.booleans())
def test_a_section_leaves_every_byte_as_it_was(lines: list[str], newline: str, last: bool, bom: bool) -> None:
    text = ("\ufeff" if bom else "") + newline.join(lines) + (newline if last else "")
    section = Section(Path("x"), Marks("# begin", "# end"), "one\ntwo\n")
    installed = section.install(text)
    assert section.install(installed) == installed
    assert section.remove(installed) == text
    assert section.remove(f"{installed}{newline}more{newline}") is not None
    assert "# begin" not in str(section.remove(f"{installed}{newline}more{newline}"))
