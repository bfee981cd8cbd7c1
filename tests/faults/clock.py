"""A clock that tests set while commands run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

JUMP = "clock 3 days back, then 3 days on"
DAY = 86400
needed = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
# Comes before libc. (faketime would do, but with its 0.9.10 each of Python's sleeps is an error.)
SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long off_by(void) {
    char text[32] = "";
    const char *path = getenv("CLOCK_OFF_BY");
    int before = errno, file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
        close(file);
    }
    errno = before;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (!status && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += off_by();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int status = syscall(SYS_gettimeofday, now, zone);
    if (!status && now) now->tv_sec += off_by();
    return status;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """The time of day that commands see, three days back until it is set.

    What counts seconds since a start goes on as it is, and so do the times of files.
    """

    def __init__(self, folder: Path) -> None:
        self.file, self._shim = folder / "clock", folder / "clock.so"
        command = ["cc", "-shared", "-fPIC", "-o", str(self._shim), "-x", "c", "-"]
        subprocess.run(command, input=SHIM, text=True, check=True)
        self.set(-3)

    def set(self, days: int) -> None:
        """By how much it is off from now on."""
        new = self.file.with_suffix(".new")
        new.write_text(str(days * DAY))
        new.rename(self.file)

    @property
    def command(self) -> list[str]:
        """What a command is started with."""
        return ["env", f"LD_PRELOAD={self._shim}", f"CLOCK_OFF_BY={self.file}"]
