"""How fast networks compute: measured where a benchmark has been here, else by published runs.

What is known of a card that nobody measured is scaled from what others published of another, by the
smaller of two ratios: of the cards' peak arithmetic, and of their memory bandwidth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BENCHMARK = "training_step"


@dataclass(frozen=True)
class Card:
    """A GPU: peak of dense bfloat16 in TFLOP/s, and memory bandwidth in TB/s (NVIDIA's sheets)."""

    tflops: float
    bandwidth: float


CARDS = {
    "A100": Card(312, 1.555),
    "A100-80GB": Card(312, 2.039),
    "L40S": Card(362, 0.864),
    "H100": Card(989, 3.35),
    "H200": Card(989, 4.8),
    "B200": Card(2250, 8.0),
}
REFERENCE = "A100"
# Sustained TFLOP/s of published trainings on A100 cards, by this package's count of operations.
_PUBLISHED = {
    "resnet18": (63.0, "ffcv-imagenet's 187 minutes for 88 epochs"),
    "resnet50": (43.0, "ffcv-imagenet's 77 minutes on eight for 88 epochs"),
    "nanogpt": (93.0, "nanoGPT's 4 days on eight for 300 G tokens"),
}
_LIKE = {"vit_b_32": "nanogpt", "gpt_neo_125m": "nanogpt"}
_CORE_GFLOPS = 10.0  # of one CPU core in float32, where nothing was measured


@dataclass(frozen=True)
class Rate:
    """Sustained operations per second of one card, or of one core.

    Attributes:
        measured: whether this project's own benchmark says so.
        source: where it comes from, in words.
    """

    per_second: float
    measured: bool
    source: str


@dataclass(frozen=True)
class Measured:
    """One line of a benchmark: sustained operations per second of the whole device."""

    device: str
    architecture: str
    per_second: float
    threads: int
    day: str


def read_benchmarks(folder: Path) -> tuple[Measured, ...]:
    """What the benchmark ``training_step`` has measured, from ``{device}.json`` in ``folder``."""
    found = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        entry = content.get("results", {}).get(BENCHMARK)
        for row in entry["result"] if entry else ():
            found.append(
                Measured(
                    device=content["device"],
                    architecture=row["architecture"],
                    per_second=row["operations_per_second"],
                    threads=row["threads"],
                    day=entry["measured"],
                )
            )
    return tuple(found)


def gpu_rate(architecture: str, card: str, measured: Iterable[Measured]) -> Rate:
    """Of one card, named as in ``CARDS``."""
    for line in measured:
        if line.architecture == architecture and _card(line.device) == card:
            return Rate(line.per_second, True, f"measured on {line.device}, {line.day}")
    named = architecture if architecture in _PUBLISHED else _LIKE.get(architecture, "resnet50")
    tflops, run = _PUBLISHED[named]
    new, old = CARDS[card], CARDS[REFERENCE]
    factor = min(new.tflops / old.tflops, new.bandwidth / old.bandwidth)
    words = f"{tflops * factor:.0f} TFLOP/s on {card}, from {run}"
    return Rate(tflops * factor * 1e12, False, words)


def _card(device: str) -> str:
    """The name in ``CARDS`` that fits a device's own the most closely; "" if none does."""
    words = set(re.split(r"[ -]", device))
    return max((name for name in CARDS if set(name.split("-")) <= words), key=len, default="")


def core_rate(architecture: str, measured: Iterable[Measured]) -> Rate:
    """Of one CPU core; whichever CPU was measured stands for all."""
    lines = [line for line in measured if "threads" in line.device]
    for line in sorted(lines, key=lambda line: line.architecture != architecture):
        core = line.per_second / line.threads
        of = "" if line.architecture == architecture else f" ({line.architecture})"
        return Rate(core, line.architecture == architecture, f"measured on {line.device}{of}")
    return Rate(_CORE_GFLOPS * 1e9, False, f"{_CORE_GFLOPS:g} GFLOP/s of a core, assumed")
