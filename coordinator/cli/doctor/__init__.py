"""``doctor``: its command, and what it looks at."""
