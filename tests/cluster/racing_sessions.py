"""A process of racing sessions: ``python racing_sessions.py ENDPOINT FLEET FIRST COUNT``.

It says "ready" when all its sessions are connected. For every work key that comes as a line, all of them claim it at
once, and one line of JSON shows what each was answered. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from coordinator import AsyncClient, Claim


async def claim(client: AsyncClient, session: str, work_key: str) -> dict[str, Any]:
    answer = await client.try_claim(session, work_key, 3600)
    if isinstance(answer, Claim):
        return {"session": session, "attempt": answer.attempt, "token": answer.fencing_token}
    return {"session": session, "denied": answer.reason.value, "holder": answer.holder}


async def main(endpoint: str, fleet: str, first: int, count: int) -> None:
    async with AsyncExitStack() as stack:
        racers = []
        for number in range(first, first + count):
            client = await stack.enter_async_context(AsyncClient(endpoint, fleet=fleet, timeout=30))
            racers.append((client, f"session-{number:03d}"))
        await asyncio.gather(*(client.get("task:warm-up") for client, _ in racers))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while work_key := (await asyncio.to_thread(sys.stdin.readline)).strip():
            answers = await asyncio.gather(*(claim(client, session, work_key) for client, session in racers))
            sys.stdout.write(json.dumps(answers) + "\n")
            sys.stdout.flush()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
