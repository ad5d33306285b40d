"""What the quick way prints is what the full command prints: over generated arguments, answers and errors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coordinator
from coordinator import Client, OutcomeUnknown
from coordinator.client._begun import DEADLINE_EXCEEDED, Begun, Failing, begin, begun
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from tests.examples import examples
from tests.quick.both_ways import QUICKLY, run_both, run_one
from tests.quick.scripted_coordinator import Answer, ScriptedCoordinator, scripted_coordinator

_REQUESTS: dict[str, Any] = {
    "Claim": pb.ClaimRequest,
    "ClaimNext": pb.ClaimNextRequest,
    "Renew": pb.RenewRequest,
    "Complete": pb.CompleteRequest,
    "Release": pb.ReleaseRequest,
    "Withdraw": pb.WithdrawRequest,
}
_ID = "request-1"


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedCoordinator]:
    with scripted_coordinator() as running:
        yield running


def _mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 5).flatmap(lambda number: usual if number else odd)


_ODD_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_WORDS = _mostly(st.sampled_from(["", "half done", "PR #7", "ünï"]), _ODD_TEXT)
_NAMES = _mostly(st.sampled_from(["session-1", "s", "claude:7f8b", "a@b", "a/b"]), _ODD_TEXT)
_KEYS = _mostly(st.sampled_from(["task:x", "github:acme/web#7", "url:https://e.org/a?b=%20c"]), _ODD_TEXT)
_TIMES = _mostly(
    st.builds(Timestamp, seconds=st.integers(0, 2**32), nanos=st.integers(0, 999_999_999)),
    st.builds(Timestamp, seconds=st.integers(-(2**40), 2**40)),
)
_DURATIONS = st.builds(Duration, seconds=st.integers(-5, 700_000), nanos=st.integers(0, 999_999_999))
_NUMBERS = st.integers(0, 2**62)
_MAYBE_TIME = st.none() | _TIMES
_CLAIMS = st.builds(
    types.Claim,
    work_key=_KEYS,
    kind=st.just("task"),
    session=_NAMES,
    attempt=_NUMBERS,
    fencing_token=_NUMBERS,
    ttl=_DURATIONS,
    claimed_at=_MAYBE_TIME,
    expires_at=_MAYBE_TIME,
    remaining=st.none() | _DURATIONS,
    note=_WORDS,
)
_PREVIOUS = st.none() | st.builds(
    types.PreviousAttempt, attempt=_NUMBERS, session=_NAMES, cause=st.integers(0, 3), note=_WORDS, ended_at=_MAYBE_TIME
)
_DENIALS = st.builds(
    types.Denial,
    reason=_mostly(st.integers(1, 2), st.integers(0, 6)),
    holder=_NAMES,
    own_session=st.booleans(),
    completed_by=_NAMES,
    expires_at=_MAYBE_TIME,
    completed_at=_MAYBE_TIME,
    retry_after=st.none() | _DURATIONS,
    alternatives=st.lists(_KEYS, max_size=2),
    policy=_WORDS,
)
_CHOICES = st.builds(
    types.Choice,
    place=st.integers(0, 9),
    skipped_counts=st.lists(
        st.builds(types.SkippedCount, reason=_mostly(st.integers(1, 9), st.just(10)), count=st.integers(0, 99)),
        max_size=3,
        unique_by=lambda counted: counted.reason,
    ),
    skipped=st.lists(
        st.builds(
            types.Skipped,
            work_key=_KEYS,
            reason=_mostly(st.integers(1, 9), st.just(0)),
            holder=_NAMES,
            expires_at=_MAYBE_TIME,
        ),
        max_size=2,
    ),
    also_held=st.lists(_KEYS, max_size=2) | st.just([f"task:{number}" for number in range(6)]),
    nothing_free=_mostly(st.integers(0, 4), st.just(5)),
    from_pool=st.booleans(),
)
#: In one line, in several, with what is shown in another way, and too long.
_SOME_BRIEFS = [
    "Fix the form.",
    " a  b ",
    " ",
    "\n",
    "Two:\n  the second \n\n\nlast\n",
    "x y " * 41,
    "line\n" * 61,
    "x" * 4_001,
]
_ODD_BRIEFS = ["it's ''so''", 'say "no"', "run `it`", "a\tb", "a\rb\n", '`\n"\n', "x\u00fc\ny"]
_BRIEFS = _mostly(st.just(""), st.sampled_from([*_SOME_BRIEFS, *_ODD_BRIEFS]) | _WORDS)
_BLOCKED = _mostly(st.just([]), st.lists(_KEYS, max_size=2))
_RECORDS = st.builds(
    types.Record,
    work_key=_KEYS,
    kind=st.just("task"),
    state=_mostly(st.integers(3, 4), st.integers(0, 5)),
    session=_NAMES,
    attempt=_NUMBERS,
    fencing_token=_NUMBERS,
    cause=_mostly(st.integers(0, 3), st.just(9)),
    reason=_WORDS,
    result=_WORDS,
    note=_WORDS,
    claimed_at=_MAYBE_TIME,
    expires_at=_MAYBE_TIME,
    ended_at=_MAYBE_TIME,
    late=st.booleans(),
    acknowledged_at=_MAYBE_TIME,
    acknowledged_reason=_WORDS,
)
_OUTCOMES = _mostly(st.integers(1, 3), st.sampled_from([0, 9]))
_ANSWERS: dict[str, st.SearchStrategy[Any]] = {
    "work-claim": st.builds(
        pb.ClaimResponse,
        outcome=_OUTCOMES,
        work_key=_KEYS,
        typed_key=_KEYS,
        claim=_mostly(_CLAIMS, st.none()),
        denial=_DENIALS,
        previous=_mostly(st.none(), _PREVIOUS),
        brief=_BRIEFS,
        blocked_by=_BLOCKED,
        waited=_mostly(st.none(), _DURATIONS),
        new_fleet=st.booleans(),
    ),
    "work-next": st.builds(
        pb.ClaimNextResponse,
        outcome=_OUTCOMES,
        work_key=_KEYS,
        typed_key=_KEYS,
        claim=_CLAIMS,
        denial=_DENIALS,
        previous=_mostly(st.none(), _PREVIOUS),
        brief=_BRIEFS,
        blocked_by=_BLOCKED,
        waited=_mostly(st.none(), _DURATIONS),
        choice=_CHOICES,
        new_fleet=st.booleans(),
    ),
    "work-renew": st.builds(pb.RenewResponse, claim=_CLAIMS),
    "work-complete": st.builds(pb.CompleteResponse, record=_RECORDS),
    "work-abandon": st.builds(pb.ReleaseResponse, record=_RECORDS),
}
_CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
_DETAILS = st.builds(
    types.ErrorDetail,
    code=st.sampled_from(
        ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "PERMISSION_DENIED", "INTERNAL", "?"]
    ),
    message=_WORDS,
    hint=_WORDS,
    field=_WORDS,
    holder=_NAMES,
    retry_after=st.none() | _DURATIONS,
    claim_lost=st.booleans(),
)
#: Errors after which nothing is tried again: those are answered at once.
_FINAL = [
    code
    for code in _CODES
    if code.name
    not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED", "ABORTED")
]
_ERRORS = st.builds(
    Answer,
    status=st.sampled_from(_FINAL),
    sentence=_WORDS,
    detail=st.none() | _DETAILS.map(lambda it: it.SerializeToString()),
)
_TYPED_WORDS = _mostly(
    st.sampled_from(["task:x", "session-1", "acme/web#7", "claude:1", "#7", "half done"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
_OPTIONS = st.sampled_from(
    [
        "--ttl",
        "--note",
        "--result",
        "--reason",
        "--token",
        "--session",
        "--agent",
        "--fleet",
        "--timeout",
        "--repo",
        "--tls",
    ]
)
_VALUES = _mostly(
    st.sampled_from(
        ["60", "90s", "2h", "1.5h", "7d", "8d", "4s", "5", "0", "007", "1e3", "x", "", " ", "-3", "a/b", "off"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)
_PARTS = st.one_of(
    st.sampled_from([["--json"], ["--reopen"], ["--"], ["-h"], ["--nothing"]]),
    st.tuples(_OPTIONS, _VALUES).map(list),
    st.tuples(_OPTIONS, _VALUES).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
)


@st.composite
def _calls(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Draw a command that is well-formed for the most part, and what it is answered."""
    verb = draw(st.sampled_from(sorted(_ANSWERS)))
    words = ["session-1", "task:x"]
    if verb == "work-next":
        words = [*draw(st.sampled_from([["task:x", "acme/web#7"], []])), "--session", "s"]
    if draw(st.integers(0, 3)) == 0:
        words = draw(st.lists(_TYPED_WORDS, max_size=3))
    parts = draw(st.lists(_PARTS, max_size=2)) if draw(st.booleans()) else [["--json"]] * draw(st.integers(0, 1))
    arguments = [verb, "--request-id", _ID, *words, *(word for part in parts for word in part)]
    if draw(st.integers(0, 9)) == 0:
        arguments = ["--json", *arguments]
    answer = draw(_ANSWERS[verb])
    return arguments, answer.SerializeToString()


