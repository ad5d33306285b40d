"""What clients read from the environment, and what wins over it.

This is number 27 of issue 12: "``Client()`` ignores COORDINATION_ENDPOINT, which its own hint names".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator import AsyncClient, Client, InvalidInput
from coordinator.security.ca import Made
from tests.conftest import RunningCoordinator

Sort = Callable[..., Client | AsyncClient]
SORTS = pytest.mark.parametrize("sort", [Client, AsyncClient])
Set = Callable[..., None]
ABSENT, TOKEN = "/not/there", "of-the-caller"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Set variables, named without COORDINATION_."""

    def put(**variables: str | Path) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"COORDINATION_{name}", str(value))

    return put


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "alice.token"
    path.write_text("from-a-file\n")
    path.chmod(0o600)
    return path


def _calls(client: Client | AsyncClient) -> Any:
    return client._process.mine.calls


def _security(client: Client | AsyncClient) -> Any:
    return _calls(client)._security


def test_a_client_finds_its_coordinator_and_fleet_in_the_environment(
    coordinator: RunningCoordinator, fleet: str, environment: Set
) -> None:
    environment(ENDPOINT=coordinator.endpoint, FLEET=fleet)
    with Client() as client, Client(coordinator.endpoint, fleet=fleet) as other:
        claim = client.claim("s", "task:one")
        assert other.get("task:one").claim is not None
        assert claim.session == "s"


async def test_an_async_client_finds_its_coordinator_and_fleet_in_the_environment(
    coordinator: RunningCoordinator, fleet: str, environment: Set
) -> None:
    environment(ENDPOINT=f"127.0.0.1:9,{coordinator.endpoint}", FLEET=fleet)
    async with AsyncClient() as client, AsyncClient(coordinator.endpoint, fleet=fleet) as other:
        await client.claim("s", "task:one")
        assert (await other.get("task:one")).claim is not None


@SORTS
def test_every_variable_is_read_and_by_default_what_the_command_line_has(
    sort: Sort, environment: Set, files: Made, token_file: Path
) -> None:
    client = sort()
    calls = _calls(client)
    assert (calls._endpoints.names, client._fleet, calls._timeout) == (("127.0.0.1:7420",), "default", 5.0)
    assert (calls._security.tls, calls._security.bearer_token) == (False, None)
    environment(
        ENDPOINT="one.example:1, two.example:2", FLEET="research-2", TIMEOUT="2.5", TOKEN_FILE=token_file,
        CA=files.ca, CERT=files.clients["alice"][0], CERT_KEY=files.clients["alice"][1],
    )  # fmt: skip
    client = sort()
    calls, security = _calls(client), _security(client)
    assert (calls._endpoints.names, client._fleet, calls._timeout) == (
        ("one.example:1", "two.example:2"), "research-2", 2.5,
    )  # fmt: skip
    assert (security.tls, security.bearer_token) == (True, "from-a-file")
    assert (str(security.ca), str(security.cert)) == (str(files.ca), str(files.clients["alice"][0]))


@SORTS
@pytest.mark.parametrize(("value", "encrypted"), [("on", True), ("off", False), ("auto", False), ("", False)])
def test_whether_to_speak_tls_is_read(sort: Sort, environment: Set, value: str, encrypted: bool) -> None:
    environment(TLS=value)
    assert _security(sort()).tls is encrypted


@SORTS
def test_arguments_win_over_variables(sort: Sort, environment: Set, files: Made, token_file: Path) -> None:
    environment(
        ENDPOINT="one.example:1", FLEET="research-2", TIMEOUT="2.5", TOKEN_FILE=ABSENT,
        CA="/not/there", CERT="/not/there", CERT_KEY="/not/there", TLS="off",
    )  # fmt: skip
    client = sort("127.0.0.1:5", fleet="f", timeout=9, ca=files.ca, cert="", token_file=token_file)
    calls, security = _calls(client), _security(client)
    assert (calls._endpoints.names, client._fleet, calls._timeout) == (("127.0.0.1:5",), "f", 9)
    assert (security.tls, security.cert, security.bearer_token) == (True, None, "from-a-file")
    client = sort("127.0.0.1:5", tls=False, bearer_token=TOKEN)
    assert (_security(client).tls, _security(client).bearer_token) == (False, TOKEN)
    client = sort("127.0.0.1:5", tls=False, token_file="")
    assert (_security(client).tls, _security(client).bearer_token) == (False, None)


