"""The board in a browser: live, filtered, by keyboard, with many claims and with none, on wide and narrow screens."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import expect

from coordinator import Client
from tests.browser.conftest import Boards
from tests.browser.scenes import multiply
from tests.conftest import Coordination, RunCoordinator, RunningEtcd

MANY = 10_000


def test_what_happens_is_shown_without_a_reload(boards: Boards, client: Client, fleet: str) -> None:
    client.claim("first", "task:before", 600)
    page = boards.open(f"?fleet={fleet}")
    expect(page.locator("#held tbody tr")).to_have_count(1)
    page.evaluate("window.mine = true")
    client.claim("agent-1", "acme/web#7", 600, note="reading the logs")
    row = page.locator("#held tbody tr", has_text="github:acme/web#7")
    expect(row).to_contain_text("agent-1")
    expect(row).to_contain_text("reading the logs")
    expect(row.locator(".left")).to_contain_text("min")
    client.try_claim("agent-2", "acme/web#7")
    denial = page.locator("#denials-list li").first
    expect(denial).to_contain_text("agent-2 was denied; held by agent-1")
    expect(page.locator("#news")).to_have_text("agent-2 was denied github:acme/web#7")
    expect(row.get_by_role("cell").last).to_have_text("1")
    expect(page.locator("#plot svg")).to_have_attribute("aria-label", re.compile(r"2 granted, 1 denied"))
    client.renew("agent-1", "acme/web#7", 600, note="found it")
    expect(row).to_contain_text("found it")
    client.complete("agent-1", "acme/web#7")
    expect(row).to_have_count(0)
    client.release("first", "task:before", reason="out of ideas")
    expect(page.locator("#loose tbody tr")).to_contain_text("given back: out of ideas")
    client.submit("planner", "task:free")
    client.claim("first", "task:other", 600)
    expect(page.locator("#pool tbody tr", has_text="task:free")).to_contain_text("free")
    assert page.evaluate("window.mine")


def test_an_empty_fleet_says_how_to_begin(boards: Boards, coordination: Coordination, fleet: str) -> None:
    page = boards.open(f"?fleet={fleet}")
    expect(page.locator("#held")).to_contain_text("Nothing is held.")
    command = page.locator("#held code").inner_text()
    assert command == f"coordination work-claim --session session-1 task:first --fleet {fleet}"
    for part in ("pool", "loose", "failed", "denials"):
        expect(page.locator(f"#{part}")).to_contain_text("No" if part != "pool" else "The pool is empty")
    assert coordination(*command.split()[1:]).returncode == 0
    expect(page.locator("#held tbody tr")).to_contain_text("task:first")
    expect(page.locator("#held code")).to_have_count(0)


def test_filters_and_their_address(boards: Boards, client: Client, busy: str, fleet: str) -> None:
    client.claim("agent-1", "task:of-another-fleet", 600)
    page = boards.open(f"?fleet={busy}")
    rows = page.locator("#held tbody tr")
    page.keyboard.press("/")
    page.keyboard.type("agent-juno")
    expect(page.locator("#held h2")).to_have_text("Held 5 of 60")
    assert all("agent-juno" in each for each in rows.all_inner_texts())
    expect(page.locator("#failed")).to_contain_text("Nothing passes the filter.")
    page.reload()
    expect(page.locator("#held h2")).to_have_text("Held 5 of 60")
    page.locator("#filter").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#held h2")).to_have_text("Held 60")
    page.get_by_label("Kind").select_option("blog")
    expect(rows.first).to_contain_text("blog:")
    assert all("blog:" in each for each in rows.all_inner_texts())
    assert "kind=blog" in page.url
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Fleet").select_option(fleet)
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("task:of-another-fleet")


def test_ten_thousand_claims(boards: Boards, etcd: RunningEtcd, client: Client, fleet: str) -> None:
    client.claim("worker", "task:piece-00000", 3600)
    client.claim("last", "task:the-last-one", 7200)
    with ThreadPoolExecutor(1) as pool:  # Playwright's own loop runs in this thread
        pool.submit(asyncio.run, multiply(etcd.endpoint, fleet, "task:piece-00000", MANY - 1)).result()
    page = boards.open(f"?fleet={fleet}")
    expect(page.locator("#held h2")).to_have_text("Held 10,000")
    expect(page.locator("#figures dd").first).to_have_text("10,000")
    # However many there are, few are drawn.
    expect(page.locator("#held tbody tr")).to_have_count(25)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#held tbody tr")).to_have_count(225)
    assert page.evaluate("document.querySelectorAll('*').length") < 4000
    page.locator("#filter").fill("piece-09998")
    expect(page.locator("#held h2")).to_have_text("Held 1 of 10,000")
    expect(page.locator("#held tbody tr")).to_contain_text("worker")
    page.locator("#filter").fill("")
    page.get_by_role("button", name="Time left").click()
    expect(page.locator("#held tbody tr").first).to_contain_text("task:the-last-one")


def test_everything_by_keyboard(boards: Boards, client: Client, fleet: str) -> None:
    client.submit("planner", "task:one", brief="a brief of some lines")
    client.claim("agent-1", "task:one", 600)
    client.claim("agent-2", "task:two", 1200)
    page = boards.open(f"?fleet={fleet}")
    expect(page.locator("#held tbody tr")).to_have_count(2)
    reached: list[str] = []
    while not reached or not page.evaluate("document.activeElement.matches('#held .key')"):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        assert len(reached) < 40, reached
    wanted = ["Skip to what is held", "fleet", "kind", "filter", "theme", "held", "failed", "task:one", "Time left ↑"]
    assert [each for each in reached if each in wanted][:-1] == wanted, reached
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="task:one")
    expect(dialog).to_contain_text("a brief of some lines")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    # What is drawn anew keeps the focus.
    client.claim("agent-3", "task:three", 300)
    expect(page.locator("#held tbody tr")).to_have_count(3)
    assert page.evaluate("document.activeElement.innerText") == "task:one"


def test_lost_and_found_again(
    boards: Boards, run_coordinator: RunCoordinator, etcd: RunningEtcd, client: Client, fleet: str
) -> None:
    with run_coordinator("serve", "--etcd", etcd.endpoint, "--http-listen", "127.0.0.1:0") as own:
        address = own.http_url.removeprefix("http://")
        page = boards.open(f"?fleet={fleet}", url=own.http_url)
    expect(page.locator("#state")).to_have_text("not connected; trying again")
    expect(page.get_by_role("alert")).to_be_visible()
    client.claim("meanwhile", "task:meanwhile", 600)
    with run_coordinator("serve", "--etcd", etcd.endpoint, "--http-listen", address):
        expect(page.locator("#held tbody tr")).to_contain_text("task:meanwhile")
        expect(page.locator("#state")).to_have_text("live")
        expect(page.get_by_role("alert")).to_be_hidden()
        page.close()


def test_a_written_board_is_shown_without_a_coordinator(
    boards: Boards, coordination: Coordination, busy: str, written: Path
) -> None:
    assert coordination("board", "--out", str(written), "--fleet", busy).returncode == 0
    page = boards.open(written.as_uri(), url="", live=False)
    expect(page.locator("#state")).to_contain_text("as it was on")
    expect(page.locator("#held h2")).to_have_text("Held 60")
    page.locator("#filter").fill("agent-juno")
    expect(page.locator("#held h2")).to_have_text("Held 5 of 60")
    page.locator("#held tbody button.key").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("agent-juno")
    assert {each.split(":")[0] for each in boards.requested} <= {"file", "data"}


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(boards: Boards, busy: str, width: int) -> None:
    page = boards.open(f"?fleet={busy}", width=width)
    expect(page.locator("#held h2")).to_have_text("Held 60")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
