"""The commands that run a coordinator, stop it, and copy its store: their options, and what they do."""
