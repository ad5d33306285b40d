"""What the tools take, and what an agent reads that has called one wrongly.

Invariant: an argument that a tool does not know is refused. A misspelt one would otherwise be left out silently, and
``claim`` would mean other work than the agent does.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coordinator.errors import InvalidInput
from coordinator.limits import HELD_CALL_SECONDS, MAX_CANDIDATES, MAX_DEPENDENCIES
from coordinator.quotation import line, quoted

__all__ = [
    "Arguments",
    "BriefingArguments",
    "ClaimArguments",
    "FinishArguments",
    "KeyArguments",
    "NoteArguments",
    "SubmitArguments",
    "read",
]

A = TypeVar("A", bound="Arguments")

#: How much of a wrong name or value an error repeats, in characters, and how many wrong arguments it names.
_MOST_SHOWN, _MOST_NAMED = 40, 3
_LONGEST_MESSAGE = 100


def _listed(value: Any) -> Any:
    """Return a list where an agent has written one work key alone, or the list as a text."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return [value]


class Arguments(BaseModel):
    """The arguments of a tool; ``example`` is a correct call."""

    model_config = ConfigDict(extra="forbid")
    example: ClassVar[str] = "{}"


class BriefingArguments(Arguments):
    """Those of ``briefing``."""

    everywhere: bool = Field(default=False, description="Also work of other repositories")


class ClaimArguments(Arguments):
    """Those of ``claim``."""

    example = '{"keys": ["github:acme/web#7", "task:db-migration"]}, or {} for the pool'

    keys: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default=[],
        description="What to choose from, most wanted first: kind:name, owner/repo#7, a URL; "
        f"at most {MAX_CANDIDATES}; left out: the pool",
    )
    note: str = Field(default="", description="What you are about to do; others read it")
    wait_seconds: float = Field(
        default=0, ge=0, le=HELD_CALL_SECONDS, description="How long to wait for it where it is taken, at most 45"
    )
    distinct_from: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default=[], description="Similar topics that are certainly other work"
    )


class KeyArguments(Arguments):
    """Those of ``look``."""

    example = '{"key": "github:acme/web#7"}'

    key: str = Field(description="The work key")


class SubmitArguments(Arguments):
    """Those of ``submit``."""

    example = '{"key": "task:translate-docs", "brief": "docs/run.md into French", "depends": ["task:review-docs"]}'

    key: str = Field(description="The work key")
    brief: str = Field(default="", description="What is to be done, for who gets it; empty keeps the last brief")
    priority: int = Field(default=0, description="Higher is handed out first")
    depends: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default=[], description=f"Keys of work that must be completed before, at most {MAX_DEPENDENCIES}"
    )

    def given(self, name: str) -> bool:
        """Return whether an argument was given: what is not leaves the work as it was."""
        return name in self.model_fields_set


class NoteArguments(KeyArguments):
    """Those of ``note``."""

    example = '{"key": "github:acme/web#7", "note": "tests written, docs left"}'

    note: str = Field(default="", description="How far you are, for who must go on; empty keeps the last note")


class FinishArguments(KeyArguments):
    """Those of ``finish``."""

    example = (
        '{"key": "github:acme/web#7", "outcome": "completed", "result": "PR #8"} or '
        '{"key": "github:acme/web#7", "outcome": "released", "reason": "needs a decision on X"}'
    )

    outcome: Literal["completed", "released", "failed"] = Field(
        description="completed: really finished; released: handed back, which is as good; failed: tried, does not work"
    )
    result: str = Field(default="", description="What came of it, e.g. a link; needed for completed")
    reason: str = Field(default="", description="Why, and what is left; needed for released and failed")


def read(kind: type[A], tool: str, given: dict[str, Any] | None) -> A:
    """Return the arguments of a call; raise ``InvalidInput``, which says what is wrong and how it is right."""
    # What an agent does not want to say, it may say as null.
    named = {name: value for name, value in (given or {}).items() if value is not None}
    try:
        return kind.model_validate(named)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    unknown = [problem["loc"][0] for problem in problems if problem["type"] == "extra_forbidden"]
    wrong = [_describe(problem) for problem in problems if problem["type"] != "extra_forbidden"][:_MOST_NAMED]
    if unknown:
        names = ", ".join(quoted(str(name), _MOST_SHOWN) for name in unknown[:_MOST_NAMED])
        wrong.append(f"there is no argument {names}; there are {', '.join(kind.model_fields)}")
    raise InvalidInput(f"{tool}: {'; '.join(wrong)}", field="arguments", hint=f"for example {kind.example}")


def _describe(problem: Any) -> str:
    # What is not known has been sorted out: the name is one of ours, and a number for an item of a list.
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {line(problem['msg'])[:_LONGEST_MESSAGE]}"
