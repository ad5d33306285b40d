"""``coordination board``: the file has what is held, loads nothing, and no text of a session ends its element."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import Coordination

HOSTILE = "</script><script>alert(1)</script><!--<script> & ]]> \u2028 \u202e <img src=x onerror=alert(1)>"
#: Elements that have no end.
_VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """What a page has: its elements with their texts, those that are open at the end, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self.links: list[str | None] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts.append((tag, dict(attrs), ""))
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            tag, attributes, text = self.texts.pop()
            self.texts.append((tag, attributes, text + data))


def test_the_file_has_what_is_held_and_nothing_runs_in_it_but_the_script(
    coordination: Coordination, fleet: str, tmp_path: Path
) -> None:
    key = "task:written down"
    assert coordination("work-claim", "--session", "one", key, "--note", HOSTILE).returncode == 0
    assert coordination("work-claim", "--session", "two", key).returncode == 1
    assert coordination("work-claim", "--session", "two", "task:left").returncode == 0
    assert coordination("work-abandon", "--session", "two", "task:left", "--reason", HOSTILE).returncode == 0
    assert coordination("work-submit", "--session", "two", "task:free").returncode == 0
    assert coordination("work-claim", "--session", "three", "task:last").returncode == 0
    out = tmp_path / "board.html"
    # Denials are of the watch, as far as they come in time: beside load, they may not.
    for _ in range(5):
        done = coordination("board", "--out", str(out), "--json")
        assert done.returncode == 0, done.stderr
        held = next(each for each in Page(out.read_text(encoding="utf-8")).texts if each[0] == "script")
        if json.loads(held[2])["denials"]:
            break
    found = json.loads(done.stdout)
    assert (found["url"], found["file"], found["bytes"]) == (None, str(out), out.stat().st_size)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600

    page = Page(out.read_text(encoding="ascii" if out.read_bytes().isascii() else "utf-8"))
    assert not page.open
    assert {link for link in page.links if not str(link).startswith("#")} == {"data:,"}
    (held, script), (style,) = ([each for each in page.texts if each[0] == name] for name in ("script", "style"))
    assert held[1] == {"type": "application/json", "id": "snapshot"}
    (policy,) = (each[1]["content"] for each in page.texts if each[1].get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.strip().partition(" ")[::2] for part in html.unescape(str(policy)).split(";"))
    assert allowed["default-src"] == "'none'"
    for name, element in (("script-src", script), ("style-src", style)):
        assert allowed[name] == f"'sha256-{base64.b64encode(hashlib.sha256(element[2].encode()).digest()).decode()}'"

    snapshot = json.loads(held[2])
    assert snapshot["fleet"] == fleet
    notes = {record["workKey"]: record.get("note") for record in snapshot["held"]}
    assert notes.keys() == {"task:written-down", "task:last"}
    assert "</script><script>" in str(notes["task:written-down"])
    assert [record["workKey"] for record in snapshot["loose"]] == ["task:left"]
    assert [entry["workKey"] for entry in snapshot["pool"]["entries"]] == ["task:free"]
    assert snapshot["wantedBy"] == [["task:written-down", "1"]]
    assert [(each["who"], each["holder"]) for each in snapshot["denials"]] == [("two", "one")]
    assert {each["event"] for each in snapshot["counted"]} == {"EVENT_GRANTED", "EVENT_DENIED"}


def test_a_file_is_written_whole_or_not_at_all(coordination: Coordination, tmp_path: Path) -> None:
    out = tmp_path / "board.html"
    out.write_text("mine")
    refused = coordination("board", "--out", str(out))
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, f"error: {out} already exists")
    assert out.read_text() == "mine"
    assert coordination("board", "--out", str(out), "--force").returncode == 0
    assert out.read_text().startswith("<!doctype html>")
    directory = coordination("board", "--out", str(tmp_path), "--force")
    assert (directory.returncode, "is no plain file" in directory.stderr) == (2, True)
    # Not even root can write there.
    kernel = coordination("board", "--out", "/proc/self/board.html")
    assert (kernel.returncode, "/proc/self/board.html cannot be written" in kernel.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["board.html"]


def test_standard_output(coordination: Coordination) -> None:
    done = coordination("board", "--out", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.endswith("</html>\n")
    both = coordination("board", "--out", "-", "--json")
    assert (both.returncode, json.loads(both.stdout)["error"]["field"]) == (2, "out")


def test_without_a_coordinator_nothing_is_written(coordination: Coordination, tmp_path: Path) -> None:
    settings = {"COORDINATION_ENDPOINT": "127.0.0.1:1", "COORDINATION_TIMEOUT": "1"}
    done = coordination("board", "--out", str(tmp_path / "board.html"), **settings)
    assert (done.returncode, done.stderr.startswith("error: ")) == (3, True)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("127.0.0.1:7420", "http://127.0.0.1:7421/?fleet={fleet}"),
        ("[::1]:7420", "http://[::1]:7421/?fleet={fleet}"),
        ("127.0.0.1:9", None),
        ("unix:/run/c.sock", None),
    ],
)
def test_where_the_board_is(coordination: Coordination, fleet: str, endpoint: str, url: str | None) -> None:
    done = coordination("board", "--json", COORDINATION_ENDPOINT=endpoint)
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["url"], found["file"], found["bytes"]) == (url and url.format(fleet=fleet), None, None)
