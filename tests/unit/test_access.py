"""What credentials grant, how the file that says so is read, and that no method is without a rule."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coordinator.errors import InvalidInput, PermissionDenied, Unauthenticated
from coordinator.security.credential_grants import Grant, Role
from coordinator.security.tokens_file import Credentials, read_credentials
from coordinator.service.access import RULES, Authorizer, CredentialsFile
from coordinator.v1 import service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["CoordinatorService"]
TOKEN = "coordination-a-token-of-this-test"  # noqa: S105  # it opens nothing
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
ENTRY = f'[[credential]]\nname = "a"\ntoken_sha256 = "{DIGEST}"\n'


def context(header: str | None = None, **peer: list[bytes]) -> Any:
    metadata = () if header is None else (("user-agent", "x"), ("authorization", header))
    return SimpleNamespace(invocation_metadata=lambda: metadata, auth_context=lambda: peer)


def authorizer(text: str, now: float | None = None) -> Authorizer:
    credentials = read_credentials(text, "tokens.toml")
    return Authorizer(lambda: credentials, clock=time.time if now is None else lambda: now)


def test_every_method_has_a_rule_and_no_rule_is_left_over() -> None:
    assert set(RULES) == set(SERVICE.methods_by_name)


@pytest.mark.parametrize("method", SERVICE.methods_by_name)
def test_every_request_names_what_its_rule_looks_at(method: str) -> None:
    fields = SERVICE.methods_by_name[method].input_type.fields_by_name
    assert "fleet" in fields
    assert not RULES[method].as_session or "session" in fields
    # A session that is no filter is the caller's own: a new call that has one must define which it is.
    assert RULES[method].as_session == ("session" in fields and method not in {"Briefing", "List", "Log", "Watch"})


@pytest.mark.parametrize("method", ["Acknowledge", "Reap"])
def test_who_may_act_as_no_session_only_reads(method: str) -> None:
    request = pb.AcknowledgeRequest() if method == "Acknowledge" else pb.ReapRequest()
    fleets = 'fleets = ["*"]\n'
    with pytest.raises(PermissionDenied, match=f"{method} writes, and credential 'a' may act as no session"):
        authorizer(ENTRY + fleets).admit(method, request, context(f"Bearer {TOKEN}"))
    for other in ('sessions = ["session-1"]\n', 'role = "operator"\n'):
        authorizer(ENTRY + fleets + other).admit(method, request, context(f"Bearer {TOKEN}"))
    authorizer(ENTRY + fleets).admit("Briefing", pb.BriefingRequest(), context(f"Bearer {TOKEN}"))


def test_a_method_without_a_rule_is_always_refused() -> None:
    root = authorizer(ENTRY + 'sessions = ["*"]\nfleets = ["*"]\nrole = "operator"\n')
    with pytest.raises(PermissionDenied, match="no rule for Later"):
        root.admit("Later", pb.GetRequest(), context(f"Bearer {TOKEN}"))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("alice", ["alice"], ["", "alice-1", "Alice", "alic", "xalice"]),
        ("alice-*", ["alice-", "alice-1", "alice-a-b\n"], ["alice", "xalice-1"]),
        ("*", ["", "anything"], []),
        ("*-x", ["-x", "a-x", "x-x-x"], ["x", "a-xy"]),
        ("a*b*c", ["abc", "axbxc", "abbcc", "a*b*c"], ["ac", "acb", "abcd", "ab"]),
        ("ab*ba", ["abba", "abxba"], ["aba", "ab"]),
        ("a*bc*c", ["abcc", "abcbcc"], ["abc"]),
        ("[ab]?", ["[ab]?"], ["ax", "bx"]),
        (".*", [".", ".x"], ["x"]),
    ],
)
def test_only_a_star_stands_for_something_else(pattern: str, yes: list[str], no: list[str]) -> None:
    grant = Grant("a", sessions=(pattern,), fleets=(pattern,))
    for _ in range(2):
        assert [name for name in yes if not grant.sessions.match(name)] == []
        assert [name for name in no if grant.fleets.match(name)] == []


def test_a_grant_remembers_a_bounded_number_of_names() -> None:
    grant = Grant("a", sessions=("x*",))
    for number in range(5000):
        assert grant.sessions.match(f"x{number}")
    assert not grant.sessions.match("y" * 10_000_000)
    assert len(grant.sessions._said) <= 1024
    assert max(map(len, grant.sessions._said)) < 1000


def test_many_stars_cost_no_more_than_one_look_through_the_name() -> None:
    grant = Grant("a", sessions=("*a" * 30 + "b",))
    started = time.monotonic()
    assert not grant.sessions.match("a" * 100_000)
    assert time.monotonic() - started < 30  # a regular expression would take longer than the universe has


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_a_token_is_found_by_its_digest(header: str) -> None:
    assert authorizer(ENTRY).identify(context(header)).name == "a"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {DIGEST}", "Bearer é"],
)
def test_anything_else_is_not(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as raised:
        authorizer(ENTRY).identify(context(header))
    assert TOKEN not in f"{raised.value.message}{raised.value.hint}"


def test_a_credential_ends_at_its_time() -> None:
    text = ENTRY + "expires_at = 2027-01-31T12:00:00Z\n"
    moment = 1801396800.0
    assert authorizer(text, moment - 0.001).identify(context(f"Bearer {TOKEN}")).expires_at == moment
    with pytest.raises(Unauthenticated):
        authorizer(text, moment).identify(context(f"Bearer {TOKEN}"))


def certificate(*common: str, others: Sequence[x509.GeneralName] = ()) -> list[bytes]:
    """What gRPC has of a client that has shown a certificate with these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now)
    if others:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return [builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)]


