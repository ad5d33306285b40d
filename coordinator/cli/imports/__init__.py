"""``import``: takes over what other tools know of work. The command, what it reads, and what it says."""
