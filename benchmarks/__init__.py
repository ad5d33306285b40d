"""How fast the coordinator is, against what its parts could do at best on the same machine in the same minutes."""
