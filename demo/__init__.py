"""A fleet of ten sessions that all pick from the same list, with claims and without: ``python -m demo``."""
