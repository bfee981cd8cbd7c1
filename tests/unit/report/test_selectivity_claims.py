"""Mantel and swap tests against brute force; claims on maps from invented tables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from toporepro.report import selectivity
from toporepro.report.claims import judge, read_definitions
from toporepro.report.evidence import World
from toporepro.report.mantel import mantel, swap
from toporepro.report.selection import Family
from toporepro.report.statistics import StatisticsError
from toporepro.report.tables import CURVES

Floats = np.ndarray


def symmetric(generator: np.random.Generator, classes: int) -> Floats:
    half = generator.normal(size=(classes, classes))
    return half + half.T


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mantel_equals_brute_force_over_all_orders(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = symmetric(generator, 5), symmetric(generator, 5)
    upper = np.triu_indices(5, 1)

    def rho(order: Any) -> float:
        shuffled = second[np.ix_(order, order)]
        return float(stats.spearmanr(first[upper], shuffled[upper]).statistic)

    every = np.array([rho(list(order)) for order in itertools.permutations(range(5))])
    found = mantel([first], [second], permutations=3000, seed=1)
    assert found.r == pytest.approx(every[0])
    assert found.p == pytest.approx(np.mean(every >= every[0] - 1e-12), abs=0.045)


def test_mantel_pools_matrices_into_one_statistic() -> None:
    generator = np.random.default_rng(0)
    truth = symmetric(generator, 8)
    noisy = [truth + 2 * symmetric(generator, 8) for _ in range(4)]
    found = mantel(noisy, [truth] * 4, permutations=500, seed=0)
    alone = [mantel([m], [truth], permutations=9, seed=0).r for m in noisy]
    assert found.each == pytest.approx(alone)
    assert found.r == pytest.approx(np.mean(alone))
    assert found.p < 0.02


def test_without_relation_p_is_uniform() -> None:
    p = []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        pair = symmetric(generator, 6), symmetric(generator, 6)
        p.append(mantel([pair[0]], [pair[1]], permutations=60, seed=seed).p)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_what_has_no_mantel_test() -> None:
    with pytest.raises(StatisticsError, match="at least 4"):
        mantel([np.eye(3)], [np.eye(3)], permutations=9, seed=0)
    with pytest.raises(StatisticsError, match="the same"):
        mantel([np.ones((4, 4))], [np.ones((4, 4))], permutations=9, seed=0)


def test_swap_is_exact() -> None:
    generator = np.random.default_rng(3)
    first, second = symmetric(generator, 6), symmetric(generator, 6)
    value, p, smallest = swap(first, second, [0, 1], [2, 3], [4, 5])
    difference = first - second

    def statistic(left: tuple[int, ...]) -> float:
        right = [c for c in (2, 3, 4, 5) if c not in left]
        return float(difference[:2][:, list(left)].mean() - difference[:2][:, right].mean())

    every = [statistic(left) for left in itertools.combinations((2, 3, 4, 5), 2)]
    assert value == pytest.approx(every[0])
    assert p == pytest.approx(np.mean(np.array(every) >= value - 1e-12))
    assert smallest == pytest.approx(1 / 6)


# Claims

CATEGORIES = {"bodies": [3, 4, 5], "faces": [6, 7, 8], "scenes": [9, 10, 11]}


def curves(like: dict[str, str], taus: tuple[str, ...] = ("0", "5", "50")) -> pd.DataFrame:
    """Bodies' maps lie with those of one category; responses and pixels say so too."""
    rows: list[tuple[Any, ...]] = []
    of = {c: name for name, classes in CATEGORIES.items() for c in classes}
    for (family, friend), tau in itertools.product(like.items(), taus):
        generator = np.random.default_rng(len(rows))
        for i, j in itertools.combinations(sorted(of), 2):
            alike = of[i] == of[j] or {of[i], of[j]} == {"bodies", friend}
            noise = generator.normal(scale=0.1, size=3)
            values = {
                ("layer1", "map"): (float(tau) > 0) * alike + noise[0],
                ("layer1", "response"): alike + noise[1],
                ("", "pixel"): alike + noise[2],
            }
            for (layer, kind), value in values.items():
                quantity = f"subclass_{kind}_similarity"
                rows.append(("demo", family, tau, 0, 100, layer, quantity, 1000 * i + j, value))
        for name, classes in CATEGORIES.items():
            rows += [
                ("demo", family, tau, 0, 100, "", f"subclass_category.{name}", c, 1.0)
                for c in classes
            ]
    return pd.DataFrame(rows, columns=list(CURVES)).assign(tau_value=0.0)


