"""The commands that make certificates and tokens (31)."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.cli.json_page import check, tables
from tests.conftest import COMMAND

CERTS, TOKEN = tables("certs")[0], tables("token")[0]
CLIENT = dict.fromkeys(("name", "cert", "key"), "string")


def run(*arguments: object, code: int = 0, **settings: str) -> str:
    """Run the command; returns its answer, or what it says of the error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], env=environment | settings, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def as_object(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    assert (found.pop("schema"), found.pop("fleet")) == ("v1", "default")
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_certificates(tmp_path: Path) -> None:
    where = tmp_path / "new" / "certs"
    made = as_object("certs", where, "--client", "alice", "--days", "30")
    check(made, CERTS | {"clients": [CLIENT]})
    assert sorted(contents(where)) == [
        *("alice.crt", "alice.key", "ca.crt", "ca.key", "server.crt", "server.key"),
    ]
    assert {mode(path) for path in where.glob("*.key")} == {0o600}
    server = x509.load_pem_x509_certificate((where / "server.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == made["hosts"] == ["localhost", "127.0.0.1", "::1"]
    left = server.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_clients_are_added_later_and_nothing_is_overwritten(tmp_path: Path) -> None:
    run("certs", tmp_path, "--host", "coordinator.example", "--host", "2001:db8::1")
    before = contents(tmp_path)
    added = as_object("certs", tmp_path, "--client", "bob", "--client", "carol")
    check(added, CERTS | {"clients": [CLIENT]})
    assert (added["server_cert"], added["hosts"]) == (None, [])
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    for arguments in (
        (),
        ("--client", "bob"),
        ("--client", "dora", "--client", "carol"),
        ("--host", "x", "--client", "carol"),
    ):
        said = run("certs", tmp_path, *arguments, code=2)
        assert "already exists and is not overwritten" in said
    assert contents(tmp_path) == after
    bob, ca = (x509.load_pem_x509_certificate(after[name]) for name in ("bob.crt", "ca.crt"))
    bob.verify_directly_issued_by(ca)


@pytest.mark.long_but_for(
    "arguments0-cannot name a client",
    "arguments1-cannot name a client",
    "arguments6-neither a host name nor an IP address",
    "arguments11-neither a host name nor an IP address",
    "arguments13-a wildcard for all of a top-level domain",
    "arguments14-its last part is a number",
    "arguments19---no-localhost leaves no name",
    "arguments21-allowed are 1 to 3650",
)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--client", "../alice"), "cannot name a client"),
        (("--client", "ca"), "cannot name a client"),
        (("--client", ""), "--client is empty"),
        (("--client", "a" * 65), "cannot name a client"),
        (("--host", "not a host"), "neither a host name nor an IP address"),
        (("--host", ""), "--host is empty"),
        (("--host", "höst"), "neither a host name nor an IP address"),
        (("--host", "a..b"), "neither a host name nor an IP address"),
        (("--host", "-a"), "neither a host name nor an IP address"),
        (("--host", "a" * 64), "neither a host name nor an IP address"),
        (("--host", ".".join(["a" * 63] * 4)), "neither a host name nor an IP address"),
        (("--host", "a.*.example"), "neither a host name nor an IP address"),
        (("--host", "*"), "neither a host name nor an IP address"),
        (("--host", "*.internal"), "a wildcard for all of a top-level domain"),
        (("--host", "10.0.0.256"), "its last part is a number"),
        (("--host", "10.0.0.0/8"), "neither a host name nor an IP address"),
        (("--host", "host:7420"), "without a scheme or a port"),
        (("--host", "https://host"), "without a scheme or a port"),
        (("--host", "fe80::1%eth0"), "a zone, which only this host knows"),
        (("--no-localhost",), "--no-localhost leaves no name"),
        (("--days", "0"), "allowed are 1 to 3650"),
        (("--days", "3651"), "allowed are 1 to 3650"),
    ],
)
def test_what_no_certificate_can_say(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in run("certs", tmp_path / "certs", *arguments, code=2)
    assert not (tmp_path / "certs").exists()


LOCAL = ["localhost", "127.0.0.1", "::1"]


def names_of(certificate: Path) -> list[str]:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


@pytest.mark.long_but_for("arguments1-names1", "arguments2-names2", "arguments3-names3")
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--host", "a.example"), [*LOCAL, "a.example"]),
        (("--host", "a.example", "--host", "10.1.2.3", "--host", "b"), [*LOCAL, "a.example", "10.1.2.3", "b"]),
        (("--host", "a.example", "--no-localhost"), ["a.example"]),
        (
            ("--host", "::1", "--host", "LOCALHOST", "--host", "A.example.", "--host", "a.Example"),
            [*LOCAL, "a.example"],
        ),
        (("--host", "[2001:DB8:0:0::1]", "--host", "2001:db8::1"), [*LOCAL, "2001:db8::1"]),
        (("--host", "*.fleet.example", "--host", "under_score"), [*LOCAL, "*.fleet.example", "under_score"]),
    ],
)
def test_names_are_added_to_those_of_this_machine(arguments: tuple[str, ...], names: list[str], tmp_path: Path) -> None:
    made = as_object("certs", tmp_path, *arguments)
    assert made["hosts"] == names_of(tmp_path / "server.crt") == names


