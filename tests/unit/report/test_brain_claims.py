"""Claims on brains from invented tables: participants are the unit, P is scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import recomputed
from scipy.stats import permutation_test

from toporepro.report.brain import by_participant, ordered
from toporepro.report.claims import judge, read_definitions
from toporepro.report.evidence import World
from toporepro.report.selection import Family
from toporepro.report.tables import MEASURES

REGIONS = {"V1": 0.1, "FFA": -0.1}
PEOPLE = [f"subj{number:02d}" for number in range(1, 9)]


def world(
    values: dict[tuple[str, int], np.ndarray], metric: str = "brain_unit", layer: str = ""
) -> World:
    """(τ, step) → each participant's value, in two regions around it; per-layer rows distract."""
    rows: list[Any] = []
    for (tau, step), people in values.items():
        for name, value in zip(PEOPLE, people, strict=False):
            for region, apart in REGIONS.items():
                key = f"{metric}.{region}.{name}"
                head = ("demo", "net", tau, 0, step)
                rows.append((*head, layer, 0, "nsd/test", key, value + apart))
                rows.append((*head, "layer1", 0, "nsd/test", key, 7.0))
                rows.append((*head, layer, 0, "nsd/test", f"{metric}_raw.{region}.{name}", 7.0))
        rows.append(("demo", "net", tau, 0, step, layer, 0, "nsd/test", f"{metric}.V1", 7.0))
        rows.append(("demo", "net", tau, 0, step, layer, 0, "nsd/test", metric, 7.0))
    measures = pd.DataFrame(rows, columns=list(MEASURES)).astype({"tau": str})
    measures["tau_value"] = pd.to_numeric(measures.tau)
    taus = tuple(sorted({tau for tau, _ in values}, key=float))
    net = Family(label="Net", architecture="resnet18", dataset="imagenet", taus=taus, seeds=(0,))
    return World(preset="demo", families={"net": net}, measures=measures, published=pd.DataFrame())


def claim(test: str, bound: float, **options: Any) -> dict[str, Any]:
    return {
        "id": "c", "statement": "s", "figure": "f", "quantity": "match", "paper": "",
        "test": test, "options": options, "each": "family", "direction": "above", "bound": bound,
        "bound_why": "", "unit": "participants", "scope": "networks",
    }  # fmt: skip


def judged(of: World, **given: Any) -> dict[str, Any]:
    (row,) = judge(of, read_definitions([claim(**given)]))
    recomputed.check(row)
    return row


def scipys(differences: np.ndarray) -> float:
    def mean(values: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(values, axis=axis)

    found = permutation_test(
        (differences,), mean, permutation_type="samples", alternative="greater", vectorized=True
    )
    return float(found.pvalue)


@pytest.fixture
def people() -> dict[tuple[str, int], np.ndarray]:
    generator = np.random.default_rng(0)
    base = generator.uniform(0.3, 0.6, 8)
    return {
        ("0", 0): base - 0.2,
        ("0", 9): base,
        ("5", 0): base - 0.2,
        ("5", 9): base + generator.normal(0, 0.01, 8),
        ("50", 9): base - 0.03 + generator.normal(0, 0.03, 8),
    }


def test_a_participants_value_is_the_mean_over_regions(
    people: dict[tuple[str, int], np.ndarray],
) -> None:
    found = by_participant(world(people).measures, "net", "brain_unit", "5")
    assert list(found) == PEOPLE
    assert list(found.values()) == pytest.approx(people["5", 9])
    before = by_participant(world(people).measures, "net", "brain_unit", "0", untrained=True)
    assert list(before.values()) == pytest.approx(people["0", 0])


@pytest.mark.parametrize("relative", [True, False])
def test_not_inferior_within_a_margin(
    people: dict[tuple[str, int], np.ndarray], relative: bool
) -> None:
    margin = -0.1 if relative else -0.05
    row = judged(
        world(people), test="brain_against_baseline", bound=margin, metric="brain_unit",
        relative=relative,
    )  # fmt: skip
    scale = people["0", 9].mean() if relative else 1.0
    mean = (people["5", 9] + people["50", 9]) / 2
    differences = (mean - people["0", 9]) / scale
    assert row["effect"] == pytest.approx(differences.mean())
    assert row["p"] == pytest.approx(scipys(differences - margin))
    assert row["smallest_p"] == 1 / 256
    assert row["verdict"] == "holds for these networks"
    assert row["agree"] == 1
    assert "at τ = 50 (P = " in row["sentence"]
    assert "8 participants" in row["ours"]


def test_inferior_by_more_than_the_margin_is_not_reproduced(
    people: dict[tuple[str, int], np.ndarray],
) -> None:
    worse = {**people, ("50", 9): people["0", 9] - 0.2}
    row = judged(
        world(worse), test="brain_against_baseline", bound=-0.1, metric="brain_unit",
        relative=True, taus="largest",
    )  # fmt: skip
    assert row["effect"] == pytest.approx(-0.2 / people["0", 9].mean())
    assert row["verdict"] == "not reproduced"
    assert "τ = 5 " not in row["sentence"]


def test_a_change_too_small_to_tell_is_not_reproduced_though_on_the_right_side() -> None:
    differences = np.array([0.2, -0.1, 0.1, -0.05, 0.02, -0.15, 0.04, -0.01])
    values = {("0", 9): np.full(8, 0.5), ("50", 9): 0.5 + differences}
    row = judged(world(values, "brain_curve", "mean"), test="brain_against_baseline", bound=0,
                 metric="brain_curve")  # fmt: skip
    assert row["effect"] > 0
    assert row["p"] == pytest.approx(scipys(differences))
    assert row["verdict"] == "not reproduced"


def test_few_participants_have_to_agree_every_one() -> None:
    values = {("0", 9): np.full(3, 0.5), ("50", 9): np.array([0.6, 0.7, 0.8])}
    given = {"test": "brain_against_baseline", "bound": 0, "metric": "brain_unit"}
    assert judged(world(values), **given)["verdict"] == "holds for these networks"
    values["50", 9] = np.array([0.9, 0.9, 0.49])
    assert judged(world(values), **given)["verdict"] == "not reproduced"


def test_training_against_none(people: dict[tuple[str, int], np.ndarray]) -> None:
    row = judged(
        world(people), test="brain_against_untrained", bound=0, metric="brain_unit"
    )  # fmt: skip
    assert row["effect"] == pytest.approx(0.2)
    assert row["p"] == 1 / 256
    assert row["verdict"] == "holds for these networks"


@pytest.mark.parametrize("test", ["brain_against_baseline", "brain_against_untrained"])
def test_without_brains_the_rule_that_would_measure_them_is_named(test: str) -> None:
    half = np.full(8, 0.5)
    other = world({("0", 9): half, ("5", 9): half}, metric="brain_ridge")
    row = judged(other, test=test, bound=0, metric="brain_unit")
    assert row["verdict"] == "not testable at this scale"
    assert "measure_model" in row["missing"]
    alone = judged(world({("5", 9): half}), test=test, bound=0, metric="brain_unit")
    assert "net needs τ = 0" in alone["missing"]
    assert "train_model" in alone["missing"]


def test_regions_are_listed_from_early_cortex_on() -> None:
    assert ordered(["zone", "FFA", "V1", "IFG", "hV4"]) == ["V1", "hV4", "FFA", "IFG", "zone"]
