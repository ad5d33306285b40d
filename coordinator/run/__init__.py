"""``coordination run``: runs a command for as long as a claim is held, and never longer.

Invariant: where a claim ends by its deadline, no process of the command is alive when another session is granted the
work (ADR 30). A process of its own, the ``watchdog``, ensures that. It and what it imports (``descendants``,
``descriptors``, ``environment``, ``messages``, ``prctl``) load only parts of the standard library that load fast. All
else is done by the wrapper: it claims, renews, passes signals on and reports how it ended.

There are more than twelve files because each thing that two processes and a terminal have to agree on has its own.
"""
