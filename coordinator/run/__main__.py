"""Starts the watchdog: ``python -I -S`` on this file, which finds the package without site-packages.

Not to be run by hand; ``coordination run`` does it.
"""

import os.path
import sys

# Last, so that nothing beside our package comes before the standard library.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120  # pathlib loads slowly

from coordinator.run.watchdog import main  # the search path comes first

main(sys.argv[1:])
