"""Shell completion: ``coordination completion SHELL`` prints what a shell has to load.

The script asks the command itself for what fits, so it never has to be made again. Nothing is installed: where such
files belong differs between systems, and the help of the command says what to type.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from coordinator.cli.streams import write_answer
from coordinator.errors import InvalidInput
from coordinator.names import shorten
from coordinator.patterns import Pattern
from coordinator.process.variables import read_variable

__all__ = ["COMMANDS", "COMPLETING", "prepare_completion"]

#: Set by the script of a shell when it asks what fits; typer makes this name from that of the command.
COMPLETING = "_COORDINATION_COMPLETE"

#: What to do where the variables of a completion are not as a shell's script sets them.
_SET_BY_SCRIPT = (
    f"unset {COMPLETING} to run a command; to complete one, load the script of `coordination completion bash`"
)

#: The help of the command. The control character keeps the lines below it as they are.
HELP = """Print the script that completes commands and options in a shell.

\b
bash:  echo 'eval "$(coordination completion bash)"' >> ~/.bashrc
zsh:   echo 'eval "$(coordination completion zsh)"' >> ~/.zshrc  (after compinit)
fish:  coordination completion fish > ~/.config/fish/completions/coordination.fish"""


class Shell(StrEnum):
    """The shells that completion is made for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


#: What the scripts of shells ask.
_QUESTIONS = tuple(f"complete_{shell}" for shell in Shell)
#: The number of the word at the cursor. A line has fewer words than this has digits for.
_WORD_NUMBER = Pattern("[0-9]{1,7}")


def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", metavar="SHELL", show_default=False)],
) -> None:
    """Print the script of a shell."""
    from typer._completion_shared import get_completion_script

    # Typer itself only prints it through an option of the whole command, and for the shell it thinks it runs in.
    script = get_completion_script(prog_name="coordination", complete_var=COMPLETING, shell=shell.value)
    write_answer(f"{script}\n")


completion.__doc__ = HELP
#: The command by its name.
COMMANDS: dict[str, Callable[..., None]] = {"completion": completion}


def prepare_completion() -> bool:
    """Have typer know the shells, if one of them asks, and return whether one does; typer itself knows none then.

    Raises ``InvalidInput`` for what no shell asks: typer would end with the code that means "no".
    """
    asked = read_variable(COMPLETING)
    if asked is None:
        os.environ.pop(COMPLETING, None)
        return False
    if asked not in _QUESTIONS:
        raise InvalidInput(
            f"the environment variable {COMPLETING} is {shorten(asked)}, which no shell asks",
            hint=f"unset it; the script of `coordination completion SHELL` sets it to {' or '.join(_QUESTIONS)}",
        )
    if asked == f"complete_{Shell.BASH}":
        _check_bash()
    from typer._completion_classes import completion_init

    completion_init()
    return True


def _check_bash() -> None:
    """Raise ``InvalidInput`` where typer would fail: bash's variables are missing, or are not as bash sets them."""
    for variable in ("COMP_WORDS", "COMP_CWORD"):
        if variable not in os.environ:
            raise InvalidInput(
                f"the environment variable {variable} is not set; with {COMPLETING} it must be", hint=_SET_BY_SCRIPT
            )
    number = os.environ["COMP_CWORD"]
    if not _WORD_NUMBER.fullmatch(number):
        raise InvalidInput(
            f"the environment variable COMP_CWORD is {shorten(number)}; it must be the number of a word, from 0",
            hint=_SET_BY_SCRIPT,
        )
