"""However a piece of work is spelt it has one key, and a key is its own canonical spelling."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.errors import InvalidInput
from coordinator.keys import DEFAULT_TOPIC_KINDS, WorkKey, parse_work_key
from coordinator.limits import MAX_WORK_KEY_BYTES
from coordinator.names import check_session, check_text
from tests.examples import examples

thorough = settings(max_examples=examples(100), deadline=None)

#: Where canonicalisation is most likely to go wrong: separators, escapes, letters whose case or composition changes
#: their number, and marks that compose with what they come to stand behind.
_AWKWARD = (
    ": / // :// # #/ #! ? & = % %2f %41 %c3%a9 @ . .. [ ] + - _ ' xn-- utm_a=1 fbclid=2 gclid a A i 1 0 "
    "\u0301 \u0307 \u0338 \u0345 \u0327 \u20e3 \u00b4 \u00a8 \u2019 \u0149 \u00e9 \u00df \u1e9e \u0130 \u0131 \u017f "
    "\u03a3 \u03c2 \u1fb3 \u01f0 \u212a \ufb01 \u00bd \u2116 \uff1a \uff0f \uff03 \u3002 \u13a0 \uab70 \u03d3 \u1e9b "
    "\u304c \uac00 \u1100 \u1161 \u0939\u093f \u0646\u0627 \u05e01 \U0001f4a1 \ufe0f"
)
_SPACES = [" ", "  ", "\u00a0", "\u3000", "\u2003"]
#: What is refused, some of it except in topics.
_UNSEEN = (
    *("\t", "\n", "\x00", "\x85", "\u2028", "\ue000", "\udcff", "\U0010ffff", "\u0378"),
    *("\u200b", "\u200d", "\ufeff", "\u00ad", "\u202e", "\u034f", "\u3164"),
)
_KINDS = ["task", "TASK", "github", "GitHub", "url", "blog", "Research", "idea", "pr", "x-1", "", "no kind", "é", "9p"]

awkward = st.lists(st.sampled_from([*_AWKWARD.split(" "), *_SPACES]), max_size=12).map("".join)
unseen = st.builds(
    lambda before, character, after: before + character + after, awkward, st.sampled_from(_UNSEEN), awkward
)
texts = st.one_of(awkward, awkward, unseen, st.text(max_size=40), st.text(st.characters(codec="utf-8"), max_size=40))
spaces = st.sampled_from(["", "", " ", "  ", "\u00a0"])
kinded = st.builds(
    lambda kind, before, after, identity: f"{kind}{before}:{after}{identity}",
    st.sampled_from(_KINDS),
    spaces,
    spaces,
    texts,
)

_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,20}", fullmatch=True)
owners = _names.filter(lambda name: name.lower() != "orgs")
repositories = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
numbers = st.integers(min_value=1, max_value=10**9)

_HOSTS = (
    "example.org Example.COM www.github.com github.com API.github.com localhost [::1] [FE80::1] a_b.c faß.de "
    "bücher.example BÜCHER.example. xn--bcher-kva.example \u05e01.example \u4f8b\u3048\u3002\u30c6\u30b9\u30c8"
)
hosts = st.one_of(st.sampled_from(_HOSTS.split()), texts)
urls = st.builds(
    lambda prefix, scheme, user, host, port, path, query, fragment: (
        f"{prefix}{scheme}{user}{host}{port}{path}{query}{fragment}"
    ),
    st.sampled_from(["", "", "url:", "URL : ", "github:", "task:", "blog:"]),
    st.sampled_from(
        ["http://", "https://", "HTTPS://", "ftp://", "ssh://", "git+ssh://", "s3://", "//", "", "task://"]
    ),
    st.sampled_from(["", "", "user@", "user:pass@", "a@b@"]),
    hosts,
    st.sampled_from(["", "", ":", ":80", ":443", ":0443", ":8080", ":99999", ":x", ":\uff18\uff10"]),
    st.one_of(
        st.sampled_from(["", "/", "//", "/o/r/issues/007", "/repos/o/r/pulls/7/files"]), awkward.map("/{}".format)
    ),
    st.one_of(st.just(""), awkward.map("?{}".format)),
    st.one_of(st.just(""), awkward.map("#{}".format)),
)
_GITHUB_PIECES = (
    "github: github.com https:// www. api. / repos orgs gptme GPTme # 0 28 issues pull pulls discussions .diff ?q=1 "
    "#discussion_r1 %31 \u0301 \u0130 \u03a3"
)
github_likes = st.lists(st.sampled_from([" ", *_GITHUB_PIECES.split()]), max_size=14).map("".join)
forms: st.SearchStrategy[Literal["NFC", "NFD", "NFKD"]] = st.sampled_from(["NFC", "NFD", "NFKD"])
anything = st.one_of(texts, kinded, urls, github_likes)
topic_kinds = st.sampled_from(
    [DEFAULT_TOPIC_KINDS, frozenset[str](), frozenset({"task", "blog", "url", "github", "pr"})]
)


def parse(typed: str, kinds: frozenset[str] = DEFAULT_TOPIC_KINDS) -> WorkKey | None:
    """Parse; None if it was refused, which must be in the form that every refusal has."""
    try:
        return parse_work_key(typed, topic_kinds=kinds)
    except InvalidInput as refused:
        assert refused.field == "work_key"
        assert refused.hint
        assert refused.message.isprintable()
        return None


def assert_canonical(typed: str, kinds: frozenset[str]) -> None:
    key = parse(typed, kinds)
    if key is not None:
        assert parse_work_key(str(key), topic_kinds=kinds) == key


@given(texts, topic_kinds)
@example("utm\u2019\u0345", DEFAULT_TOPIC_KINDS)
@example("it\u2019\u03b1", DEFAULT_TOPIC_KINDS)
@example("topic: o\u02bc\u0441lock", DEFAULT_TOPIC_KINDS)
@thorough
def test_any_text_is_refused_or_becomes_a_key_that_stays_as_it_is(typed: str, kinds: frozenset[str]) -> None:
    assert_canonical(typed, kinds)


@given(kinded, topic_kinds)
@thorough
def test_any_text_with_a_kind_becomes_a_key_that_stays_as_it_is(typed: str, kinds: frozenset[str]) -> None:
    assert_canonical(typed, kinds)


@given(urls, topic_kinds)
@example("http://example.org?/#", DEFAULT_TOPIC_KINDS)
@example("https://example.org/a?b/#c/.", DEFAULT_TOPIC_KINDS)
@example("https://example.org/a#b/:~:text=c", DEFAULT_TOPIC_KINDS)
@example("https://example.org/a?b/&utm_source=c", DEFAULT_TOPIC_KINDS)
@thorough
def test_any_address_becomes_a_key_that_stays_as_it_is(typed: str, kinds: frozenset[str]) -> None:
    assert_canonical(typed, kinds)


@given(github_likes, topic_kinds)
@example("\u0130https://github:", DEFAULT_TOPIC_KINDS)
@example("g\u0131thub.com/acme/web/issues/1", DEFAULT_TOPIC_KINDS)
@example("https://gitlab.com/acme/web/-/i\u017fsues/1", DEFAULT_TOPIC_KINDS)
@example("\u212aube:acme/web#1", DEFAULT_TOPIC_KINDS)
@thorough
def test_anything_like_github_becomes_a_key_that_stays_as_it_is(typed: str, kinds: frozenset[str]) -> None:
    assert_canonical(typed, kinds)


@given(anything)
@thorough
def test_a_key_is_short_legible_and_has_a_kind(typed: str) -> None:
    key = parse(typed)
    if key is None:
        return
    text = str(key)
    assert re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", key.kind)
    assert key.identity
    assert len(text.encode()) <= MAX_WORK_KEY_BYTES
    assert text.isprintable()
    assert text == " ".join(text.split())
    assert unicodedata.is_normalized("NFKC", text)


@given(anything, spaces, spaces)
@thorough
def test_outer_white_space_and_composition_make_no_other_key(typed: str, before: str, after: str) -> None:
    assert parse(f"{before}{typed}{after}") == parse(typed)
    if all(unicodedata.category(character) != "Cs" for character in typed):
        assert parse(unicodedata.normalize("NFD", typed)) == parse(typed)


@given(owners, repositories, numbers, st.sampled_from([str.lower, str.upper, str.title, str]), st.data())
@thorough
def test_one_github_number_has_one_key(
    owner: str, repository: str, number: int, spell: type[str], data: st.DataObject
) -> None:
    name = spell(f"{owner}/{repository}")
    scheme = data.draw(st.sampled_from(["https://", "http://", "HTTPS://", "", "https://user:secret@"]))
    host = data.draw(
        st.sampled_from(["github.com", "www.github.com", "GitHub.com", "github.com:443"] if scheme else ["github.com"])
    )
    page = data.draw(st.sampled_from(["issues", "pull", "pulls", "discussions"]))
    behind = data.draw(st.sampled_from(["", "/", "/files", "/files?x=y", "?a=b", "#issuecomment-1", ".diff", "#/x"]))
    zeros = data.draw(st.sampled_from(["", "0", "000"]))
    spellings = [
        f"{name}#{zeros}{number}",
        f"github:{name}#{zeros}{number}",
        f"GitHub : {name} # {number}",
        f"github:/{name}#{number}",
        f"github:{name}/{page}/{zeros}{number}{behind}",
        f"{scheme}{host}/{name}/{page}/{zeros}{number}{behind}",
        f"github:{scheme}{host}/{name}/{page}/{number}{behind}",
        f"url:{scheme}{host}/{name}/{page}/{number}{behind}",
        f"https://api.github.com/repos/{name}/{page}/{number}",
        f"api.github.com/repos/{name}/{page}/{number}/comments",
    ]
    wanted = WorkKey("github", f"{owner}/{repository}#{number}".lower())
    assert {spelling: parse_work_key(spelling) for spelling in spellings} == dict.fromkeys(spellings, wanted)


@given(
    st.sampled_from(["example.org", "bücher.example", "[::1]", "a-b.example"]),
    st.lists(st.text("abcXYZ012-._~ é", min_size=1, max_size=8), max_size=4),
    st.dictionaries(st.sampled_from("qrst"), st.text("abc123", max_size=5), max_size=3),
    st.data(),
)
@thorough
def test_one_page_has_one_key(host: str, segments: list[str], query: dict[str, str], data: st.DataObject) -> None:
    path = "".join(f"/{' '.join(segment.split()) or 'x'}" for segment in segments)
    pairs = [f"{name}={value}" for name, value in query.items()]
    plain = "https://" + host + path + (f"?{'&'.join(pairs)}" if pairs else "")
    scheme = data.draw(st.sampled_from(["https://", "http://", "HTTP://", "url:https://", "URL: Https://"]))
    user = data.draw(st.sampled_from(["", "user@", "user:s3cret-t0ken@"]))
    port = data.draw(st.sampled_from(["", ":", ":443"] + ([":80"] if "http://" in scheme.lower() else [])))
    tracked = list(pairs)
    tracked.insert(
        data.draw(st.integers(0, len(pairs))),
        data.draw(st.sampled_from(["utm_source=x", "UTM_a", "fbclid=1", "gclid=2"])),
    )
    spelt_host = data.draw(st.sampled_from([host, host.upper()]))
    spelt_path = "".join(data.draw(st.sampled_from([c, _escaped(c)])) if c != "/" else c for c in path)
    slash = data.draw(st.sampled_from(["", "/"]))
    fragment = data.draw(st.sampled_from(["", "#", "#:~:text=top"]))
    spelt = f"{scheme}{user}{spelt_host}{port}{spelt_path}{slash}?{'&'.join(tracked)}{fragment}"
    key = parse_work_key(spelt)
    assert key == parse_work_key(plain)
    assert key.kind == "url"
    assert "s3cret-t0ken" not in str(key)


@given(
    st.sampled_from(sorted(DEFAULT_TOPIC_KINDS)),
    st.lists(st.sampled_from(["convergent", "work", "2026", "café", "straße", "हिन्दी", "가"]), min_size=1, max_size=5),
    st.data(),
)
@thorough
def test_one_topic_has_one_key(kind: str, words: list[str], data: st.DataObject) -> None:
    between = st.sampled_from([" ", "-", "_", " - ", ": ", "/", "…", " \u200b", "--", "!? ", "\u2003", ", "])
    spelt = data.draw(st.sampled_from(["", "«", "-", "¿"]))
    for index, word in enumerate(words):
        form = data.draw(forms)
        cased = data.draw(st.sampled_from([str.upper, str.title, str.lower]))(word)
        spelt += (data.draw(between) if index else "") + unicodedata.normalize(form, cased)
    spelt += data.draw(st.sampled_from(["", "!", "»", ".", "-"]))
    assert parse_work_key(f"{kind.upper()}: {spelt}") == parse_work_key(f"{kind}:{'-'.join(words)}")


@given(texts)
@thorough
def test_a_session_is_refused_or_stays_as_it_is(session: str) -> None:
    try:
        checked = check_session(session)
    except InvalidInput as refused:
        assert refused.field == "session"
        assert refused.message.isprintable()
        return
    assert checked == session
    assert 1 <= len(session.encode()) <= 128
    assert set(session) <= set(string.ascii_letters + string.digits + "._:@/+-")


@given(texts, st.integers(0, 60))
@thorough
def test_a_text_is_refused_or_stays_as_it_is(value: str, limit_bytes: int) -> None:
    valid = all(unicodedata.category(character) != "Cs" for character in value)
    allowed = valid and "\0" not in value and len(value.encode()) <= limit_bytes
    try:
        checked: str | None = check_text("note", value, limit_bytes)
    except InvalidInput as refused:
        assert refused.field == "note"
        checked = None
    assert checked == (value if allowed else None)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())
