"""What every command takes: where the coordinator is, which fleet, how long to wait, and how to answer.

Precedence: option, then environment, then configuration file, then default; ``coordination config show`` shows which.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from typer.core import TyperCommand, TyperGroup, TyperOption

from coordinator.cli import config_file
from coordinator.cli.help import help_option, write_commands, write_parameters
from coordinator.cli.interruption import Ended
from coordinator.errors import InvalidInput
from coordinator.limits import check_timeout
from coordinator.names import DEFAULT_FLEET
from coordinator.net.endpoints import DEFAULT_LISTEN

if TYPE_CHECKING:
    from coordinator.client import AsyncClient, Client

__all__ = ["CommonCommand", "CommonGroup", "Context", "current", "find_verb", "named_fleet", "wants_json"]

#: The common options as they were given. A process runs one command, and its errors must know them too.
_given: dict[str, Any] = {}


class Setting(NamedTuple):
    """A setting that every command has."""

    name: str
    default: str
    metavar: str
    help: str

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
        return f"COORDINATION_{self.name.upper()}"


SETTINGS = (
    Setting("endpoint", DEFAULT_LISTEN, "HOST:PORT|unix:/PATH[,…]", "Where the coordinators are."),
    Setting("fleet", DEFAULT_FLEET, "NAME", "The fleet whose claims are meant."),
    Setting("timeout", "5", "SECONDS", "How long to wait for an answer, at most."),
    Setting("token_file", "", "FILE", "The file that holds your token."),
    Setting("tls", "auto", "on|off|auto", "Whether to use TLS; auto: if an authority or a certificate is given."),
    Setting("ca", "", "FILE", "The authority that signed the certificates of the coordinators (PEM)."),
    Setting("cert", "", "FILE", "The certificate to show them (PEM)."),
    Setting("key", "", "FILE", "The key of that certificate (PEM)."),
)


class Chosen(NamedTuple):
    """The value of a setting, and where it comes from: option, environment, config file or default."""

    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Context:
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
        _ = self.timeout, self.tls

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

    def _named_fleet(self) -> str:
        """Return the fleet; an empty one, as of an unset variable, would mean the default one."""
        name, source = self.chosen["fleet"]
        if not name:
            raise InvalidInput(
                f"the fleet is empty ({source}); it must be named",
                field="fleet",
                hint=f"for example {DEFAULT_FLEET}, which is meant where none is given",
            )
        return name

    def _file(self, name: str) -> str | None:
        return self.chosen[name].value or None

    def client(self, endpoint: str | None = None, *, instance: str = "") -> Client:
        """Return a client for the coordinators, or for the one at ``endpoint``.

        ``instance`` is the one that it claims as if COORDINATION_INSTANCE names none.
        """
        arguments = self._client_arguments()
        arguments["instance"] = arguments["instance"] or instance
        from coordinator.client import Client

        return Client(endpoint or self.endpoint, **arguments)

    def async_client(self) -> AsyncClient:
        """Return an asynchronous client for the coordinators."""
        arguments = self._client_arguments()
        from coordinator.client import AsyncClient

        return AsyncClient(self.endpoint, **arguments)

    def _client_arguments(self) -> dict[str, Any]:
        """Return what a client is made with.

        It names an instance only if COORDINATION_INSTANCE does: two commands of one session are two processes, and
        the second must be able to renew what the first has claimed.
        """
        # gRPC itself would write about failed handshakes, beside our sentence. It reads this when it is first used.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        return {
            "fleet": self._named_fleet(),
            "timeout": self.timeout,
            "tls": self.tls,
            # Empty is none, also where the environment says otherwise: an option has set it.
            **{name: self._file(name) or "" for name in ("ca", "cert", "key", "token_file")},
            "instance": os.environ.get("COORDINATION_INSTANCE", ""),
        }


def current() -> Context:
    """Return the settings of the command that runs."""
    file = config_file.find(setting.name for setting in SETTINGS)
    chosen = {}
    for setting in SETTINGS:
        if setting.name in _given:
            chosen[setting.name] = Chosen(str(_given[setting.name]), "option")
        elif os.environ.get(setting.variable):
            chosen[setting.name] = Chosen(os.environ[setting.variable], f"environment {setting.variable}")
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
        elif word != "--json" and not any(word.startswith(f"{setting.option}=") for setting in SETTINGS):
            return None if word.startswith("-") else word
    return None


class _CommonOption(TyperOption):
    """An option of every command, which is remembered instead of being handed to it."""

    def __init__(self, name: str, option: str, parameter: str, **settings: Any) -> None:
        super().__init__(param_decls=[parameter, option], expose_value=False, callback=self._take, **settings)
        self._setting = name

    def _take(self, _context: Any, _parameter: Any, value: Any) -> None:
        # Given before and after the verb, the later one counts.
        if value is not None and value is not False:
            _given[self._setting] = value


class _ConnectionOption(_CommonOption):
    """Says where the coordinators are, and how to speak to them."""


def _common_options() -> list[_CommonOption]:
    json = _CommonOption(
        "json", "--json", "json", is_flag=True, default=False, help="Answer with one JSON object (docs/json.md)."
    )
    return [
        json,
        *(
            _ConnectionOption(
                setting.name,
                setting.option,
                setting.parameter,
                type=str,
                metavar=setting.metavar,
                help=f"{setting.help} [env: {setting.variable}; default: {setting.default or 'none'}]",
            )
            for setting in SETTINGS
        ),
    ]


class CommonCommand(TyperCommand):
    """A command with the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        return help_option(super().get_help_option(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a signal ends it quietly, where typer would write to standard error."""
        try:
            return super().invoke(ctx)
        except Ended as ended:
            return ended.code

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces of the usage line, arguments without the braces that typer puts around them.

        Of two arguments of which the first may be left out, the last is the one that is needed.
        """
        pieces = [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]
        return [*pieces[:-1], "KEY"] if pieces[-2:] == ["[SESSION]", "[KEY]"] else pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, those of the connection last."""
        write_parameters(self.get_params(ctx), _ConnectionOption, ctx, formatter)


class CommonGroup(TyperGroup):
    """The group of all commands; takes the common options before the verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())

    #: The headings in the help, each with the commands under it.
    headings: ClassVar[Mapping[str, Sequence[str]]] = {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options, those of the connection last."""
        write_commands(self.commands, self.headings, formatter)
        write_parameters(self.get_params(ctx), _ConnectionOption, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        return help_option(super().get_help_option(ctx))
