"""Resume state on disk: checksummed files, of which the last two are kept.

``{folder}/{key}/`` holds everything of one training, where the key stands for its spec, code and
data: ``step-….state``, the snapshots taken so far, and the ledger of attempts. It stays after the
end, so that a finished job is published again without training.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from toporepro.energy import Meter
from toporepro.provenance import (
    DamagedError,
    atomic,
    progress,
    read_sealed,
    sha256,
    write_sealed,
)
from toporepro.train.errors import writing

_MAGIC = b"toporepro state 1\n"
_KEPT = 2
_SHARE = 0.05  # of the time goes into saving at most


class StateFolder:
    """The states of one training."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key
        self._all = folder

    def prepare(self) -> None:
        """Create the folder and remove what a killed attempt left half-written.

        Raises:
            TrainError: if it cannot be written.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_partial(self.folder)

    def save(self, step: int, content: Mapping[str, Any]) -> None:
        """Write a state atomically; the one before it stays, older ones go.

        Raises:
            TrainError: if it cannot be written.
        """
        buffer = io.BytesIO()
        torch.save(dict(content), buffer)
        payload = buffer.getbuffer()
        digest = hashlib.sha256(payload).hexdigest().encode()
        path = self.folder / f"step-{step:010d}.state"
        with writing(path):
            with atomic(path) as temporary, temporary.open("wb") as file:
                file.write(_MAGIC + digest + b"\n")
                file.write(payload)
            for old in self.states()[_KEPT:]:
                old.unlink()

    def states(self) -> list[Path]:
        """All state files, the newest first."""
        return sorted(self.folder.glob("step-*.state"), reverse=True)

    def newest(self) -> Path | None:
        """The newest state that is whole, as are the snapshots that it counts on.

        Damaged ones are removed, with a message.
        """
        for path in self.states():
            try:
                problem = self._missing_snapshot(read_state(path))
            except ValueError as error:
                problem = str(error)
            if not problem:
                return path
            progress(f"{path.name}: {problem}; an older state, or the start, is used instead")
            with writing(path):
                path.unlink()
        return None

    def snapshot(self, index: int) -> Path:
        """Where a snapshot waits until it is published."""
        return self.folder / f"snapshot-{index:02d}.safetensors"

    def _missing_snapshot(self, content: Mapping[str, Any]) -> str:
        for index, digest in content["snapshots"].items():
            path = self.snapshot(index)
            if not path.exists() or sha256(path) != digest:
                return f"{path.name}, which belongs to it, is missing or damaged"
        return ""

    def remove_others(self) -> None:
        """Remove states of other specs, code or data, once this training has finished."""
        for other in self._all.iterdir():
            if other.is_dir() and other != self.folder:
                shutil.rmtree(other, ignore_errors=True)


def read_state(path: Path) -> dict[str, Any]:
    """Content of a state file, tensors on the CPU.

    Raises:
        ValueError: if the file is damaged.
    """
    data = path.read_bytes()
    start = len(_MAGIC) + 65
    digest = hashlib.sha256(memoryview(data)[start:]).hexdigest()
    if data[:start] != _MAGIC + digest.encode() + b"\n":
        raise ValueError("damaged (its checksum does not hold)")
    content: dict[str, Any] = torch.load(
        io.BytesIO(data[start:]), map_location="cpu", weights_only=True
    )
    return content


def remove_partial(folder: Path, stem: str = "*") -> None:
    """Remove temporary files that a killed process left behind."""
    for path in folder.glob(f".{stem}.*.partial*"):
        path.unlink(missing_ok=True)


class SaveClock:
    """When the next state is due: every so many seconds, more if saving takes long."""

    def __init__(self, seconds: float) -> None:
        self._wait = self._seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self._wait

    def saved(self, cost: float) -> None:
        """Note that a state was saved just now, in ``cost`` seconds."""
        self._last = time.monotonic()
        self._wait = max(self._seconds, cost / _SHARE)


class Ledger:
    """Attempts at one training, their wall times and energy, also of those that were killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._attempts: list[dict[str, Any]] = []
        try:
            self._attempts = read_sealed(path)["attempts"]
        except FileNotFoundError:
            pass
        except DamagedError:
            progress(f"{path}: damaged; earlier attempts are not counted")
        self._started: float | None = None
        self._meter: Meter | None = None
        self._lock = threading.Lock()  # the lease's heartbeat notes the time too

    def begin(self, step: int, meter: Meter) -> None:
        """Open an attempt that starts at a step."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        attempt = {"host": platform.node(), "pid": os.getpid(), "started": now, "step": step}
        self._attempts.append({**attempt, "seconds": 0.0})
        self._started, self._meter = time.monotonic(), meter
        self.note()

    def note(self) -> None:
        """Write down the time and energy so far, if an attempt is open."""
        if self._started is None or self._meter is None:
            return
        with self._lock, writing(self._path):
            self._attempts[-1]["seconds"] = round(time.monotonic() - self._started, 3)
            self._attempts[-1]["energy_kwh"] = self._meter.kwh()
            self._attempts[-1]["energy_source"] = self._meter.source
            write_sealed(self._path, {"attempts": self._attempts})

    @property
    def attempts(self) -> int:
        return len(self._attempts)

    @property
    def seconds(self) -> float:
        """Wall time over all attempts."""
        return float(sum(attempt["seconds"] for attempt in self._attempts))

    @property
    def energy(self) -> dict[str, Any]:
        """Over all attempts, for the manifest; unknown if that of one of them is."""
        spent = [attempt.get("energy_kwh") for attempt in self._attempts]
        known = [kwh for kwh in spent if kwh is not None]
        if not self._attempts:  # damaged after the training had ended
            return {"energy_kwh": None, "energy_source": "the note of its attempts was lost"}
        return {
            "energy_kwh": sum(known) if len(known) == len(spent) else None,
            "energy_source": self._attempts[-1]["energy_source"],
        }
