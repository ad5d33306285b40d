"""Fleets of 1 to 200 sessions that choose from one list in three ways, and the figure of what comes of it."""
