"""The commands about work, ``work-*``: by which sessions claim it, and people look at it and repair it."""