def _asked(scripted: ScriptedCoordinator) -> list[Any]:
    return [(method, _REQUESTS[method].FromString(request)) for method, request in scripted.requests]


_VARIABLES = st.sampled_from([{}, {"CLAUDE_CODE_SESSION_ID": "shared-1"}, {"COORDINATION_INSTANCE": "i-1"}])


@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(_calls(), _VARIABLES)
def test_every_answer_is_printed_as_the_full_command_prints_it(
    scripted: ScriptedCoordinator, call: tuple[list[str], bytes], environment: dict[str, str]
) -> None:
    _print_both_ways(scripted, *call, environment)


@pytest.mark.long
@settings(max_examples=1_000, suppress_health_check=list(HealthCheck))
@given(_calls(), _VARIABLES)
def test_a_thousand_answers_are_printed_as_the_full_command_prints_them(
    scripted: ScriptedCoordinator, call: tuple[list[str], bytes], environment: dict[str, str]
) -> None:
    _print_both_ways(scripted, *call, environment)


def _print_both_ways(
    scripted: ScriptedCoordinator, arguments: list[str], message: bytes, environment: dict[str, str]
) -> None:
    there = {"COORDINATION_ENDPOINT": scripted.endpoint, "COORDINATION_TIMEOUT": "20", **environment}
    scripted.answer(Answer(message))
    quick = run_one(arguments, quickly=True, **there)
    asked = _asked(scripted)
    scripted.answer(Answer(message))

    full = run_one(arguments, quickly=False, **there)

    assert quick == full
    expected = _asked(scripted)
    for _, request in asked + expected:
        # Each of several agents of one session is an instance of its own.
        if "CLAUDE_CODE_SESSION_ID" in environment and hasattr(request, "instance"):
            request.instance = ""
    assert asked == expected


