"""The board for everyone: names for screen readers, and contrast as it is computed in both themes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Boards

#: Of each text that is shown, its contrast on the ground that it stands on, as the guidelines define it (WCAG 1.4.3).
_CONTRASTS = """
() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((total, each, index) => total + each * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
      if (colour[3] > 0) throw new Error(`a ground that is seen through: ${each.outerHTML.slice(0, 80)}`);
    }
    return [255, 255, 255];
  };
  const found = [];
  const note = (element, colour, text) => {
    const [one, other] = [luminance(parts(colour)), luminance(ground(element))].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), text]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("noscript, option, script, style")) continue;
    const style = getComputedStyle(element);
    note(element, element instanceof SVGElement ? style.fill : style.color, text);
  }
  for (const field of document.querySelectorAll("input[placeholder]"))
    note(field, getComputedStyle(field, "::placeholder").color, field.placeholder);
  return found;
}
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(boards: Boards, busy: str, theme: str) -> None:
    page = boards.open(f"?fleet={busy}", theme=theme)
    expect(page.locator("#held h2")).to_have_text("Held 60")
    page.locator("#held button.key").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Session")
    found = page.evaluate(_CONTRASTS)
    assert len(found) > 100
    assert [(round(contrast, 2), text) for contrast, text in found if contrast < 4.5] == []


def test_screen_readers_find_names_and_tables(boards: Boards, busy: str) -> None:
    page = boards.open(f"?fleet={busy}")
    expect(page.locator("#held h2")).to_have_text("Held 60")
    expect(page.locator("body")).to_match_aria_snapshot("""
      - link "Skip to what is held"
      - banner:
        - heading "Coordination" [level=1]
        - status: live
        - search "What is shown":
          - combobox "Fleet"
          - combobox "Kind"
          - searchbox "Filter"
          - button /Theme/
      - main:
        - term:
          - link "held"
        - definition: "60"
        - region "Convergence":
          - heading "Convergence" [level=2]
          - img /Claims in the last 30 minutes/
        - region "Held 60":
          - heading "Held 60" [level=2]
          - table "Held 60":
            - rowgroup:
              - row:
                - columnheader "Work"
                - columnheader "Held by"
                - columnheader "Time left ↑"
        - region "Failed work 1":
          - table "Failed work 1":
            - rowgroup
            - rowgroup:
              - row:
                - cell /task:import-march-invoices 3 attempts failed/
        - region "Loose ends 4"
        - region "Denials":
          - list
        - region "Pool 5"
    """)


def test_tables_are_still_tables_on_a_narrow_screen(boards: Boards, busy: str) -> None:
    page = boards.open(f"?fleet={busy}", width=390)
    expect(page.get_by_role("table", name="Held 60").get_by_role("columnheader", name="Held by")).to_have_count(1)
    expect(page.get_by_role("table", name="Held 60").get_by_role("row")).to_have_count(26)
