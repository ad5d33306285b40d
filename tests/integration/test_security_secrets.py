"""No secret is ever in a log, an answer, an error, the metrics, the settings shown, or a list of processes."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from coordinator import AsyncClient, Client, CoordinatorError
from coordinator.client._security import Security
from tests.conftest import COMMAND, RunningEtcd
from tests.integration.security_world import World, make_world
from tests.loaded_command import shared_command


def secrets_of(world: World, *tokens: str) -> list[str]:
    """What must be nowhere: the tokens, and the middle lines of the private keys."""
    keys = [path.read_text().splitlines()[1:-1] for path in world.directory.glob("*.key")]
    return [*tokens, *(line for lines in keys for line in lines)]


def run(*arguments: str, **settings: str) -> str:
    """Run a command, and return all that it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    done = shared_command().run([COMMAND, *arguments], environment | settings, 60)
    return f"{arguments} {done.returncode}\n{done.stdout}{done.stderr}"


def test_no_secret_is_anywhere(etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
    world = make_world(tmp_path / "certs", "alice")
    made = run(
        *("token", "alice", "--tokens", str(world.tokens), "--out", str(world.file("alice.token"))),
        *("--sessions", "alice-*", "--fleets", fleet, "--json"),
    )
    token = world.file("alice.token").read_text().strip()
    wrong = "coordination-this-token-is-of-no-use-to-anybody"
    world.file("wrong.token").write_text(wrong)
    world.file("wrong.token").chmod(0o600)
    secrets = secrets_of(world, token, wrong)
    command = [COMMAND, "serve", "--etcd", etcd.endpoint, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    command += world.serve_options(mutual=True)
    with (tmp_path / "log").open("w+") as log:
        coordinator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        with coordinator:
            assert coordinator.stdout is not None
            ready = coordinator.stdout.readline()
            endpoint, metrics = (word.rstrip(",") for word in (ready.split()[3], ready.split()[5]))
            settings = {
                "COORDINATION_ENDPOINT": endpoint,
                "COORDINATION_FLEET": fleet,
                "COORDINATION_CA": str(world.ca),
                "COORDINATION_CERT": str(world.file("alice.crt")),
                "COORDINATION_CERT_KEY": str(world.file("alice.key")),
                "COORDINATION_TOKEN_FILE": str(world.file("alice.token")),
            }
            said = [made, ready, " ".join(map(str, coordinator.args))]  # type: ignore[arg-type]  # a list of words
            for arguments, changed in (
                (("work-claim", "alice-1", "task:x", "--json"), {}),
                (("work-claim", "bob-1", "task:x"), {}),
                (("work-revoke", "task:x", "--reason", "no"), {}),
                (("status", "--json"), {}),
                (("config", "show"), {}),
                (("config", "show", "--json"), {}),
                (("work-show", "task:x"), {"COORDINATION_TOKEN_FILE": str(world.file("wrong.token"))}),
                (("work-show", "task:x", "--json"), {"COORDINATION_TOKEN_FILE": str(world.file("wrong.token"))}),
                (("work-show", "task:x"), {"COORDINATION_CA": ""}),
                (("work-show", "task:x"), {"COORDINATION_CA": str(world.file("alice.key"))}),
                (("work-show", "task:x"), {"COORDINATION_CERT": str(world.file("server.crt"))}),
                (("work-show", "task:x"), {"COORDINATION_TOKEN_FILE": str(world.file("alice.key"))}),
                (("work-show", "task:x"), {"COORDINATION_ENDPOINT": "192.0.2.1:1", "COORDINATION_CA": ""}),
            ):
                said.append(run(*arguments, **(settings | changed)))
            world.tokens.write_text(f'[[credential]]\nname = "x"\ntoken_sha256 = "{token}"\n')
            said.append(run("serve", "--etcd", etcd.endpoint, *world.serve_options(), "--listen", "127.0.0.1:0"))
            with urllib.request.urlopen(metrics, timeout=20) as page:  # noqa: S310  # an address that it printed itself
                said.append(page.read().decode())
            coordinator.terminate()
        log.seek(0)
        said.append(log.read())
    everything = "\n".join(said)
    for expected in ("granted", "PERMISSION_DENIED", "UNAUTHENTICATED", "token_sha256 must be the 64 digits"):
        assert expected in everything
    assert [secret for secret in secrets if secret in everything] == []


@pytest.mark.parametrize("kind", [Client, AsyncClient, Security])
def test_no_secret_is_in_what_python_shows(kind: type, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one-two-three")
    token.chmod(0o600)
    assert "one-two-three" not in repr(kind(token_file=token))
    for wrong in ("one two-three", "", "one-two-three" * 100):
        token.write_text(wrong)
        with pytest.raises(CoordinatorError) as raised:
            kind(token_file=token)
        assert "two-three" not in f"{raised.value!r} {raised.value.message} {raised.value.hint}"


def test_no_option_takes_a_secret() -> None:
    done = run("--help")
    assert "--token-file FILE" in done
    assert "--token " not in done
    assert "--password" not in done
