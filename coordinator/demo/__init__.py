"""A fleet of ten sessions that all pick from the same list, in three ways: ``coordination demo``."""
