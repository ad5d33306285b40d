"""The pool: submitted work, what it depends on, and what becomes of it when an attempt ends."""
