"""Whether a process has used up its memory: libraries then raise whatever comes to them."""

from __future__ import annotations

import os
import resource
import traceback

NEARLY = 0.9  # of the most that a process may have: the request that failed would have passed it


def shortage(error: BaseException) -> str:
    """What to say of an error that a lack of memory brought about; "" of any other.

    Beside ``MemoryError`` an import that breaks off half-way, or a C function that does not check
    an allocation, raises errors of all kinds: they are told by how near the process came to its
    limit of address space (``ulimit -v``, ``RLIMIT_AS``). What the error's frames hold is freed.
    """
    traceback.clear_frames(error.__traceback__)
    text = str(error)
    named = isinstance(error, MemoryError) or "bad_alloc" in text or "allocate memory" in text
    if not named and not _used_up():
        return ""
    return f"out of memory; {type(error).__name__}: {text}".removesuffix(": ")


def _used_up() -> bool:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return False
    try:  # by what needs least: a text file's codec may have to be imported
        file = os.open("/proc/self/status", os.O_RDONLY)
        peak = int(os.read(file, 4096).partition(b"VmPeak:")[2].split()[0]) * 1024
        os.close(file)
    except FileNotFoundError:  # a system without it
        return False
    except Exception:  # not enough even for that
        return True
    return peak > NEARLY * limit
