"""``coordination demo [--json]``: ten sessions pick from the same list: with claims, with next, and without.

Starts an embedded etcd and a coordinator on free ports and, at the end or when interrupted, leaves nothing behind.
Exits with 0 only if no claimed work was done twice and all else went as it must; with 1 and a sentence on standard
error if not; with 130 if interrupted.

``--json`` prints one object and nothing else on standard output:

    schema, fleet   "v1", and the fleet that claims from the top of the list
    ok, problems    whether all went as it must; if not, what did not, a sentence each
    items, pieces   the list as every session reads it, and how many different pieces of work are on it
    with_claims, with_next, without_claims, for each of the three fleets: the first claims from the top of the list, the
                    second names the whole list in each call, the third claims nothing
        sessions, killed    how many processes there were, and how many of them were killed
        calls               calls to get work, the take-over's and the latecomer's too: with claims, one for each item
        grants, denials     what was answered to these calls
        pieces_done         lines in the journal of work done
        distinct_pieces, duplicated_pieces, pieces_untouched
                            different pieces among them, those beyond, and those on the list that were not done
        first_picks         [{session, item, work_key, denials: [{item, work_key, reason, by}]}], by place on the list;
                            what a call with the whole list passes over is no denial
        done                [{session, work_key}], in the order in which it was done
    coordinator, coordinator_with_next
                    its own counts of the first two: {granted, denied, completed, live_claims, loose_ends}
    killed          {session, work_key, item, note, seconds_until_free}, seconds counted from the kill
    takeover        {session, attempt, previous: {attempt, session, cause, note}, command, exit_code, answer}
    takeover_with_next
                    {session, attempt, command, exit_code, answer}
    latecomer       {session, command, exit_code, answer}
    seconds         how long the demo took

Where the demo could not be played to its end there are schema, fleet, ok and problems only.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from coordinator.demo.printer import Printer
from coordinator.demo.processes import DemoFailed
from coordinator.demo.story import play_story
from coordinator.errors import CoordinatorError
from coordinator.names import DEFAULT_FLEET

__all__ = ["play"]


def play(*, as_json: bool) -> int:
    """Play the demo, with one JSON object on standard output or as text; returns the exit code."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # standard output is a TextIOWrapper here
    printer = Printer(silent=as_json)
    try:
        with tempfile.TemporaryDirectory(prefix="coordinator-demo-") as home:
            found = asyncio.run(_until_stopped(Path(home), printer))
    except (KeyboardInterrupt, asyncio.CancelledError):
        printer.progress("")
        return 130
    except BrokenPipeError:
        # The output is no longer read. What is still in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (DemoFailed, CoordinatorError, OSError) as error:
        printer.progress("")
        found = {"schema": "v1", "fleet": DEFAULT_FLEET, "ok": False, "problems": [str(error)]}
    if as_json:
        print(json.dumps(found))
    printer.problems(found["problems"])
    return 0 if found["ok"] else 1


async def _until_stopped(home: Path, printer: Printer) -> dict[str, Any]:
    """Play; whatever ends it from outside cancels it, so that everything is put away.

    The command's own handler would raise an exception anywhere, also where a process is being started.
    """
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await play_story(home, printer)
