"""What the rules say of submitted work, as pure functions: it knows no etcd, no transaction and no race.

A piece of work is what the pool makes of it and no more: whether a session holds it, whether it is finished, and what
was submitted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from coordinator.model import PoolState, Submitted

MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class Submit:
    key: str
    request_id: str
    priority: int | None = None
    brief: str | None = None
    depends: tuple[str, ...] | None = None
    withdraw: bool = False


@dataclass(frozen=True)
class Claim:
    key: str
    session: str


@dataclass(frozen=True)
class End:
    """How a session ends its claim."""

    key: str
    session: str
    how: Literal["complete", "release", "fail"]


@dataclass(frozen=True)
class Expire:
    """A claim runs out; ``counts``: the recorder of that knows that others could write."""

    key: str
    counts: bool


@dataclass(frozen=True)
class PutBack:
    """An operator puts it back."""

    key: str
    request_id: str


Request = Submit | Claim | End | Expire | PutBack


@dataclass(frozen=True)
class Piece:
    """One piece of work. ``pool`` is None where it was never submitted, ``late`` whose claim of it expired last."""

    holder: str | None = None
    late: str | None = None
    finished: bool = False
    pool: PoolState | None = None
    priority: int = 0
    brief: str = ""
    depends: tuple[str, ...] = ()
    failures: int = 0
    returned_by: tuple[str, ...] = ()
    requests: tuple[tuple[str, Submitted], ...] = ()


World = dict[str, Piece]
#: What a request is answered: a word, or "no".
Answer = str


def apply(world: World, request: Request) -> tuple[World, Answer]:
    piece = world.get(request.key, Piece())
    match request:
        case Submit():
            changed, answer = _submit(world, piece, request)
        case Claim():
            changed, answer = _claim(piece, request.session)
        case End():
            changed, answer = _end(piece, request)
        case Expire():
            changed, answer = _expire(piece, counts=request.counts)
        case PutBack():
            changed, answer = _put_back(piece)
    return {**world, request.key: changed}, answer


def _submit(world: World, piece: Piece, request: Submit) -> tuple[Piece, Answer]:
    done = dict(piece.requests).get(request.request_id)
    if done is not None:
        return piece, done.value
    there = piece.pool in (PoolState.POOLED, PoolState.FAILED)
    if request.withdraw:
        if not there:
            return piece, "no"
        return _remembered(replace(piece, pool=PoolState.WITHDRAWN), request, Submitted.WITHDRAWN)
    if piece.finished and piece.holder is None:
        return piece, "no"
    if request.depends and _reaches(world, request.depends, request.key):
        return piece, "no"
    outcome = Submitted.UPDATED if there else Submitted.CREATED
    if not there:
        piece = replace(piece, pool=PoolState.POOLED, failures=0, returned_by=())
    piece = replace(
        piece,
        priority=piece.priority if request.priority is None else request.priority,
        brief=piece.brief if request.brief is None else request.brief,
        depends=piece.depends if request.depends is None else request.depends,
    )
    return _remembered(piece, request, outcome)


def _remembered(piece: Piece, request: Submit, outcome: Submitted) -> tuple[Piece, Answer]:
    return replace(piece, requests=(*piece.requests, (request.request_id, outcome))), outcome.value


def _reaches(world: World, keys: tuple[str, ...], target: str) -> bool:
    met, left = set(), list(keys)
    while left:
        each = left.pop()
        if each == target:
            return True
        if each not in met:
            met.add(each)
            piece = world.get(each, Piece())
            if piece.pool is not PoolState.WITHDRAWN:
                left += piece.depends
    return False


def _claim(piece: Piece, session: str) -> tuple[Piece, Answer]:
    if piece.holder is not None or piece.finished:
        return piece, "no"
    brief = piece.brief if piece.pool is not None else ""
    return replace(piece, holder=session, late=None), f"granted {brief}"


def _end(piece: Piece, request: End) -> tuple[Piece, Answer]:
    in_time = piece.holder == request.session
    late = request.how == "complete" and piece.holder is None and piece.late == request.session
    if not in_time and not late:
        return piece, "no"
    piece = replace(piece, holder=None, late=None)
    if request.how == "complete":
        in_pool = piece.pool in (PoolState.POOLED, PoolState.FAILED)
        return replace(piece, finished=True, pool=PoolState.COMPLETED if in_pool else piece.pool), "done"
    if piece.pool is PoolState.POOLED:
        others = tuple(each for each in piece.returned_by if each != request.session)
        piece = replace(piece, returned_by=(*others, request.session))
        if request.how == "fail":
            piece = _failed(piece)
    return piece, "done"


def _failed(piece: Piece) -> Piece:
    failures = piece.failures + 1
    return replace(piece, failures=failures, pool=PoolState.FAILED if failures >= MAX_ATTEMPTS else piece.pool)


def _expire(piece: Piece, *, counts: bool) -> tuple[Piece, Answer]:
    if piece.holder is None:
        return piece, "no"
    piece = replace(piece, holder=None, late=piece.holder)
    return (_failed(piece) if counts and piece.pool is PoolState.POOLED else piece), "done"


def _put_back(piece: Piece) -> tuple[Piece, Answer]:
    if piece.holder is not None or not (piece.finished or piece.pool is PoolState.FAILED):
        return piece, "no"
    if piece.pool in (PoolState.COMPLETED, PoolState.FAILED):
        piece = replace(piece, pool=PoolState.POOLED, failures=0, returned_by=())
    return replace(piece, finished=False), "done"
