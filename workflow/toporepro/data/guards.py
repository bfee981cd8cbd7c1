"""What guards work on shared folders: one process at a time, and enough room on the disk."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from toporepro.data.index import DataError
from toporepro.provenance import progress

_MARGIN = 64 << 20


@contextlib.contextmanager
def exclusive(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock file; a second process (or thread) says that it waits, and waits.

    The operating system frees the lock when its holder dies, however it dies.

    Args:
        lock: the lock file; its folder is created. It may stay behind, empty.
        what: the work, for the line that a waiting process prints.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = FileLock(lock)
    try:
        handle.acquire(timeout=0)
    except Timeout:
        progress(f"{what}: another process is at it; waiting for it")
        handle.acquire()
    try:
        yield
    finally:
        handle.release()


def require_space(folder: Path, need: int, what: str) -> None:
    """Check that ``need`` bytes and a small margin are free where ``folder`` is or will be.

    Raises:
        DataError: naming the folder, the bytes needed and the bytes free.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < need + _MARGIN:
        raise DataError(
            f"{folder}: {what} needs {readable(need + _MARGIN)}, {readable(free)} are free; "
            "free some space, or put the data folder on another disk"
        )


def readable(size: float) -> str:
    """A number of bytes as people write it: ``9.9 MB``."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
