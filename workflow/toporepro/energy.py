"""The energy that a job takes, where the machine tells it: of GPUs by NVML, of processors by RAPL.

A job holds its GPUs alone, so that their counters are its own. A processor's counter is shared with
all that runs there; of each interval the job is given its share of the machine's CPU time. What
cannot be read is said to be unmeasurable: nothing is put in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_HIGHEST = 1000.0  # watts that no processor takes: how fast a counter could turn over
_JOULES_IN_KWH = 3.6e6


class _UnmeasurableError(Exception):
    """Says why."""


class Meter:
    """Counts from when it is made.

    Attributes:
        source: what tells the energy, or why nothing does.
    """

    def __init__(
        self,
        device: str,
        gpus: Sequence[str] = (),
        *,
        processes: int = 1,
        powercap: Path = POWERCAP,
    ) -> None:
        """A meter of the job's device.

        Args:
            device: ``cpu`` or ``cuda``, whatever follows.
            gpus: with ``cuda``, the UUIDs of all cards that the job holds.
            processes: that share the job, children left out.
            powercap: where Linux has its RAPL counters.
        """
        self._counter: _Cards | _Processors | None = None
        try:
            if device.startswith("cuda"):
                self._counter = _Cards(gpus)
            elif processes > 1:
                raise _UnmeasurableError("CPU time of several processes is not put together")
            else:
                self._counter = _Processors(powercap)
            self.source = self._counter.source
        except _UnmeasurableError as why:
            self.source = f"not measurable: {why}"

    def kwh(self) -> float | None:
        """Energy so far in kWh; ``None`` if it cannot be measured.

        To be asked every few minutes, since a processor's counter turns over.
        """
        if self._counter is None:
            return None
        try:
            return self._counter.joules() / _JOULES_IN_KWH
        except _UnmeasurableError as why:
            self._counter, self.source = None, f"not measurable: {why}"
            return None


def card_uuids(count: int) -> list[str]:
    """NVML's names of the first cards that CUDA shows this process."""
    from torch import cuda

    named = (str(cuda.get_device_properties(card).uuid) for card in range(count))
    return [f"GPU-{name.removeprefix('GPU-')}" for name in named]


class _Cards:
    source = "GPUs, by NVML"

    def __init__(self, uuids: Sequence[str]) -> None:
        try:
            import pynvml  # type: ignore[import-untyped]
        except ImportError:
            raise _UnmeasurableError("nvidia-ml-py is not installed") from None
        self._nvml, self._uuids = pynvml, uuids
        try:
            pynvml.nvmlInit()
            self._start = self._read()
        except pynvml.NVMLError as error:
            raise _UnmeasurableError(f"NVML says {error}") from None

    def joules(self) -> float:
        try:
            return self._read() - self._start
        except self._nvml.NVMLError as error:
            raise _UnmeasurableError(f"NVML says {error}") from None

    def _read(self) -> float:
        if not self._uuids:
            raise _UnmeasurableError("the job's cards are not all on this machine")
        handles = [self._nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in self._uuids]
        # Of the whole card, in millijoules, since its driver was loaded; from Volta on.
        spent = [int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(card)) for card in handles]
        return sum(spent) / 1000


class _Processors:
    source = "processors, by RAPL and the job's share of CPU time"

    def __init__(self, powercap: Path) -> None:
        # Packages alone: what lies below them is counted in them, and `psys` counts them again.
        self._zones = [
            zone for zone in sorted(powercap.glob("*-rapl:*"))
            if re.fullmatch(r"[a-z]+-rapl:\d+", zone.name)
            and (zone / "name").read_text().startswith("package")
        ]  # fmt: skip
        if not self._zones:
            raise _UnmeasurableError(f"no RAPL counter in {powercap}")
        self._ranges = [self._number(zone / "max_energy_range_uj") for zone in self._zones]
        self._total, self._last = 0.0, self._now()

    def joules(self) -> float:
        (then, counts, busy, mine), now = self._last, self._now()
        if (now[0] - then) * _HIGHEST >= min(self._ranges):
            raise _UnmeasurableError("RAPL's counters were not read often enough")
        # A counter that is lower than before has turned over, once.
        spent = sum(
            (after - before) % span
            for before, after, span in zip(counts, now[1], self._ranges, strict=True)
        )
        elapsed = now[2] - busy
        self._total += spent * min(1.0, (now[3] - mine) / elapsed) if elapsed > 0 else 0.0
        self._last = now
        return self._total

    def _now(self) -> tuple[float, list[float], float, float]:
        """Clock, counters in joules, and CPU seconds: of the machine, of this job."""
        counts = [self._number(zone / "energy_uj") for zone in self._zones]
        return time.monotonic(), counts, _busy_seconds(), _own_seconds()

    @staticmethod
    def _number(path: Path) -> float:
        try:
            return int(path.read_text()) / 1e6
        except OSError as error:
            raise _UnmeasurableError(f"{path}: {error.strerror}") from None


def _busy_seconds() -> float:
    user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Of this process, and of its children, those that still run among them."""
    total = sum(os.times()[:4])
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