@settings(max_examples=examples(15), suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(_ANSWERS)), _ERRORS, st.booleans())
def test_every_error_is_printed_as_the_full_command_prints_it(
    scripted: ScriptedCoordinator, verb: str, error: Answer, as_json: bool
) -> None:
    words = ["task:x", "--session", "s"] if verb == "work-next" else ["s", "task:x"]
    scripted.answer(error)

    quick, full = run_both(
        [verb, *words, "--request-id", _ID, *(["--json"] if as_json else [])], COORDINATION_ENDPOINT=scripted.endpoint
    )

    assert quick == full


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_request_in_doubt_is_repeated_under_its_id_and_withdrawn(
    scripted: ScriptedCoordinator, code: grpc.StatusCode
) -> None:
    claim = types.Claim(work_key="task:x", session="s", fencing_token=7, remaining=Duration(seconds=60))
    granted = Answer(pb.ClaimResponse(outcome=types.OUTCOME_GRANTED, claim=claim).SerializeToString())
    scripted.answer(Answer(status=code, sentence="gone"), granted, Answer())

    done = run_one(
        ["work-claim", "s", "task:x", "--timeout", "20", "--verbose"],
        quickly=True,
        COORDINATION_ENDPOINT=scripted.endpoint,
    )

    assert (done.code, done.answer) == (0, "claimed task:x (expires in 60 s)\n")
    assert done.complaints == "verbose: not answered the quick way: the answer is an error\n"
    (_, first), (_, second), (method, third) = _asked(scripted)
    assert first == second
    assert method == "Withdraw"
    assert [item.request_id for item in third.items] == [first.request_id]


