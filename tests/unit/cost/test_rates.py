"""Speeds: measured ones as the benchmark writes them, and those scaled from published runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toporepro.cost.rates import CARDS, Measured, core_rate, gpu_rate, read_benchmarks

XEON = Measured("Xeon, 2 threads", "resnet18", 6e10, 2, "2026-01-01")


def test_lines_are_those_of_the_benchmark(tmp_path: Path) -> None:
    row = {"architecture": "resnet18", "threads": 2, "operations_per_second": 6e10, "rate": 12.0}
    content = {
        "device": XEON.device,
        "results": {"training_step": {"measured": XEON.day, "result": [row]}, "topoloss": {}},
    }
    (tmp_path / "xeon.json").write_text(json.dumps(content))
    (tmp_path / "other.json").write_text(json.dumps({"device": "other", "results": {}}))
    assert read_benchmarks(tmp_path) == (XEON,)


def test_those_of_this_repository_can_be_read() -> None:
    for line in read_benchmarks(Path(__file__).parents[3] / "benchmarks"):
        assert line.per_second > 0


@pytest.mark.parametrize("card", CARDS)
def test_an_unmeasured_card_is_scaled_by_the_smaller_ratio(card: str) -> None:
    # ffcv-imagenet: 88 epochs of ResNet-18 in 187 minutes of an A100 (312 TFLOP/s, 1.555 TB/s).
    rate = gpu_rate("resnet18", card, ())
    arithmetic, bandwidth = CARDS[card].tflops / 312, CARDS[card].bandwidth / 1.555
    assert rate.per_second == pytest.approx(63e12 * min(arithmetic, bandwidth))
    assert not rate.measured
    assert "187 minutes" in rate.source


@pytest.mark.parametrize(
    ("device", "card"),
    [
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
    ],
)
def test_a_benchmark_of_a_card_stands_for_that_card_alone(device: str, card: str) -> None:
    measured = [Measured(device, "nanogpt", 2e14, 1, "2026-01-01")]
    for name in CARDS:
        rate = gpu_rate("nanogpt", name, measured)
        assert rate.measured == (name == card)
        assert (rate.per_second == 2e14) == (name == card)
    assert not gpu_rate("resnet18", card, measured).measured


def test_a_core_is_its_share_of_the_processor_that_was_measured() -> None:
    own = core_rate("resnet18", [XEON])
    assert (own.per_second, own.measured) == (3e10, True)
    other = core_rate("nanogpt", [XEON])
    assert (other.per_second, other.measured) == (3e10, False)
    assert "(resnet18)" in other.source
    assert "assumed" in core_rate("nanogpt", []).source