CERTIFIED = (
    '[[credential]]\nname = "a"\ncertificate = "alice"\n[[credential]]\nname = "b"\ncertificate = "spiffe://x/b"\n'
)


def test_a_certificate_is_who_the_file_says() -> None:
    asked = authorizer(CERTIFIED + ENTRY)
    alice = certificate("alice")
    assert asked.identify(context(x509_pem_cert=alice)).name == "a"
    other = certificate("?", others=[x509.DNSName("x"), x509.UniformResourceIdentifier("spiffe://x/b")])
    assert asked.identify(context(x509_pem_cert=other)).name == "b"
    for peer in ({}, {"x509_pem_cert": certificate("Alice")}, {"x509_common_name": [b"alice"]}):
        with pytest.raises(Unauthenticated):
            asked.identify(context(None, **peer))
    with pytest.raises(Unauthenticated):
        asked.identify(context("Bearer wrong", x509_pem_cert=alice))


@pytest.mark.parametrize(
    ("common", "others"),
    [
        (("alice\0",), ()),
        (("alice\0.evil",), ()),
        (("\0alice",), ()),
        (("alice\n",), ()),
        (("alice\u202e",), ()),
        (("bob", "alice"), ()),
        (("alice", "bob"), ()),
        (("bob",), (x509.DNSName("alice\0.evil"),)),
        (("alice",), (x509.DNSName("x\0y"),)),
        ((), (x509.UniformResourceIdentifier("spiffe://x/b\0c"),)),
        ((), (x509.RFC822Name("alice\0@x"),)),
    ],
)
def test_a_certificate_with_an_ambiguous_name_is_no_credential(common: Any, others: Any) -> None:
    with pytest.raises(Unauthenticated):
        authorizer(CERTIFIED).identify(context(x509_pem_cert=certificate(*common, others=others)))


