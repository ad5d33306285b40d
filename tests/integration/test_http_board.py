"""The board: what is served, what its policy allows, and that its script makes no markup of what sessions have written.

tests/browser looks at it in a browser; here is what can be read from its files.
"""

from __future__ import annotations

import re
from importlib import resources

import pytest

from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningCoordinator
from tests.web.calling import HttpCaller

FILES = {
    name: (resources.files("coordinator.web") / "board" / name).read_text(encoding="utf-8")
    for name in ("board.html", "board.css", "board.js")
}
PAGE, STYLE, SCRIPT = FILES.values()
#: The namespace of SVG is a name, and never fetched.
NAMESPACE = "http://www.w3.org/2000/svg"
#: What makes markup, code or a style of a text.
DANGEROUS = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|DOMParser|setHTML"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/", "text/html"), ("/?fleet=x", "text/html"), ("/board.css", "text/css"), ("/board.js", "text/javascript")],
)
def test_the_board_is_served_with_a_policy_that_allows_its_own_files_only(
    coordinator: RunningCoordinator, path: str, content_type: str
) -> None:
    with HttpCaller(coordinator.http_url) as caller:
        status, headers, body = caller.send(path, None, method="GET")
    assert status == 200
    assert headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert body.decode() in FILES.values()
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"


def test_the_ready_line_says_where_it_is(coordinator: RunningCoordinator) -> None:
    assert coordinator.board == f"{coordinator.http_url}/"


def test_nothing_is_loaded_from_elsewhere() -> None:
    for text in FILES.values():
        assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+/?", text.replace(NAMESPACE, ""))
        assert "@import" not in text
        assert "url(" not in text


def test_the_page_has_no_code_or_style_in_it() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", PAGE)
    assert re.findall(r"<script[^>]*>", PAGE) == ['<script src="board.js" defer>']


def test_the_script_makes_no_markup_of_texts() -> None:
    assert not re.findall(DANGEROUS, SCRIPT)
    # Attributes are set in two places, by names that the script itself has.
    assert len(re.findall(r"setAttribute\(", SCRIPT)) == 2
    assert 'setAttribute("style"' not in SCRIPT


def test_what_the_script_names_is_there() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', PAGE))
    assert set(re.findall(r'\$\("([\w-]+)"\)', SCRIPT)) - ids == {"snapshot"}
    labelled = set(re.findall(r'aria-labelledby="([\w-]+)"', PAGE))
    assert labelled <= ids
    methods = pb.DESCRIPTOR.services_by_name["CoordinatorService"].methods_by_name
    called = set(re.findall(r'(?:call|pages)\("(\w+)"', SCRIPT))
    assert called
    assert called <= {*methods}
    # It reads only.
    assert called <= {"Status", "List", "ListPool", "ListFleets", "Hot", "Get"}


def test_every_field_has_a_name_for_screen_readers() -> None:
    for field in re.findall(r"<(?:input|select)[^>]*>", PAGE):
        (name,) = re.findall(r'id="(\w+)"', field)
        assert re.search(rf"<label[^>]*>[^<]+<(?:input|select) id=\"{name}\"", PAGE), name
    assert '<html lang="en">' in PAGE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_have_enough_contrast(theme: str) -> None:
    """At least 4.5 to 1, as the Web Content Accessibility Guidelines want it (1.4.3)."""
    block = re.search(r":root \{(.*?)\}" if theme == "light" else r'data-theme="dark"\] \{(.*?)\}', STYLE, re.DOTALL)
    assert block
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block[1]))
    for text in ("ink", "quiet", "strong", "denied", "bad", "good", "soon"):
        for ground in ("panel", "ground"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for shape in ("granted", "denied", "rate"):
        assert contrast(colours[shape], colours["panel"]) >= 3, shape


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