def test_an_answer_that_is_left_to_the_full_command_is_not_asked_for_again(scripted: ScriptedCoordinator) -> None:
    claim = types.Claim(work_key="task:x", session="s", remaining=Duration(seconds=60))
    previous = types.PreviousAttempt(attempt=1, session="other", cause=types.CAUSE_RELEASED, note="half \x1b done")
    answer = pb.ClaimResponse(outcome=types.OUTCOME_GRANTED, claim=claim, previous=previous, new_fleet=True)
    scripted.answer(Answer(answer.SerializeToString()))

    done = run_one(["work-claim", "s", "task:x"], quickly=True, COORDINATION_ENDPOINT=scripted.endpoint)

    assert done.answer.startswith("claimed task:x (expires in 60 s)\n  this is attempt 0; attempt 1 by other was")
    assert done.complaints.startswith("notice: fleet 'default' is new; ")
    assert len(scripted.requests) == 1


_GIVEN = types.Claim(work_key="task:x", session="s", remaining=Duration(seconds=60))
_PASSED_OVER = types.Choice(
    skipped=[types.Skipped(work_key="task:y", reason=types.SKIP_REASON_HELD, holder="other")],
    skipped_counts=[types.SkippedCount(reason=types.SKIP_REASON_HELD, count=1)],
    also_held=["task:z"],
    nothing_free=types.NOTHING_FREE_HELD,
)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (
            pb.ClaimNextResponse(outcome=types.OUTCOME_GRANTED, claim=_GIVEN, brief="Fix the form."),
            0,
            'claimed task:x (expires in 60 s)\n  brief by the session that submitted it: "Fix the form."\n',
        ),
        (
            pb.ClaimNextResponse(outcome=types.OUTCOME_GRANTED, claim=_GIVEN, brief='Fix it:\n1. "form"\n'),
            0,
            (
                "claimed task:x (expires in 60 s)\n  brief by the session that submitted it:\n"
                '    | Fix it:\n    | 1. "form"\n'
            ),
        ),
        (
            pb.ClaimNextResponse(
                outcome=types.OUTCOME_DENIED,
                denial=types.Denial(reason=types.DENIAL_REASON_HELD, retry_after=Duration(seconds=300)),
                choice=_PASSED_OVER,
            ),
            1,
            "DENIED: nothing is free: 1 of 1 is held\n",
        ),
    ],
)
def test_what_the_pool_and_lists_give_is_answered_the_quick_way(
    scripted: ScriptedCoordinator, answer: pb.ClaimNextResponse, code: int, said: str
) -> None:
    scripted.answer(Answer(answer.SerializeToString()))
    for as_json in ([], ["--json"]):
        arguments = ["work-next", "task:y", "task:x", "--session", "s", "--verbose", *as_json]
        quick = run_one(arguments, quickly=True, COORDINATION_ENDPOINT=scripted.endpoint)
        assert QUICKLY in quick.complaints
        assert quick.code == code
        assert as_json or quick.answer == said


def test_every_brief_is_shown_as_the_full_command_shows_it(scripted: ScriptedCoordinator) -> None:
    for brief in (*_SOME_BRIEFS, *_ODD_BRIEFS):
        answer = pb.ClaimNextResponse(outcome=types.OUTCOME_GRANTED, claim=_GIVEN, brief=brief)
        scripted.answer(Answer(answer.SerializeToString()))
        quick, full = run_both(["work-next", "--session", "s"], COORDINATION_ENDPOINT=scripted.endpoint)
        assert quick == full


def test_the_usual_commands_are_answered_the_quick_way(scripted: ScriptedCoordinator) -> None:
    record = types.Record(work_key="task:x", state=types.STATE_COMPLETED, session="s")
    scripted.answer(Answer(pb.CompleteResponse(record=record).SerializeToString()))
    for arguments in (["--json", "--verbose"], ["--verbose", "--result", "x" * 15_000]):
        done = run_one(
            ["work-complete", "s", "task:x", *arguments], quickly=True, COORDINATION_ENDPOINT=scripted.endpoint
        )
        assert (done.code, done.complaints) == (0, QUICKLY)


