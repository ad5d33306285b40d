"""``python -m tests.browser.screenshots``: the pictures of the board in docs/images, light and dark, wide and narrow.

The fleet is that of the tests, on a coordinator of its own. Its claims are all made within a second, so the times on
the page, and half an hour of grants and denials, are made up in the page before each picture, the same each time.
Pillow makes the files small: it comes with matplotlib.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from coordinator import Client
from tests.browser.conftest import PROGRAMS
from tests.browser.scenes import fill_busy

IMAGES = Path(__file__).resolve().parents[2] / "docs/images"
FLEET = "night-shift"
MOST_BYTES = 150_000
COLOURS = 256
#: Name, width, height, pixels for each of the page's.
SHOTS = (("board", 1280, 840, 1.5), ("board-narrow", 390, 800, 1.5))
#: Inter is asked for first where it is installed; the page itself takes the system's font.
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias></fontconfig>"""

#: ``ages``: for how long each claim is held, and is still; ``grants`` and ``denials``: of each of the last 30 minutes.
_MAKE_UP = """
({ ages, grants, denials }) => {
  const now = Date.now(), before = (seconds) => new Date(now - 1000 * seconds).toISOString();
  [...world.held.values()].forEach((record, index) => {
    const [age, left] = ages[index % ages.length];
    Object.assign(record, { claimedAt: before(age), expiresAt: before(-left), fresh: false });
  });
  const longest = [...world.held.values()].reduce((one, other) => one.claimedAt < other.claimedAt ? one : other);
  world.loose.forEach((record, index) => { record.endedAt = before(600 + 2400 * index); });
  world.failed.forEach((entry) => { entry.failedAt = before(1980); });
  world.denials.forEach((each, index) => { each.at = before(4 + 9 * index * index); });
  Object.assign(world.status.progress, { lastGrant: before(4), lastCompletion: before(52), longestHeld: [longest] });
  world.buckets.clear();
  grants.forEach((count, index) => {
    world.buckets.set(Math.floor(now / BUCKET_MS) - 29 + index, { granted: count, denied: denials[index] });
  });
  refreshing = -1; // no look at the coordinator until the picture is taken
  render();
}
"""


def main() -> int:
    """Make all pictures; returns the exit code."""
    from tests.conftest import _run_coordinator  # a coordinator as the tests run it

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as home:
        fonts = Path(home, "fonts.conf")
        fonts.write_text(FONTS, encoding="utf-8")
        os.environ["FONTCONFIG_FILE"] = str(fonts)
        with _run_coordinator("up", "--data-dir", home + "/data", "--http-listen", "127.0.0.1:0") as running:
            with Client(running.endpoint, fleet=FLEET, instance="") as client:
                fill_busy(client)
            with sync_playwright() as playwright:
                program = next(filter(None, map(shutil.which, PROGRAMS)), None)
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                for theme in ("light", "dark"):
                    _shoot(browser, f"{running.http_url}/?fleet={FLEET}", theme)
                browser.close()
    return 0


def _shoot(browser: Browser, url: str, theme: str) -> None:
    made_up = random.Random(7)
    left = [round(14 * 1.1**number) + made_up.randint(0, 9) for number in range(60)]
    made_up.shuffle(left)
    ages = [(made_up.randint(40, 5400), each) for each in left]
    grants = [made_up.randint(3, 9) for _ in range(30)]
    denials = [round(each * (0.2 + 1.1 * abs(15 - minute) / 15)) for minute, each in enumerate(grants)]
    for name, width, height, scale in SHOTS:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(url)
        page.locator("#state.live").wait_for()
        # All events are there.
        page.locator("#convergence-words", has_text="66 claims were granted and 23 denied").wait_for()
        page.locator("#progress span").first.wait_for()
        page.evaluate(_MAKE_UP, {"ages": ages, "grants": grants, "denials": denials})
        page.locator("#progress", has_text="52 s ago").wait_for()
        path = IMAGES / f"{name}-{theme}.png"
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        size = path.stat().st_size
        print(f"{path.relative_to(IMAGES.parents[1])}  {size:,} bytes")
        if size > MOST_BYTES:
            raise SystemExit(f"error: {path.name} has more than {MOST_BYTES:,} bytes")
        context.close()


if __name__ == "__main__":
    sys.exit(main())
