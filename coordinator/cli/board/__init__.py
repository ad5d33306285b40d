"""``board``: a fleet at one moment, as one file for a browser."""