def test_an_answer_that_says_more_is_given_to_the_full_command(scripted: ScriptedCoordinator) -> None:
    """A later coordinator may say something there that is to be shown."""
    claim = types.Claim(work_key="task:x", session="s", remaining=Duration(seconds=60))
    usual = pb.ClaimResponse(outcome=types.OUTCOME_GRANTED, claim=claim).SerializeToString()
    more = b"\xfa\x06\x03new"
    within = claim.SerializeToString() + more
    deeper = pb.ClaimResponse(outcome=types.OUTCOME_GRANTED).SerializeToString() + bytes((0x22, len(within))) + within
    for answer in (usual + more, deeper):
        scripted.answer(Answer(answer))
        done = run_one(
            ["work-claim", "s", "task:x", "--verbose"], quickly=True, COORDINATION_ENDPOINT=scripted.endpoint
        )
        assert (done.code, done.answer) == (0, "claimed task:x (expires in 60 s)\n")
        assert done.complaints == "verbose: not answered the quick way: the answer says more than is usual\n"
        assert len(scripted.requests) == 1


def test_what_the_quick_way_loads_was_loaded_by_python(scripted: ScriptedCoordinator) -> None:
    record = types.Record(work_key="task:x", state=types.STATE_COMPLETED, session="s")
    scripted.answer(Answer(pb.CompleteResponse(record=record).SerializeToString()))
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "COORDINATION_ENDPOINT": scripted.endpoint}
    code = (
        "import os, sys\nbefore = set(sys.modules)\nfrom coordinator.cli import main\n"
        "os._exit = lambda code: print(code, *sorted(set(sys.modules) - before), sep='\\n')\nmain()"
    )
    command = [sys.executable, "-S", "-c", code, "work-complete", "s", "task:x", "--json"]
    root = str(Path(coordinator.__file__).parents[1])
    done = subprocess.run(
        command, env=environment | {"PYTHONPATH": root}, capture_output=True, text=True, timeout=60, check=True
    )
    code_of_command, *modules = done.stdout.splitlines()[1:]
    assert code_of_command == "0"
    assert [each for each in modules if not each.startswith("coordinator")] == ["__future__", "_json", "_socket"]


def test_a_signal_while_the_full_command_is_loaded_leaves_the_outcome_unknown(scripted: ScriptedCoordinator) -> None:
    scripted.answer(Answer(status=grpc.StatusCode.UNAVAILABLE, sentence="gone"))
    code = (
        "import os, sys\nimport coordinator.cli as cli\nfull = cli._run_in_full\n"
        "def run(arguments):\n    os.kill(os.getpid(), 15)\n    return full(arguments)\n"
        "cli._run_in_full = run\ncli.main()"
    )
    environment = os.environ | {"COORDINATION_ENDPOINT": scripted.endpoint}
    command = [sys.executable, "-c", code, "work-claim", "s", "task:x", "--request-id", _ID]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr.startswith("error: a signal ended the command before an answer came: the outcome of the request")
    assert f"with the request id {_ID} " in done.stderr
    assert len(scripted.requests) == 1


def test_a_call_that_was_begun_takes_no_longer_than_it_was_given_then(scripted: ScriptedCoordinator) -> None:
    scripted.answer(Answer(pb.ClaimResponse(outcome=types.OUTCOME_GRANTED, claim=types.Claim()).SerializeToString()))
    request = pb.ClaimRequest(fleet="default", session="s", work_key="task:x", request_id=_ID, instance="i")
    call = Begun("Claim", request.SerializeToString(), scripted.endpoint, deadline=time.monotonic())
    call.failure = Failing(DEADLINE_EXCEEDED)
    begin(call)
    with Client(scripted.endpoint, timeout=60, instance="i") as client:
        with pytest.raises(OutcomeUnknown, match="did not answer in time"):
            client.try_claim("s", "task:x", request_id=_ID)
        assert begun() is None
        assert client.try_claim("s", "task:x", request_id=_ID)
    assert len([method for method, _ in scripted.requests if method == "Claim"]) == 1