def test_names_are_added_later_with_the_same_key(tmp_path: Path) -> None:
    run("certs", tmp_path, "--host", "first.example", "--no-localhost")
    before = contents(tmp_path)
    for host, names in (
        ("second.example", ["first.example", "second.example"]),
        ("localhost", ["first.example", "second.example", "localhost"]),
        ("FIRST.example", ["first.example", "second.example", "localhost"]),
        ("10.0.0.1", ["first.example", "second.example", "localhost", "10.0.0.1"]),
    ):
        made = as_object("certs", tmp_path, "--host", host)
        check(made, CERTS | {"clients": [CLIENT]})
        assert made["hosts"] == names_of(tmp_path / "server.crt") == names
    after = contents(tmp_path)
    assert after.pop("server.crt") != before.pop("server.crt")
    assert after == before
    assert stat.filemode((tmp_path / "server.crt").stat().st_mode) == "-rw-r--r--"
    server, ca = (x509.load_pem_x509_certificate((tmp_path / name).read_bytes()) for name in ("server.crt", "ca.crt"))
    server.verify_directly_issued_by(ca)
    assert "--host NAME adds names to it" in run("certs", tmp_path, code=2)


@pytest.mark.long_but_for("no key", "another authority", "a link to nothing")
@pytest.mark.parametrize("fault", ["no key", "another key", "another authority", "no certificate", "a link to nothing"])
def test_names_are_added_only_to_what_was_made_here(fault: str, tmp_path: Path) -> None:
    where, other = tmp_path / "certs", tmp_path / "other"
    run("certs", where)
    run("certs", other)
    changed = where / ("server.key" if fault.endswith("key") else "server.crt")
    changed.unlink()
    if fault.startswith("another"):
        changed.write_bytes((other / changed.name).read_bytes())
        changed.chmod(0o600)
    elif fault == "no certificate":
        changed.write_text("nothing")
    elif fault == "a link to nothing":
        changed.symlink_to(tmp_path / "nothing")
    before = sorted(path.name for path in where.iterdir())
    said = run("certs", where, "--host", "a", code=2)
    assert "names cannot be added" in said or "already exists and is not overwritten" in said
    assert sorted(path.name for path in where.iterdir()) == before


def test_half_an_authority_and_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").touch()
    assert "needs both its ca.crt and its ca.key" in run("certs", tmp_path, code=2)
    assert "cannot be written" in run("certs", tmp_path / "ca.crt" / "below", code=2)


