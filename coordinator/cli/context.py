"""What every command takes: where the coordinator is, which fleet, how long to wait, and how to answer.

Precedence: option, then environment, then configuration file, then default; ``coordination config show`` shows which.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from coordinator.cli import config_file
from coordinator.cli.garbage_collection import loading
from coordinator.client._ids import new_id
from coordinator.errors import InvalidInput
from coordinator.limits import check_timeout
from coordinator.names import DEFAULT_FLEET
from coordinator.net.endpoints import DEFAULT_LISTEN
from coordinator.process.variables import read_variable

if TYPE_CHECKING:
    from coordinator.client import AsyncClient, Client
    from coordinator.repository import FindRepository

__all__ = ["SETTINGS", "VERBOSE", "Context", "Setting", "current", "find_verb", "named_fleet", "remember", "wants_json"]

#: The switch by which a command says how it was answered.
VERBOSE = "--verbose"
#: The common options as they were given. A process runs one command, and its errors must know them too.
_given: dict[str, Any] = {}


class Setting(NamedTuple):
    """A setting that every command has."""

    name: str
    default: str
    metavar: str
    help: str
    #: What its variable is called behind COORDINATION_, where that is not its name.
    variable_name: str = ""

    @property
    def option(self) -> str:
        """The option that sets it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def parameter(self) -> str:
        """What the option is called among a command's parameters, where a work key is `key` already."""
        return f"common_{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"COORDINATION_{self.variable_name or self.name.upper()}"


SETTINGS = (
    Setting("endpoint", DEFAULT_LISTEN, "HOST:PORT|unix:/PATH[,…]", "Where the coordinators are."),
    Setting("fleet", DEFAULT_FLEET, "NAME", "The fleet whose claims are meant."),
    Setting("repo", "", "OWNER/NAME", "The repository that #7 means; by default that of the git checkout."),
    Setting("timeout", "5", "SECONDS", "How long to wait for an answer, at most."),
    Setting("token_file", "", "FILE", "The file that holds your token."),
    Setting("tls", "auto", "on|off|auto", "Whether to use TLS; auto: if an authority or a certificate is given."),
    Setting("ca", "", "FILE", "The authority that signed the certificates of the coordinators (PEM)."),
    Setting("cert", "", "FILE", "The certificate to show them (PEM)."),
    # COORDINATION_KEY is the work key of a command that `run` runs.
    Setting("key", "", "FILE", "The key of that certificate (PEM).", "CERT_KEY"),
)


class Chosen(NamedTuple):
    """The value of a setting, and where it comes from: option, environment, config file or default."""

    value: str
    source: str


