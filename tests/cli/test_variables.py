"""Environment variables of ours with values that cannot be: exit code 2, and a sentence that names it (17)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator import AsyncClient, Client, InvalidInput
from tests.integration.server_running import COMMAND, environment, run
from tests.loaded_command import shared_command

SILENT = {"COORDINATION_ENDPOINT": "127.0.0.1:1", "COORDINATION_TIMEOUT": "1", "COORDINATION_SESSION": "s"}
SERVE = ("serve", "--etcd", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
OF_CLIENTS = ("ENDPOINT", "FLEET", "TIMEOUT", "TOKEN_FILE", "TLS", "CA", "CERT", "CERT_KEY")
#: The command that reads each.
VARIABLES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*OF_CLIENTS, "INSTANCE", "SESSION", "CONFIG"), ("work-claim", "task:x")),
    **dict.fromkeys(("KEY", "FENCING_TOKEN"), ("work-renew",)),
    **dict.fromkeys(
        (
            *("TOPIC_KINDS", "TLS_CERT", "TLS_KEY", "CLIENT_CA", "TOKENS", "METRICS_PUBLIC", "MAX_CLAIMS_PER_SESSION"),
            *("MAX_CLAIMS_PER_FLEET", "MAX_CALLS", "MAX_WRITE_RATE_PER_FLEET", "MAX_WRITE_RATE_PER_CREDENTIAL"),
            *("ETCD_QUOTA_BYTES", "REAPER", "RETENTION_DAYS", "LOG_LEVEL", "LOG_FILE", "AUDIT_LOG", "ETCD_CA"),
            *("ETCD_CERT", "ETCD_KEY", "ETCD_USER", "ETCD_PASSWORD_FILE"),
        ),
        SERVE,
    ),
    "LISTEN": ("serve", "--etcd", "127.0.0.1:1"),
    "METRICS_LISTEN": SERVE[:5],
    "ETCD_ENDPOINTS": ("serve",),
    **dict.fromkeys(("DATA_DIR", "ETCD_LISTEN", "ETCD"), ("up",)),
}
BAD = {"blank": " \t", "line break": "a\nb", "not UTF-8": "a\udcff", "long": "x" * 5000, "escape": "a\x1b[2Jb"}


@pytest.mark.long_but_for("blank", "line break")
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("variables", [[*VARIABLES][:20], [*VARIABLES][20:]], ids=["first", "rest"])
def test_17_what_no_variable_can_hold(bad: str, variables: list[str], tmp_path: Path) -> None:
    for name in variables:
        variable = f"COORDINATION_{name}"
        usual = SILENT | ({"COORDINATION_KEY": "task:x"} if name == "FENCING_TOKEN" else {})
        usual |= {"COORDINATION_DATA_DIR": str(tmp_path)} if name in ("ETCD_LISTEN", "ETCD") else {}
        done = shared_command().run(
            [COMMAND, *VARIABLES[name]], environment(**usual | {variable: BAD[bad]}), seconds=30
        )
        assert (done.returncode, done.stdout) == (2, ""), (variable, done)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("notice: ")]
        assert lines[0].startswith("error: "), lines
        assert variable in lines[0]
        assert [line.partition(":")[0] for line in lines[1:]] in ([], ["hint"]), lines


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"COORDINATION_LISTEN": "nowhere"}, "(environment COORDINATION_LISTEN)"),
        ({"COORDINATION_TLS_CERT": "/a"}, "needed together (environment COORDINATION_TLS_CERT)"),
        ({"COORDINATION_TOPIC_KINDS": "9"}, "(environment COORDINATION_TOPIC_KINDS)"),
        ({"COORDINATION_LOG_LEVEL": "loud"}, "(environment COORDINATION_LOG_LEVEL)"),
        ({"COORDINATION_ETCD_CA": "/nowhere"}, "(environment COORDINATION_ETCD_CA)"),
        ({"COORDINATION_TOKENS": "/nowhere"}, "(environment COORDINATION_TOKENS)"),
    ],
)
def test_17_what_an_option_cannot_be_names_the_variable_that_it_came_from(variables: dict[str, str], said: str) -> None:
    command = ["serve", "--etcd", "127.0.0.1:1", "--metrics-listen", "127.0.0.1:0"]
    done = shared_command().run([COMMAND, *command], environment(**variables), seconds=30)
    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said in error


def test_17_an_option_that_is_given_is_not_called_by_its_variable() -> None:
    variables = environment(**SILENT, COORDINATION_LISTEN="a\nb", COORDINATION_FLEET="a\nb")
    done = shared_command().run([COMMAND, *SERVE[:3], "--listen", "x", "--fleet", "f"], variables, seconds=30)
    assert done.returncode == 2
    assert "COORDINATION_" not in done.stderr


@pytest.mark.parametrize("asked", ["foo", "complete_powershell", "a\nb", "x" * 5000, "\udcff", " "])
def test_17_a_completion_that_no_shell_asks_for_is_no_denial(asked: str) -> None:
    for command in (["work-claim", "s", "task:x"], ["--version"], []):
        done = shared_command().run([COMMAND, *command], environment(_COORDINATION_COMPLETE=asked), seconds=30)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: the environment variable _COORDINATION_COMPLETE ")


def test_17_an_empty_variable_says_nothing() -> None:
    done = run("--version")
    empty = shared_command().run([COMMAND, "--version"], environment(_COORDINATION_COMPLETE=""), seconds=30)
    assert (empty.returncode, empty.stdout) == (0, done.stdout)


@pytest.mark.parametrize("sort", [Client, AsyncClient])
@pytest.mark.parametrize("bad", BAD)
def test_17_clients_name_the_variable_too(
    sort: type[Client | AsyncClient], bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_CLIENTS:
        with monkeypatch.context() as patched:
            patched.setenv(f"COORDINATION_{name}", BAD[bad])
            with pytest.raises(InvalidInput, match=re.escape(f"the environment variable COORDINATION_{name} ")):
                sort()
