"""``python -m coordinator`` is ``coordination``."""

from coordinator.cli import main
from coordinator.process.current_directory import forget_current_directory

forget_current_directory(started_by_module=True)
main()
