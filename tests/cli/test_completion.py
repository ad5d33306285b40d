"""What shells are offered, and the help that people read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli.context import SETTINGS
from tests.conftest import COMMAND, Coordination

#: What each shell's script says to the command when it asks what fits, with the words typed so far filled in.
_ASKING = {
    "bash": ("COMP_WORDS", "COMP_CWORD"),
    "zsh": ("_TYPER_COMPLETE_ARGS",),
    "fish": ("_TYPER_COMPLETE_FISH_ACTION", "_TYPER_COMPLETE_ARGS"),
}


def offered_in_bash(typed: str, tmp_path: Path) -> list[str]:
    """Return what bash offers for a line, the cursor at its end."""
    words = typed.split(" ")
    script = f"""
        eval "$(coordination completion bash)"
        COMP_WORDS=({" ".join(word or "''" for word in words)})
        COMP_CWORD={len(words) - 1}
        "$(complete -p coordination | sed 's/.*-F \\([^ ]*\\).*/\\1/')" coordination
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    bash = shutil.which("bash")
    assert bash is not None
    environment = {"PATH": f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    shell = subprocess.run(
        [bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert not shell.stderr
    return shell.stdout.split()


@pytest.mark.long_but_for(
    "coordination work-c-among0", "coordination work-claim --t-among2", "coordination --endpoint x:1 compl-among5"
)
@pytest.mark.parametrize(
    ("typed", "among"),
    [
        ("coordination work-c", ["work-claim", "work-complete"]),
        ("coordination wor", ["work-ack", "work-show"]),
        ("coordination work-claim --t", ["--timeout", "--token", "--ttl"]),
        ("coordination config ", ["show"]),
        ("coordination work-list --state ", ["abandoned", "claimed", "completed"]),
        ("coordination --endpoint x:1 compl", ["completion"]),
        ("coordination completion ", ["bash", "fish", "zsh"]),
        ("coordination install c", ["claude", "codex", "cursor"]),
    ],
)
def test_bash_offers_what_fits(typed: str, among: list[str], tmp_path: Path) -> None:
    offered = offered_in_bash(typed, tmp_path)
    assert {*among} <= {*offered}
    assert all(word.startswith(typed.rsplit(" ", maxsplit=1)[-1]) for word in offered)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_for_what_the_command_answers(shell: str, coordination: Coordination) -> None:
    script = coordination("completion", shell).stdout
    asked = {name: name for name in _ASKING[shell] if name in script}
    assert len(asked) == len(_ASKING[shell])
    (variable,) = re.findall(rf"(\w+)=complete_{shell}\b", script)[:1]
    answers = coordination(
        **{variable: f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "coordination work-c"},
        **({"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}),
    )
    assert answers.returncode == 0
    assert {"work-claim", "work-complete"} <= {*re.findall(r"work-\w+", answers.stdout)}
    assert "work-list" not in answers.stdout


@pytest.mark.long_but_for("no words", "no number", "not a number")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({}, "COMP_WORDS is not set; with _COORDINATION_COMPLETE it must be", id="no words"),
        pytest.param({"COMP_WORDS": "coordination w"}, "COMP_CWORD is not set", id="no number"),
        pytest.param({"COMP_WORDS": "coordination w", "COMP_CWORD": "x"}, "COMP_CWORD is 'x'; it", id="not a number"),
        pytest.param({"COMP_WORDS": "coordination w", "COMP_CWORD": ""}, "COMP_CWORD is ''; it must", id="empty"),
        pytest.param({"COMP_WORDS": "coordination w", "COMP_CWORD": "-1"}, "COMP_CWORD is '-1'; it", id="negative"),
        pytest.param({"COMP_WORDS": "coordination w", "COMP_CWORD": "9" * 5000}, "it must be the number", id="endless"),
    ],
)
def test_variables_that_bash_does_not_set_so_are_refused(
    settings: dict[str, str], said: str, coordination: Coordination
) -> None:
    refused = coordination(_COORDINATION_COMPLETE="complete_bash", **settings)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert "\nhint: unset _COORDINATION_COMPLETE" in refused.stderr
    assert len(refused.stderr) < 400


@pytest.mark.long_but_for("beyond the words", "an open quotation", "no words in zsh")
@pytest.mark.parametrize(
    ("shell", "settings"),
    [
        pytest.param("bash", {"COMP_WORDS": "coordination work-c", "COMP_CWORD": "99"}, id="beyond the words"),
        pytest.param("bash", {"COMP_WORDS": 'coordination "work-c', "COMP_CWORD": "1"}, id="an open quotation"),
        pytest.param("bash", {"COMP_WORDS": "coordination work-c\\", "COMP_CWORD": "1"}, id="an open escape"),
        pytest.param("bash", {"COMP_WORDS": "coordination \udcff", "COMP_CWORD": "1"}, id="no UTF-8"),
        pytest.param("bash", {"COMP_WORDS": "", "COMP_CWORD": "0"}, id="empty"),
        pytest.param("zsh", {}, id="no words in zsh"),
        pytest.param("zsh", {"_TYPER_COMPLETE_ARGS": "coordination 'work-c"}, id="an open quotation in zsh"),
        pytest.param("fish", {"_TYPER_COMPLETE_ARGS": "coordination 'work-c"}, id="no action in fish"),
        pytest.param("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}, id="no words in fish"),
    ],
)
def test_words_of_any_form_are_completed_or_not(
    shell: str, settings: dict[str, str], coordination: Coordination
) -> None:
    done = coordination(_COORDINATION_COMPLETE=f"complete_{shell}", **settings)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("asked", ["complete_tcsh", "bash", "complete_BASH"])
def test_what_no_shell_asks_is_refused(asked: str, coordination: Coordination) -> None:
    refused = coordination(_COORDINATION_COMPLETE=asked)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"is '{asked}', which no shell asks" in refused.stderr


def test_a_shell_that_is_not_known_is_refused(coordination: Coordination) -> None:
    refused = coordination("completion", "tcsh")
    assert refused.returncode == 2
    assert "'bash', 'zsh', 'fish'" in refused.stderr


@pytest.mark.parametrize("command", ["work-claim", "work-list", "serve", "doctor"])
def test_a_commands_own_options_come_first_in_its_help(command: str, coordination: Coordination) -> None:
    own, _, connection = coordination(command, "--help").stdout.partition("\nConnection options:\n")
    assert [f"{setting.option} " in connection for setting in SETTINGS] == [True] * len(SETTINGS)
    options = own.partition("\nOptions:\n")[2]
    assert "--help" in options
    assert not [setting.option for setting in SETTINGS if re.search(rf"{setting.option}[ \n]", options)]


def test_every_command_stands_under_a_heading(coordination: Coordination) -> None:
    text = coordination("--help").stdout
    assert "\nWork:\n" in text
    assert "\nCommands:\n" not in text
    assert "..." not in text.partition("\n\n")[2], "a sentence is cut off"


def test_the_package_is_the_command() -> None:
    of_package = subprocess.run(
        [sys.executable, "-m", "coordinator", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    of_command = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert of_package.stdout == of_command.stdout