def test_a_token(tmp_path: Path) -> None:
    tokens, out = tmp_path / "tokens.toml", tmp_path / "alice.token"
    made = as_object("token", "alice", "--tokens", tokens, "--out", out, "--sessions", "a-*, b", "--days", "7")
    check(made, TOKEN)
    assert (mode(tokens), mode(out)) == (0o600, 0o600)
    token = out.read_text().strip()
    (entry,) = tomllib.loads(tokens.read_text())["credential"]
    assert timedelta(days=6) < entry.pop("expires_at") - datetime.now(UTC) <= timedelta(days=7)
    assert entry == {
        "name": "alice",
        "token_sha256": sha256(token.encode()).hexdigest(),
        "role": "agent",
        "sessions": ["a-*", "b"],
        "fleets": ["default"],
    }
    assert token not in tokens.read_text() + json.dumps(made)
    assert len(token) > 40


def test_entries_are_added_to_what_is_there(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('# ours\n[[credential]]\nname = "x"\ncertificate = "x"')  # and no line end
    tokens.chmod(0o640)
    name = 'q"uote \\ ü 🦉'
    run("token", name, "--tokens", tokens, "--certificate", name, "--role", "operator", "--fleets", "a,b")
    run("token", "other", "--tokens", tokens, "--out", tmp_path / "o", COORDINATION_FLEET="c")
    first, second, third = tomllib.loads(tokens.read_text())["credential"]
    assert first == {"name": "x", "certificate": "x"}
    assert second == {"name": name, "certificate": name, "role": "operator", "sessions": [], "fleets": ["a", "b"]}
    assert third["fleets"] == ["c"]
    assert (tokens.read_text()[:6], mode(tokens)) == ("# ours", 0o640)


@pytest.mark.long_but_for(
    "arguments0-either --out or --certificate is needed",
    "arguments2-already exists and is not overwritten",
    "arguments4-allowed are agent and operator",
    "arguments7-must be printable",
    "arguments8-cannot be written",
)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either --out or --certificate is needed"),
        (("--out", "new", "--certificate", "x"), "either --out or --certificate is needed"),
        (("--out", "there"), "already exists and is not overwritten"),
        (("--out", "no/where"), "cannot be written"),
        (("--out", "/"), "cannot be written: Is a directory"),
        (("--out", "new", "--tokens", "new"), "they must be two files"),
        (("--out", "new", "--role", "king"), "allowed are agent and operator"),
        (("--out", "new", "--fleets", ","), "at least one is needed"),
        (("--out", "new", "--days", "0"), "allowed are 1 to 36500"),
        (("--out", "new", "--sessions", "a\x07"), "must be printable"),
        (("--out", "new", "--tokens", "there/tokens"), "cannot be written"),
    ],
)
def test_what_is_no_credential(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    there, tokens = tmp_path / "there", tmp_path / "tokens"
    there.write_text("x")
    files = {"new", "there", "no/where", "there/tokens"}
    named = [str(tmp_path / word) if word in files else word for word in arguments]
    assert said in run("token", "alice", "--tokens", tokens, *named, code=2)
    assert sorted(contents(tmp_path)) == ["there"]
    assert there.read_text() == "x"


def test_a_coordinator_for_other_hosts_needs_protection(tmp_path: Path) -> None:
    run("certs", tmp_path)
    tokens = tmp_path / "tokens.toml"
    run("token", "a", "--tokens", tokens, "--out", tmp_path / "a.token")
    serve = ("serve", "--etcd", "127.0.0.1:1", "--listen", "0.0.0.0:0", "--metrics-listen", "127.0.0.1:0")
    tls = ("--tls-cert", tmp_path / "server.crt", "--tls-key", tmp_path / "server.key")
    assert "nothing protects it without credentials (--tokens)" in run(*serve, *tls, code=2)
    # From the environment: it goes on, and finds no etcd.
    variables = {"COORDINATION_TLS_CERT": str(tls[1]), "COORDINATION_TLS_KEY": str(tls[3])}
    run(*serve, code=3, **variables, COORDINATION_TOKENS=str(tokens))
    # An option counts before the environment.
    said = run(*serve, "--tokens", tmp_path / "nothing", code=2, **variables, COORDINATION_TOKENS=str(tokens))
    assert "the tokens file" in said
