"""``coordination run``: runs a command for as long as a claim is held, and never longer.

Invariant: where a claim ends by its deadline, no process of the command's is alive when another session is granted the
work (ADR 30). ``watchdog`` keeps it, a process of its own; it, and what it imports (``descendants``, ``descriptors``,
``messages``, ``prctl``), load nothing but parts of the standard library that load fast. The rest is the wrapper's: it
claims, renews, passes signals on and says how it ended.

There are more than twelve files because each thing that two processes and a terminal have to agree on has its own.
"""