@pytest.mark.parametrize("pem", [b"", b"alice", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_cannot_be_read_is_no_credential(pem: bytes) -> None:
    with pytest.raises(Unauthenticated):
        authorizer(CERTIFIED).identify(context(x509_pem_cert=[pem], x509_common_name=[b"alice"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "not TOML"),
        ('name = "a"', "nothing else"),
        ("credential = 1", "nothing else"),
        ("credential = [1]", "nothing else"),
        (ENTRY + "colour = 1", "'colour' is not one of"),
        (ENTRY + 'role = "king"', "role must be one of agent, operator"),
        (ENTRY + "role = []", "role must be one of agent, operator"),
        (ENTRY + 'sessions = "*"', "sessions must be a list"),
        (ENTRY + 'sessions = [""]', "sessions must be a list"),
        (ENTRY + "fleets = [1]", "fleets must be a list"),
        (ENTRY + "expires_at = 2027-01-31", "expires_at must be a moment with its zone"),
        (ENTRY + "expires_at = 2027-01-31T12:00:00", "expires_at must be a moment with its zone"),
        (ENTRY + 'certificate = "a"', "either token_sha256 or certificate"),
        ('[[credential]]\nname = "a"', "either token_sha256 or certificate"),
        (f'[[credential]]\ntoken_sha256 = "{DIGEST}"', "name must be a string"),
        (ENTRY + ENTRY, "credential 2 in tokens.toml is not valid: its token has an entry already"),
        ('[[credential]]\nname = "a"\ncertificate = "c"\n' * 2, "the certificate 'c' has an entry already"),
        (f'[[credential]]\nname = "a"\ntoken_sha256 = "{TOKEN}"', "64 digits"),
    ],
)
def test_a_mistake_in_the_file_is_reported_without_its_secrets(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_credentials(text, "tokens.toml")
    assert said in raised.value.message
    assert raised.value.field == "tokens"
    assert TOKEN not in raised.value.message
    assert DIGEST not in raised.value.message


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}", f"a = {'9' * 5000}"], ids=["nested", "long"])
def test_toml_that_python_cannot_read_is_a_mistake_too(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^tokens\.toml is not TOML that can be read: "):
        read_credentials(text, "tokens.toml")


def test_what_is_left_out_grants_little() -> None:
    grant = read_credentials(ENTRY, "tokens.toml").by_digest[bytes.fromhex(DIGEST)]
    assert (grant.role, str(grant.sessions), str(grant.fleets)) == (Role.AGENT, "none", "default")
    assert read_credentials("", "tokens.toml") == Credentials({}, {})


def test_a_bad_file_does_not_replace_a_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "tokens.toml"
    path.write_text(ENTRY)
    file = CredentialsFile(path)
    good = file.current
    for change in (lambda: path.write_text("["), lambda: path.write_bytes(b"\xff"), path.unlink, path.mkdir):
        change()
        assert not file.refresh()
        assert not file.refresh()
        assert file.current is good
    assert [record.getMessage() for record in caplog.records] == ["credentials unchanged"] * 4
    path.rmdir()
    path.write_text(ENTRY)
    path.chmod(0o666)
    assert not file.refresh()
    path.chmod(0o644)
    assert not file.refresh()  # it says what it has said before
    path.write_text(ENTRY + 'sessions = ["*"]\n')
    assert [file.refresh(), file.refresh()] == [False, True]
    assert str(file.current.by_digest[bytes.fromhex(DIGEST)].sessions) == "*"
    assert caplog.records[-1].getMessage() == "credentials read"


async def test_calls_are_answered_while_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(ENTRY)
    file = CredentialsFile(path)
    readers: list[int] = []
    refresh = file.refresh

    def seen() -> bool:
        readers.append(threading.get_ident())
        return refresh()

    monkeypatch.setattr(file, "refresh", seen)
    looked = asyncio.Event()
    following = asyncio.create_task(file.follow(looked.set))
    await looked.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert readers
    assert threading.get_ident() not in readers


def test_a_coordinator_does_not_begin_with_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        CredentialsFile(tmp_path / "nothing")
    path = tmp_path / "tokens.toml"
    path.write_text(ENTRY)
    path.chmod(0o646)
    with pytest.raises(InvalidInput, match="can be written by every user"):
        CredentialsFile(path)


def test_to_put_work_back_by_submitting_it_is_for_operators() -> None:
    request = pb.SubmitRequest(session="session-1", items=[pb.SubmitItem(), pb.SubmitItem(reopen=True)])
    anyone = ENTRY + 'fleets = ["*"]\nsessions = ["session-1"]\n'
    with pytest.raises(PermissionDenied, match="Submit is for operators"):
        authorizer(anyone).admit("Submit", request, context(f"Bearer {TOKEN}"))
    authorizer(anyone + 'role = "operator"\n').admit("Submit", request, context(f"Bearer {TOKEN}"))
    request.items[1].reopen = False
    authorizer(anyone).admit("Submit", request, context(f"Bearer {TOKEN}"))


async def test_a_stream_is_looked_at_again_without_asking_its_call() -> None:
    """gRPC may have released the call by then, and ends the process where it is asked for it."""
    released, moment = False, [0.0]

    def shown() -> Any:
        assert not released
        return (("authorization", f"Bearer {TOKEN}"),)

    def peer() -> dict[str, list[bytes]]:
        assert not released
        return {}

    async def behaviour(_request: Any, _context: Any) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    text = f'{ENTRY}fleets = ["*"]\nexpires_at = 1970-01-01T00:00:10Z\n'
    credentials = read_credentials(text, "tokens.toml")
    root = Authorizer(lambda: credentials, clock=lambda: moment[0])
    call = SimpleNamespace(invocation_metadata=shown, auth_context=peer)
    stream = root.guard_stream("Watch", behaviour)(pb.WatchRequest(), call)
    assert await anext(stream) == 1
    released = True
    root.recheck()
    moment[0] = 20.0
    root.recheck()
    with pytest.raises(Unauthenticated):
        await anext(stream)