class Context(NamedTuple):
    """The settings of this invocation."""

    chosen: dict[str, Chosen]
    json: bool
    config_file: config_file.Found

    @property
    def fleet(self) -> str:
        """The fleet."""
        return self.chosen["fleet"].value

    @property
    def endpoint(self) -> str:
        """Where the coordinators are."""
        return self.chosen["endpoint"].value

    @property
    def timeout(self) -> float:
        """How long to wait, in seconds."""
        typed, source = self.chosen["timeout"]
        return check_timeout(typed, source)

    @property
    def tls(self) -> bool:
        """Whether to speak TLS, also where no authority and no certificate are given."""
        typed, source = self.chosen["tls"]
        if typed not in ("on", "off", "auto"):
            raise InvalidInput(f"tls is {typed!r} ({source}); allowed are on, off and auto", field="tls")
        if typed == "off" and (self._file("ca") or self._file("cert")):
            raise InvalidInput("tls is off, but a certificate is given; leave out one of them", field="tls")
        return typed == "on"

    def check(self) -> None:
        """Raise ``InvalidInput`` for a setting that no command could use."""
        from coordinator.names import check_fleet
        from coordinator.net.endpoints import parse_endpoints

        parse_endpoints(self.endpoint)
        check_fleet(self._named_fleet())
        _ = self.timeout, self.tls, self.repo

    @property
    def encrypted(self) -> bool:
        """Whether connections to the coordinators are encrypted."""
        return self.tls or self._file("ca") is not None or self._file("cert") is not None

    @property
    def shows_token(self) -> bool:
        """Whether calls carry a token."""
        return self._file("token_file") is not None

    @property
    def certificate(self) -> tuple[Path, Path] | None:
        """The files of the certificate that is shown to the coordinators and of its key; None where none is."""
        cert, key = self._file("cert"), self._file("key")
        return None if cert is None or key is None else (Path(cert), Path(key))

    @property
    def repo(self) -> str | FindRepository:
        """The repository that a number alone means, as it was named, or else what finds that of the checkout.

        Raises ``InvalidInput`` for what names none.
        """
        named, source = self.chosen["repo"]
        if not named:
            return _repo_of_checkout
        from coordinator.repository import read_repository

        try:
            read_repository(named)
        except InvalidInput as error:
            raise InvalidInput(f"{error.message} ({source})", field="repo", hint=error.hint) from None
        return named

    @property
    def repository(self) -> str:
        """The repository that was named, or that of the checkout; "" for none."""
        return self.repo if isinstance(self.repo, str) else self.repo()

    def _named_fleet(self) -> str:
        """Return the fleet; an empty one, as of an unset variable, would mean the default one."""
        name, source = self.chosen["fleet"]
        if not name:
            raise InvalidInput(
                f"the fleet is empty ({source}); it must be named",
                field="fleet",
                hint=f"for example {DEFAULT_FLEET}, which is meant where none is given",
            )
        if source.startswith("environment "):
            # It was not typed just now, and the coordinator, which would refuse it, may not answer.
            from coordinator.names import check_fleet

            check_fleet(name)
        return name

    def _file(self, name: str) -> str | None:
        return self.chosen[name].value or None

    def client(self, endpoint: str | None = None, *, instance: str = "") -> Client:
        """Return a client for the coordinators, or for the one at ``endpoint``.

        ``instance`` is the one that it claims as if COORDINATION_INSTANCE names none.
        """
        arguments = self._client_arguments()
        arguments["instance"] = arguments["instance"] or instance
        with loading():
            from coordinator.client import Client

        return Client(endpoint or self.endpoint, **arguments)

    def client_of(self, instance: str, timeout: float) -> Client:
        """Return a client for the coordinators that claims as ``instance`` and waits for ``timeout`` seconds."""
        arguments = self._client_arguments() | {"instance": instance, "timeout": timeout}
        with loading():
            from coordinator.client import Client

        return Client(self.endpoint, **arguments)

    def async_client_within(self, most_seconds: float) -> AsyncClient:
        """Return an asynchronous client that is an instance of its own and waits for so many seconds at most."""
        chosen = {"instance": new_id(), "timeout": min(self.timeout, most_seconds)}
        arguments = self._client_arguments() | chosen
        with loading():
            from coordinator.client import AsyncClient

        return AsyncClient(self.endpoint, **arguments)

    def async_client(self) -> AsyncClient:
        """Return an asynchronous client for the coordinators."""
        arguments = self._client_arguments()
        with loading():
            from coordinator.client import AsyncClient

        return AsyncClient(self.endpoint, **arguments)

    def _client_arguments(self) -> dict[str, Any]:
        """Return what a client is made with.

        It names an instance only if COORDINATION_INSTANCE does: two commands of one session are two processes, and
        the second must be able to renew what the first has claimed.
        """
        from coordinator.cli.database_options import note_database

        note_database(named=self.chosen["endpoint"].source != "default" or self.json)
        # gRPC itself would write about failed handshakes, beside our sentence. It reads this when it is first used.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        return {
            "fleet": self._named_fleet(),
            "timeout": self.timeout,
            "tls": self.tls,
            # Empty is none. The client need not read the environment again.
            **{name: self._file(name) or "" for name in ("ca", "cert", "key", "token_file")},
            "instance": read_variable("COORDINATION_INSTANCE") or "",
            "repo": self.repo,
        }


def _repo_of_checkout() -> str:
    """Return the address of the repository of the git checkout, "" for none; a key of another form needs none."""
    from coordinator.cli.checkout import find_origin
    from coordinator.repository import read_repository

    origin = find_origin()
    try:
        return origin if read_repository(origin) else ""
    except InvalidInput:
        return ""


def remember(setting: str, value: object) -> None:
    """Keep the value that a common option was given; of several the last one counts."""
    _given[setting] = value


def current() -> Context:
    """Return the settings of the command that runs."""
    file = config_file.find(setting.name for setting in SETTINGS)
    chosen = {}
    for setting in SETTINGS:
        if setting.name in _given:
            chosen[setting.name] = Chosen(str(_given[setting.name]), "option")
        elif (found := read_variable(setting.variable)) is not None:
            chosen[setting.name] = Chosen(found, f"environment {setting.variable}")
        elif setting.name in file.settings:
            chosen[setting.name] = Chosen(file.settings[setting.name], f"config file {file.path}")
        else:
            chosen[setting.name] = Chosen(setting.default, "default")
    return Context(chosen, json=bool(_given.get("json")), config_file=file)


def named_fleet() -> str:
    """Return the fleet that was named, as far as that was found out before an error."""
    with contextlib.suppress(InvalidInput):
        return current().fleet
    return str(_given.get("fleet") or os.environ.get("COORDINATION_FLEET") or DEFAULT_FLEET)


def wants_json(arguments: list[str]) -> bool:
    """Return whether ``--json`` was asked for, also where the arguments could not be understood."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return bool(_given.get("json")) or "--json" in options


def find_verb(arguments: list[str]) -> str | None:
    """Return the first word that is no common option nor the value of one; None if another option stands first."""
    words = iter(arguments)
    for word in words:
        if any(word == setting.option for setting in SETTINGS):
            next(words, None)
        elif word not in ("--json", VERBOSE) and not any(word.startswith(f"{setting.option}=") for setting in SETTINGS):
            return None if word.startswith("-") else word
    return None
