"""A clock that tests set while commands run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

JUMP = "clock 3 days back, then 3 days on"
needed = pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime")


class Clock:
    """The time of day that commands see, three days back until it is set.

    What counts seconds since a start goes on as it is, and so do the times of files.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.set("-3d")

    def set(self, to: str) -> None:
        """By how much it is off from now on, as faketime writes it."""
        new = self.file.with_suffix(".new")
        new.write_text(to)
        new.rename(self.file)

    @property
    def command(self) -> list[str]:
        """What a command is started with."""
        variables = {
            "FAKETIME_TIMESTAMP_FILE": self.file,
            "FAKETIME_NO_CACHE": 1,
            "DONT_FAKE_MONOTONIC": 1,
            "NO_FAKE_STAT": 1,
        }
        words = [f"{name}={value}" for name, value in variables.items()]
        return ["faketime", "-f", "-3d", "env", "-u", "FAKETIME", *words]
