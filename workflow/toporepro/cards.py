"""The machine's GPUs: which there are, and one job at a time on each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from toporepro.provenance import progress

DEVICES = Path("/dev")
# With these, somebody else has already given this job its cards.
SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
_PAUSE = 2.0
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def cards() -> tuple[str, ...]:
    """The GPUs that a job may use, by CUDA's names for them: those that the environment leaves."""
    if _VISIBLE in os.environ:
        return tuple(name.strip() for name in os.environ[_VISIBLE].split(",") if name.strip())
    found = (re.fullmatch(r"nvidia([0-9]+)", path.name) for path in DEVICES.glob("nvidia*"))
    return tuple(sorted((match[1] for match in found if match), key=int))


@contextlib.contextmanager
def claim(count: int, locks: Path | None = None) -> Iterator[None]:
    """Hold ``count`` cards alone, waiting for them if need be, and let CUDA see no others.

    Without cards, and inside a cluster's job, whose cards its scheduler has chosen, nothing is
    done. The locks are the kernel's: they end with the process that holds them, however it ends,
    and pass on to what it turns into (``exec``).

    Args:
        locks: folder of one file per card, which all users of a machine share.

    Raises:
        RuntimeError: if the machine has fewer cards.
    """
    known = cards()
    if not known or any(name in os.environ for name in SCHEDULERS):
        yield
        return
    if count > len(known):
        raise RuntimeError(
            f"{count} GPUs are needed, {len(known)} are here ({', '.join(known)}): lower "
            "machine.gpus.training, or run it on a larger machine"
        )
    before = os.environ.get(_VISIBLE)
    with contextlib.ExitStack() as held:
        taken = _take(known, count, locks or Path(tempfile.gettempdir()), held)
        os.environ[_VISIBLE] = ",".join(taken)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VISIBLE]
            else:
                os.environ[_VISIBLE] = before


def _take(known: tuple[str, ...], count: int, locks: Path, held: contextlib.ExitStack) -> list[str]:
    """Lock so many cards, all of them or none, so that two jobs never wait for each other."""
    said = False
    while True:
        with contextlib.ExitStack() as attempt:
            taken: list[str] = []
            for name in known:
                if len(taken) < count and _lock(locks, name, attempt):
                    taken.append(name)
            if len(taken) == count:
                held.push(attempt.pop_all())
                return taken
        if not said:
            progress(f"waiting for {count} of {len(known)} GPUs, which other jobs hold")
            said = True
        time.sleep(_PAUSE)


def _lock(locks: Path, card: str, attempt: contextlib.ExitStack) -> bool:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", card)
    # Opened to read: another user's file may not be written, but can be locked all the same.
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW
    file = os.open(locks / f"toporepro-gpu-{name}.lock", flags, 0o644)
    os.set_inheritable(file, True)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    attempt.callback(os.close, file)
    return True
