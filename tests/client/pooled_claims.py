"""Claims in pools of processes; ``python pooled_claims.py ENDPOINT FLEET METHOD`` prints what came back, as JSON."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from coordinator import Client, CoordinatorError

WORKERS = 3


def claim(endpoint: str, fleet: str, session: str) -> str:
    """Claim the one work key; return the outcome, or raise ``ClaimDenied``."""
    with Client(endpoint, fleet=fleet) as client:
        return client.claim(session, "task:one").outcome.value


def fail(endpoint: str, fleet: str, session: str) -> str:
    """Raise errors of a coordinator and of a client."""
    with Client(endpoint, fleet=fleet) as client:
        if session == "s0":
            client.claim(session, "task:one", ttl=1)
        if session == "s1":
            client.complete(session, "task:never-claimed")
        raise client.claim_many(session, [" "])[0]  # type: ignore[misc]  # an error


def main(endpoint: str, fleet: str, method: str) -> None:
    """Run both in both sorts of pools."""
    context = multiprocessing.get_context(method)
    found = {}
    for work in (claim, fail):
        jobs = [(endpoint, f"{fleet}-{work.__name__}", f"s{number}") for number in range(WORKERS)]
        with context.Pool(WORKERS) as pool:
            found[f"Pool {work.__name__}"] = list(_results([pool.apply_async(work, job).get for job in jobs]))
        jobs = [(endpoint, f"{fleet}-executor-{work.__name__}", session) for endpoint, _, session in jobs]
        with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
            found[f"Executor {work.__name__}"] = list(_results([executor.submit(work, *job).result for job in jobs]))
    sys.stdout.write(json.dumps(found))


def _results(results: list) -> Iterator[str]:  # type: ignore[type-arg]  # functions that take a timeout
    for result in results:
        try:
            yield result(timeout=30)
        except CoordinatorError as error:
            denial = getattr(error, "denial", None)
            yield f"{type(error).__name__} {error.field} {denial and denial.reason} {error.holder}"


if __name__ == "__main__":
    main(*sys.argv[1:])