def judged(like: dict[str, str], metrics: dict[str, float] | None = None, **claim: Any) -> Any:
    families = {
        name: Family(
            label=name, architecture="resnet18", dataset="d", taus=("0", "5", "50"), seeds=(0,)
        )
        for name in ("a", "b")
    }
    values = [
        ("demo", "a", "50", 0, 100, "mean", 0, "localizer", metric, value, 50.0)
        for metric, value in (metrics or {}).items()
    ]
    head = ["preset", "family", "tau", "seed", "step", "layer", "sparsity", "stimuli", "metric"]
    measures = pd.DataFrame(values, columns=[*head, "value", "tau_value"])
    world = World(
        preset="demo", families=families, measures=measures, published=pd.DataFrame(),
        curves=curves(like) if like else None,
    )  # fmt: skip
    entry = {
        "id": "c", "statement": "s", "figure": "f", "quantity": "q", "paper": "p", "unit": "u",
        "direction": "above", "bound": 0, "bound_why": "w", "scope": "networks", "each": "family",
        **claim,
    }  # fmt: skip
    return judge(world, read_definitions([entry]))


def test_layouts_that_follow_representation() -> None:
    rows = judged({"a": "faces"}, test="maps_follow_representation")
    row = rows[0]
    assert row["verdict"] == "holds for these networks"
    assert row["effect"] > 0.6
    assert row["p"] < 0.05
    assert "layout at τ = 0 r = " in row["sentence"]
    assert "pixels instead r = " in row["sentence"]
    assert rows[1]["verdict"] == "not testable at this scale"
    assert "rule measure_model" in rows[1]["missing"]


@pytest.mark.parametrize(
    ("like", "verdict"),
    [
        ({"a": "faces", "b": "scenes"}, "holds for these networks"),
        ({"a": "scenes", "b": "faces"}, "not reproduced"),
        ({"a": "faces"}, "not testable at this scale"),
        ({}, "not testable at this scale"),
    ],
)
def test_layout_follows_the_swap(like: dict[str, str], verdict: str) -> None:
    options = {"first": "a", "second": "b", "common": "bodies", "left": "faces", "right": "scenes"}
    (row,) = judged(like, test="layout_follows_swap", options=options, each="preset")
    assert row["verdict"] == verdict
    if verdict == "holds for these networks":
        assert row["p"] == pytest.approx(1 / 20)
        assert row["effect"] == pytest.approx(2, abs=0.3)


def test_families_that_a_swap_needs_are_named() -> None:
    options = {"first": "a", "second": "x", "common": "bodies", "left": "faces", "right": "scenes"}
    (row,) = judged({}, test="layout_follows_swap", options=options, each="preset")
    assert row["missing"] == "preset demo has no family x"


def test_similarity_at_the_largest_tau_comes_with_its_p() -> None:
    metrics = {"m_minus_shuffled.x-y": 0.2, "m.x-y": 0.7, "m_minus_shuffled_p.x-y": 0.004}
    rows = judged(
        {}, metrics, test="similarity_of_maps", options={"metric": "m_minus_shuffled.x-y"}
    )
    assert rows[0]["effect"] == pytest.approx(0.2)
    assert "+0.70 raw" in rows[0]["sentence"]
    assert "P = 0.004" in rows[0]["sentence"]
    assert rows[0]["verdict"] == "holds for these networks"
    assert rows[1]["effect"] is None


def test_matrices_hold_the_curves() -> None:
    table = curves({"a": "faces"})
    found = selectivity.final_matrices(table, "a", selectivity.RESPONSES)
    matrix = found["5", 0]["layer1"]
    assert matrix.shape == (9, 9)
    assert (matrix == matrix.T).all()
    rows = table[(table.tau == "5") & (table.quantity == selectivity.RESPONSES)]
    assert matrix[0, 8] == float(rows[rows["index"] == 3011].value.iloc[0])
    assert selectivity.categories(table)["scenes"] == [6, 7, 8]
