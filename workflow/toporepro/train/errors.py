"""What stops a training, in words for the person who reads them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space of your quota",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
}


class TrainError(RuntimeError):
    """A training that cannot start or go on; nothing was published."""


class DivergedError(TrainError):
    """The loss or the weights are no finite numbers any more."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write below ``path`` into one clear sentence.

    Raises:
        TrainError: naming the place, the reason and what to do.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        advice = _ADVICE.get(number, "see to the disk")
        raise TrainError(
            f"{path} cannot be written ({os.strerror(number)}): {advice} and start again; training "
            "goes on from its last saved state"
        ) from error
