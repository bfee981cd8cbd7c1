"""Energy: from counters as Linux and NVML give them, and never where they give none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from toporepro import energy
from toporepro.cards import cards
from toporepro.energy import Meter

RANGE = 262_143_328_850  # microjoules: what a package's counter goes up to


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two packages with a core and psys beside them; a clock, and CPU times, that a test turns."""
    now = {"clock": 0.0, "busy": 0.0, "own": 0.0, "root": tmp_path}
    for zone, name in (
        ("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "package-1"),
        ("intel-rapl:2", "psys"), ("intel-rapl", ""), ("dtpm", ""),
    ):  # fmt: skip
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (tmp_path / zone / "energy_uj").write_text("1000000\n")
    monkeypatch.setattr(energy.time, "monotonic", lambda: now["clock"])
    monkeypatch.setattr(energy, "_busy_seconds", lambda: now["busy"])
    monkeypatch.setattr(energy, "_own_seconds", lambda: now["own"])
    return now


def turn(machine: dict[str, Any], joules: tuple[float, float], busy: float, own: float) -> None:
    for package, count in enumerate(joules):
        zone = machine["root"] / f"intel-rapl:{package}"
        (zone / "energy_uj").write_text(f"{int(count * 1e6)}\n")
    machine["clock"] += 10
    machine["busy"] += busy
    machine["own"] += own


def test_processors_by_their_share_of_cpu_time(machine: dict[str, Any]) -> None:
    meter = Meter("cpu", powercap=machine["root"])
    assert meter.kwh() == 0
    turn(machine, (401, 201), busy=20, own=5)  # 400 J and 200 J, a quarter of them ours
    assert meter.kwh() == pytest.approx(150 / 3.6e6)
    turn(machine, (441, 201), busy=10, own=10)
    assert meter.kwh() == pytest.approx(190 / 3.6e6)
    turn(machine, (541, 301), busy=10, own=0)
    assert meter.kwh() == pytest.approx(190 / 3.6e6)
    assert "RAPL" in meter.source


def test_a_counter_that_turned_over(machine: dict[str, Any]) -> None:
    turn(machine, (RANGE / 1e6 - 5, 1), busy=0, own=0)
    meter = Meter("cpu", powercap=machine["root"])
    turn(machine, (7, 1), busy=1, own=1)
    assert meter.kwh() == pytest.approx(12 / 3.6e6, rel=1e-6)
    machine["clock"] += 3600  # it may have turned over twice
    assert meter.kwh() is None
    assert meter.source == "not measurable: RAPL's counters were not read often enough"
    assert meter.kwh() is None


def test_what_cannot_be_read_is_said(machine: dict[str, Any], tmp_path: Path) -> None:
    assert Meter("cpu", powercap=tmp_path / "none").kwh() is None
    told = Meter("cpu", powercap=tmp_path / "none").source
    assert told == f"not measurable: no RAPL counter in {tmp_path / 'none'}"
    several = Meter("cpu", processes=2, powercap=machine["root"])
    assert (several.kwh(), "several processes" in several.source) == (None, True)
    counter = tmp_path / "intel-rapl:1" / "energy_uj"
    counter.unlink()
    counter.mkdir()  # as unreadable to root as a file is to others
    closed = Meter("cpu", powercap=tmp_path)
    assert closed.kwh() is None
    assert str(counter) in closed.source


class NVMLError(Exception):
    pass


def nvml(counters: dict[str, Callable[[], int]]) -> ModuleType:
    """A module like pynvml, of cards with these counters in millijoules."""

    def handle(uuid: str) -> str:
        if uuid not in counters:
            raise NVMLError("Not Found")
        return uuid

    module = ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda card: counters[card](),
    )
    return module


def test_cards_by_their_own_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"GPU-a": 5_000_000, "GPU-b": 7_000_000, "GPU-c": 0}
    monkeypatch.setitem(sys.modules, "pynvml", nvml({k: lambda k=k: now[k] for k in now}))
    meter = Meter("cuda:0", ["GPU-a", "GPU-b"], processes=2)
    now.update({"GPU-a": 8_600_000, "GPU-b": 10_600_000, "GPU-c": 99_000_000})
    assert meter.kwh() == pytest.approx(0.002)
    assert meter.source == "GPUs, by NVML"
    lost = Meter("cuda", ["GPU-x"])
    assert (lost.kwh(), lost.source) == (None, "not measurable: NVML says Not Found")
    elsewhere = Meter("cuda", [], processes=16)
    assert (elsewhere.kwh(), "not all on this machine" in elsewhere.source) == (None, True)


def test_without_a_driver_nvml_itself_says_so() -> None:
    if cards():
        pytest.skip("this machine has a GPU")
    meter = Meter("cuda", ["GPU-0"])
    assert meter.source == "not measurable: NVML says NVML Shared Library Not Found"
    assert meter.kwh() is None


def test_cpu_times_are_this_machine_s_and_this_process_s() -> None:
    busy, own = energy._busy_seconds(), energy._own_seconds()
    sum(range(3_000_000))
    assert energy._own_seconds() > own
    assert energy._busy_seconds() >= busy
    assert 0 < own < busy