@SORTS
def test_a_certificate_of_the_callers_goes_with_no_key_of_the_environments(
    sort: Sort, environment: Set, files: Made
) -> None:
    environment(CERT=files.server_cert, CERT_KEY=files.server_key, CA=files.ca)
    security = _security(sort(cert=files.clients["alice"][0], key=files.clients["alice"][1]))
    assert (security.cert, str(security.ca)) == (files.clients["alice"][0], str(files.ca))
    for given in ({"cert": files.clients["alice"][0]}, {"key": files.clients["alice"][1]}):
        with pytest.raises(InvalidInput, match=r"^cert and key are needed together$"):
            sort(**given)
    # A client that wants TLS has not said whom to trust.
    assert str(_security(sort(tls=True)).ca) == str(files.ca)


@SORTS
def test_empty_variables_say_nothing(sort: Sort, environment: Set) -> None:
    environment(ENDPOINT="", FLEET="", TIMEOUT="", TOKEN_FILE="", CA="", CERT="", CERT_KEY="", TLS="")
    client = sort()
    assert (_calls(client)._endpoints.names, client._fleet) == (("127.0.0.1:7420",), "default")
    assert (_security(client).tls, _security(client).bearer_token) == (False, None)


@SORTS
@pytest.mark.parametrize(
    ("variables", "reported"),
    [
        ({"ENDPOINT": "nowhere"}, "'nowhere' is not an endpoint; it must be HOST:PORT with a port from 1 to 65535"),
        ({"ENDPOINT": " , "}, "no endpoint was given; at least one HOST:PORT is needed"),
        ({"ENDPOINT": "http://h:1"}, "'http://h:1' is not an endpoint: it must be HOST:PORT, without a scheme"),
        ({"FLEET": "No Fleet"}, "'No Fleet' is not a fleet; its name is 1 to 63 of"),
        ({"TIMEOUT": "soon"}, "a timeout of 'soon' is not valid; allowed are 0.05 to 3600 seconds"),
        ({"TIMEOUT": "nan"}, "a timeout of 'nan' is not valid"),
        ({"TIMEOUT": "0"}, "a timeout of '0' is not valid"),
        ({"TLS": "yes"}, "tls is 'yes'; allowed are on, off and auto"),
        ({"CA": "/not/there/ca.crt"}, "/not/there/ca.crt"),
        ({"CERT": "/not/there/cert"}, "cert and key are needed together"),
        ({"CERT_KEY": "/not/there/key"}, "cert and key are needed together"),
        ({"TOKEN_FILE": "/not/there/token"}, "the token file /not/there/token cannot be read: No such file"),
        ({"TOKEN_FILE": "/"}, "the token file / cannot be read"),
    ],
    ids=lambda value: "-".join(f"{name}={given}" for name, given in value.items()) if isinstance(value, dict) else "",
)
def test_a_bad_value_is_reported_with_its_variable(
    sort: Sort, environment: Set, variables: dict[str, str], reported: str
) -> None:
    environment(**variables)
    with pytest.raises(InvalidInput) as raised:
        sort()
    (name,) = variables
    assert reported in str(raised.value)
    assert str(raised.value).endswith(f"(environment COORDINATION_{name})")


@SORTS
def test_a_bad_argument_is_reported_without_a_variable(sort: Sort, environment: Set) -> None:
    environment(ENDPOINT="127.0.0.1:1", TIMEOUT="3", FLEET="f")
    for given in ({"endpoints": "nowhere"}, {"timeout": 0}, {"timeout": "3"}, {"fleet": 7}, {"ca": "/not/there"}):
        with pytest.raises(InvalidInput) as raised:
            sort(**given)
        assert "COORDINATION_" not in str(raised.value)


@SORTS
def test_tls_that_is_off_beside_a_certificate_is_refused_and_a_token_in_clear(
    sort: Sort, environment: Set, files: Made, token_file: Path
) -> None:
    environment(TLS="off", CA=files.ca)
    with pytest.raises(InvalidInput, match=r"^tls is off, but a certificate is given; .*COORDINATION_TLS\)$"):
        sort()
    environment(CA="", TOKEN_FILE=token_file, ENDPOINT="far.example:7420")
    with pytest.raises(InvalidInput, match=r"^the token is not sent to far\.example:7420.*COORDINATION_ENDPOINT\)$"):
        sort()


@SORTS
def test_the_instance_of_a_command_is_not_that_of_a_client(sort: Sort, environment: Set) -> None:
    environment(INSTANCE="of-a-command")
    assert sort()._instance != "of-a-command"
    assert sort()._instance != sort()._instance


def test_an_option_that_is_empty_is_refused_where_a_variable_says_more(coordination: Any, environment: Set) -> None:
    ran = coordination("--ca", "", "--token-file", "", "work-show", "task:one", COORDINATION_CA="/not/there",
                       COORDINATION_TOKEN_FILE=ABSENT)  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: --ca is empty; it must have a value")
