"""Texts of sessions are text on the board, and the page runs nothing but its own script; see also its policy (CSP)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from coordinator import Client
from tests.browser.conftest import Boards
from tests.browser.scenes import HOSTILE, fill_hostile
from tests.conftest import Coordination

#: Kinds of elements that the page itself never has.
STRANGE = "img, iframe, object, embed, svg [onload], body script:not(#snapshot):not(:last-of-type), base, form[action]"
#: Of the page's own text: characters that cannot be seen or that turn the direction.
UNSEEN = ("\x1b", "\x07", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028")


def look_at_all(page: Page, *keys: str) -> None:
    """Look at every part and at the details of each piece of work."""
    expect(page.locator("#held tbody tr")).to_contain_text("<img src=x onerror=alert(1)><script>alert(2)</script>")
    expect(page.locator("#loose")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#failed")).to_contain_text("<img src=x onerror=alert(1)>")
    for key in keys:
        page.locator("button.key", has_text=f"task:hostile-{key}").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("<style>*{display:none}</style>")
        page.keyboard.press("Escape")
    text = page.locator("body").inner_text()
    assert not [each for each in UNSEEN if each in text]
    assert page.locator(STRANGE).count() == 0
    # The style that hides all was text as well.
    assert page.locator("h1").is_visible()


def test_hostile_texts_are_shown_as_texts(boards: Boards, client: Client, fleet: str) -> None:
    fill_hostile(client)
    page = boards.open(f"?fleet={fleet}")
    look_at_all(page, "held", "left", "free", "failed")
    page.goto(f"{boards.url}/?fleet={fleet}&q=%3Cimg%20src=x%20onerror=alert(6)%3E&kind=%22%3E%3Cscript%3E")
    expect(page.locator("#filter")).to_have_value("<img src=x onerror=alert(6)>")
    assert page.locator(STRANGE).count() == 0


def test_hostile_texts_in_a_written_board(
    boards: Boards, client: Client, coordination: Coordination, written: Path
) -> None:
    fill_hostile(client)
    assert coordination("board", "--out", str(written)).returncode == 0
    # A list of the pool has no briefs.
    look_at_all(boards.open(written.as_uri(), url="", live=False), "held", "left", "failed")


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))",
        "document.body.append(Object.assign(document.createElement('script'), {src: 'http://localhost:9/x.js'}))",
        "setTimeout('window.ran = 1')",
        "fetch('http://localhost:9/')",
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://localhost:9/x.png'}))",
        "document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click()",
        "document.body.setAttribute('style', 'display: none')",
    ],
)
def test_the_policy_stops_what_the_script_never_does(boards: Boards, fleet: str, attempt: str) -> None:
    page = boards.open(f"?fleet={fleet}")
    with contextlib.suppress(Error):
        page.evaluate(f"async () => {{ {attempt} }}")
    while not page.evaluate("window.violations.length"):
        page.wait_for_event("console")
    assert page.evaluate("window.ran") is None
    assert page.locator("h1").is_visible()
    # All of this was wanted here.
    page.evaluate("window.violations = []")
    boards.complaints.clear()
    boards.requested.clear()


def test_what_commands_are_given_is_text_everywhere(boards: Boards, coordination: Coordination, fleet: str) -> None:
    """From `work-submit` and `work-claim` to the board, `top`, `status` and the briefing."""
    words = HOSTILE.replace("\x1b[31m", "").replace("\x07", "")
    submit = coordination("work-submit", "--session", "planner", "task:given", "--brief", words)
    assert submit.returncode == 0, submit.stderr
    assert coordination("work-submit", "--session", "planner", "task:left").returncode == 0
    assert coordination("work-claim", "--session", "one", "task:given", "--note", words).returncode == 0
    assert coordination("work-claim", "--session", "two", "task:left").returncode == 0
    assert coordination("work-abandon", "--session", "two", "task:left", "--reason", words).returncode == 0
    for verb in ("top", "status", "briefing"):
        shown = coordination(verb)
        assert shown.returncode == 0
        assert not [each for each in UNSEEN if each in shown.stdout], verb
    page = boards.open(f"?fleet={fleet}")
    for part in ("#held", "#loose"):
        expect(page.locator(part)).to_contain_text("<img src=x onerror=alert(1)><script>alert(2)</script>")
    page.locator("#held button.key").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("<style>*{display:none}</style>")
    assert page.locator(STRANGE).count() == 0
    assert not [each for each in UNSEEN if each in page.locator("body").inner_text()]
