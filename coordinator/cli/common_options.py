"""The options that every command takes, before the verb or after it, and the classes of commands that take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typer.core import TyperCommand, TyperGroup, TyperOption

from coordinator.cli.context import SETTINGS, VERBOSE, remember
from coordinator.cli.help import help_option, write_commands, write_parameters
from coordinator.cli.interruption import Ended
from coordinator.cli.typed_values import check_not_empty, check_typed, plain_numbers
from coordinator.cli.variables import check_variables, name_variables
from coordinator.errors import InvalidInput

__all__ = ["CommonCommand", "CommonGroup"]

#: The settings for which an empty value is refused in words of their own, which say what is allowed.
_SAY_THEMSELVES = frozenset({"endpoint", "fleet", "timeout", "tls"})


class _CommonOption(TyperOption):
    """An option of every command, which is remembered instead of being handed to it."""

    def __init__(self, name: str, option: str, parameter: str, **settings: Any) -> None:
        super().__init__(param_decls=[parameter, option], expose_value=False, callback=self._take, **settings)
        self._setting = name

    def _take(self, _context: Any, _parameter: Any, value: Any) -> None:
        # Given before and after the verb, the later one counts.
        if value is not None and value is not False:
            if self._setting not in _SAY_THEMSELVES:
                check_not_empty(self.opts[0], value)
            remember(self._setting, value)


class _ConnectionOption(_CommonOption):
    """Says where the coordinators are, and how to speak to them."""


def _common_options() -> list[_CommonOption]:
    json = _CommonOption(
        "json", "--json", "json", is_flag=True, default=False, help="Answer with one JSON object (docs/json.md)."
    )
    verbose = _CommonOption(
        "verbose",
        VERBOSE,
        "common_verbose",
        is_flag=True,
        default=False,
        help="Say on standard error whether the command was answered the quick way, and why not.",
    )
    return [
        json,
        verbose,
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
        for parameter in self.params:
            plain_numbers(parameter)
        own = {option for parameter in self.params for option in parameter.opts}
        self.params.extend(option for option in _common_options() if own.isdisjoint(option.opts))

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        return help_option(super().get_help_option(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments and variables; an error about a value from the environment names the variable."""
        try:
            return super().parse_args(ctx, args)
        except InvalidInput as error:
            name_variables(error, ctx)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a signal ends it quietly, where typer would write to standard error.

        An error about a value from the environment names the variable.
        """
        try:
            check_typed(ctx)
            check_variables(ctx)
            return super().invoke(ctx)
        except Ended as ended:
            return ended.code
        except InvalidInput as error:
            name_variables(error, ctx)
            raise

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
