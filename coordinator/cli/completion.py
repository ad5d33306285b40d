"""Shell completion: ``coordination completion SHELL`` prints what a shell has to load.

The script asks the command itself for what fits, so it never has to be made again. Nothing is installed: where such
files belong differs between systems, and the help of the command says what to type.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from coordinator.cli.streams import write_answer
from coordinator.errors import InvalidInput
from coordinator.names import shorten
from coordinator.process.variables import read_variable

__all__ = ["COMPLETING", "HELP", "Shell", "completion", "prepare_completion"]

#: Set by the script of a shell when it asks what fits; typer makes this name from that of the command.
COMPLETING = "_COORDINATION_COMPLETE"

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


def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", metavar="SHELL", show_default=False)],
) -> None:
    """Print the script of a shell."""
    from typer._completion_shared import get_completion_script

    # Typer itself only prints it through an option of the whole command, and for the shell it thinks it runs in.
    script = get_completion_script(prog_name="coordination", complete_var=COMPLETING, shell=shell.value)
    write_answer(f"{script}\n")


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
    from typer._completion_classes import completion_init

    completion_init()
    return True
