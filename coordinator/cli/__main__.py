"""``python -m coordinator.cli`` is ``coordination``."""

from coordinator.cli import main

main()
