"""A browser for all tests of this folder, and pages in it that report what a board must not do.

Invariant: each test fails if the page asked another address than its coordinator, broke its own policy (CSP), opened a
dialog of a script, or raised an error that nothing caught.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from coordinator import Client
from tests.conftest import RunningCoordinator

#: Debian's name, and those of other systems.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Only ever reached by what fails.
_LIMIT_MS = 60_000
expect.set_options(timeout=_LIMIT_MS)
#: Violations of the policy are events of the document; a test looks at them at its end.
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Boards:
    """Opens boards, each in a context of its own, and notes what they did."""

    browser: Browser
    url: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, query: str = "", *, url: str | None = None, live: bool = True, width: int = 1280,
             theme: str = "light") -> Page:  # fmt: skip
        """Open the board at ``query``, and wait until it is live."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        context.set_default_timeout(_LIMIT_MS)
        context.add_init_script(_WATCH)
        page = context.new_page()
        page.on("request", self._ask)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dismiss)
        page.on("console", self._hear)
        page.goto(f"{url or self.url}/{query}" if url != "" else query)
        if live:
            page.locator("#state.live").wait_for()
        return page

    def close(self) -> list[str]:
        """Close all pages; returns what they must not have done."""
        found = list(self.complaints)
        for context in self._contexts:
            for page in context.pages:
                found += [f"policy: {each}" for each in page.evaluate("window.violations || []")]
            context.close()
        return found

    def _ask(self, request: Request) -> None:
        self.requested.append(request.url)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser itself says that of an answer which the test wants.
        wanted = message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not wanted:
            self.complaints.append(f"console: {message.text}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next((path for each in PROGRAMS if (path := shutil.which(each))), None)
    assert found, f"a browser is needed: one of {', '.join(PROGRAMS)}"
    with sync_playwright() as playwright:
        # Root, which CI runs as, has no sandbox; every page here is the test's own.
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-extensions"]
        )
        yield launched
        launched.close()


@pytest.fixture
def boards(browser: Browser, coordinator: RunningCoordinator) -> Iterator[Boards]:
    made = Boards(browser, coordinator.http_url)
    yield made
    assert made.close() == []
    own = (coordinator.http_url + "/", "http://127.0.0.1:", "data:", "file:")
    assert [each for each in made.requested if not each.startswith(own)] == []


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet, instance="") as client:
        yield client


@pytest.fixture(scope="session")
def make_client(coordinator: RunningCoordinator) -> Callable[[str], contextlib.AbstractContextManager[Client]]:
    return lambda fleet: Client(coordinator.endpoint, fleet=fleet, instance="")


@pytest.fixture(scope="session")
def busy(make_client: Callable[[str], contextlib.AbstractContextManager[Client]]) -> str:
    """A fleet with 60 claims, denials, a pool, loose ends and failed work; it is only looked at."""
    from tests.browser.scenes import fill_busy

    with make_client("busy-to-look-at") as client:
        fill_busy(client)
    return "busy-to-look-at"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "board.html"
