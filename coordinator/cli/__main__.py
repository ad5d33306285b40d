"""``python -m coordinator.cli`` is ``coordination``; so is this file, which `up --detach` runs by its path."""

import sys
from pathlib import Path

if not __package__:
    # Last, so that nothing beside our package comes before what is installed.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from coordinator.cli import main  # the search path comes first
from coordinator.process.current_directory import forget_current_directory  # likewise

if __package__:
    forget_current_directory(started_by_module=True)
main()
