"""A wall clock that is an hour ahead for some processes: a library that is loaded before the C library.

The clock of the host is left alone, since others use it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["build_library", "stepping"]

#: The wall clock, an hour ahead while the file that $STEPPED names is there; others are left as they are.
_SOURCE = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
    const char *file = getenv("STEPPED");
    return file && access(file, F_OK) == 0 ? atol(getenv("STEP")) : 0;
}
int clock_gettime(clockid_t id, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, id, now);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += step();
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
"""


def build_library(path: Path) -> None:
    """Compile the library to a path that ends with ``.so``."""
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is needed to step the clock"
    source = path.with_suffix(".c")
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(source)], check=True)


def stepping(library: Path, switch: Path, seconds: int) -> dict[str, str]:
    """Return the environment of processes whose clock is that much ahead while the file ``switch`` is there."""
    return {"LD_PRELOAD": str(library), "STEPPED": str(switch), "STEP": str(seconds)}
