"""``coordination top``."""
