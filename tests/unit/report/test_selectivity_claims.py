"""Mantel and swap tests against brute force; claims on maps from invented tables."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recomputed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import gaussian_filter

from toporepro.measure.clusters import layout_similarity
from toporepro.report import layouts
from toporepro.report.claims import judge, read_definitions
from toporepro.report.evidence import World
from toporepro.report.layouts import SheetMaps
from toporepro.report.mantel import mantel, swap
from toporepro.report.selection import Family
from toporepro.report.statistics import StatisticsError
from toporepro.report.tables import CURVES

Floats = np.ndarray


def symmetric(generator: np.random.Generator, classes: int) -> Floats:
    half = generator.normal(size=(classes, classes))
    return half + half.T


@settings(max_examples=8)
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
    assert found.value == pytest.approx(every[0])
    assert found.p == pytest.approx(np.mean(every >= every[0] - 1e-12), abs=0.045)


def test_mantel_pools_matrices_into_one_statistic() -> None:
    generator = np.random.default_rng(0)
    truth = symmetric(generator, 8)
    noisy = [truth + 2 * symmetric(generator, 8) for _ in range(4)]
    found = mantel(noisy, [truth] * 4, permutations=500, seed=0)
    alone = [mantel([m], [truth], permutations=9, seed=0).value for m in noisy]
    assert found.each == pytest.approx(alone)
    assert found.value == pytest.approx(np.mean(alone))
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
    found = swap(first, second, [0, 1], [2, 3], [4, 5])
    difference = first - second

    def statistic(left: tuple[int, ...]) -> float:
        right = [c for c in (2, 3, 4, 5) if c not in left]
        return float(difference[:2][:, list(left)].mean() - difference[:2][:, right].mean())

    every = [statistic(left) for left in itertools.combinations((2, 3, 4, 5), 2)]
    assert found.value == pytest.approx(every[0])
    assert found.p == pytest.approx(np.mean(np.array(every) >= found.value - 1e-12))
    assert found.smallest_p == pytest.approx(1 / 6)


def test_swap_finds_what_is_there_and_no_more() -> None:
    """The demo's design: 4 sub-classes against 4 and 4, so that P is a multiple of 1/70."""
    groups = [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]
    planted = np.zeros((12, 12))
    planted[:4, 4:8] = planted[4:8, :4] = 1
    nothing, something = [], []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        first, second = symmetric(generator, 12), symmetric(generator, 12)
        nothing.append(swap(first, second, *groups).p)
        something.append(swap(first + 3 * planted, second, *groups).p)
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(nothing) <= level) <= level + 2.5 * (level / 200) ** 0.5
    assert np.mean(np.array(something) <= 0.05) > 0.8


# Layouts

SHEET = (16, 16)


def kinship(friend: str = "") -> Floats:
    """How alike nine sub-classes are: within a category, and bodies with those of ``friend``."""
    of = [name for name, classes in CATEGORIES.items() for _ in classes]
    return np.array(
        [
            [1.0 if i == j else 0.7 * (a == b or {a, b} == {"bodies", friend})
             for j, b in enumerate(of)]
            for i, a in enumerate(of)
        ]
    )  # fmt: skip


def maps_of(kin: Floats, ordered: bool, generator: np.random.Generator) -> SheetMaps:
    """Maps as alike as the sub-classes are: of units in no order, or of a smooth sheet."""
    values, vectors = np.linalg.eigh(kin)
    fields = generator.normal(size=(len(kin), *SHEET))
    if ordered:
        fields = gaussian_filter(fields, (0, 1.5, 1.5))
    root = vectors * np.sqrt(values.clip(0))
    return SheetMaps(root @ fields.reshape(len(kin), -1), *SHEET)


def test_shuffled_layouts_are_the_layouts_of_shuffled_units() -> None:
    maps = SheetMaps(np.random.default_rng(0).normal(size=(4, 15)), 3, 5)
    found = layouts.shuffled_layouts({"conv": maps}, 7, 20)
    generator = np.random.default_rng((7, zlib.crc32(b"conv")))
    orders = generator.permuted(np.tile(np.arange(15), (20, 1)), axis=1)
    upper = np.triu_indices(4, 1)
    for order, matrix in zip(orders, found, strict=True):
        expected = layout_similarity(maps.values[:, order], 3, 5)
        assert matrix[upper] == pytest.approx(expected[upper])
    both = layouts.shuffled_layouts({"conv": maps, "other": maps}, 7, 20)
    other = layouts.shuffled_layouts({"other": maps}, 7, 20)
    assert both == pytest.approx((found + other) / 2)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_layout_without_order_follows_nothing(ordered: bool) -> None:
    """P over simulations: uniform where units lie at random, small on a sheet with order.

    By permuted sub-classes alone, one network in five without any order would have a layout.
    """
    by_units, by_classes = [], []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        kin = kinship("faces")
        maps = maps_of(kin, ordered, generator)
        drawn = layouts.shuffled_layouts({"": maps}, seed, 99)
        near = layout_similarity(maps.values, *SHEET)
        found = mantel([near], [kin], permutations=99, seed=seed, layouts=[drawn])
        classes, units = (null.p for null in found.nulls)
        by_units.append(units)
        by_classes.append(classes)
        assert found.p == max(units, classes)
    if ordered:
        assert max(by_units) <= 0.02
        assert max(by_classes) <= 0.05
    else:
        assert stats.kstest(by_units, "uniform").pvalue > 0.05
        assert np.mean(np.array(by_classes) <= 0.05) > 0.2


# Claims

CATEGORIES = {"bodies": [3, 4, 5], "faces": [6, 7, 8], "scenes": [9, 10, 11]}


def tables(
    like: dict[str, str], taus: tuple[str, ...] = ("0", "5", "50")
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bodies' maps lie with those of one category; responses and pixels say so too.

    Returns:
        The table of curves, and the rows of units.
    """
    rows: list[tuple[Any, ...]] = []
    units: list[pd.DataFrame] = []
    of = sorted(c for classes in CATEGORIES.values() for c in classes)
    for (family, friend), tau in itertools.product(like.items(), taus):
        generator = np.random.default_rng(len(rows))
        kin = kinship(friend)
        maps = maps_of(kin, float(tau) > 0, generator)
        near = layout_similarity(maps.values, *SHEET)
        unit = np.arange(maps.values.shape[1])
        for number, c in enumerate(of):
            units.append(
                pd.DataFrame(
                    {
                        "family": family, "tau": tau, "seed": 0, "step": 100, "layer": "layer1",
                        "unit": unit, "row": unit // SHEET[1], "col": unit % SHEET[1],
                        "quantity": "subclass_t", "index": c, "value": maps.values[number],
                    }
                )
            )  # fmt: skip
        for i, j in itertools.combinations(range(len(of)), 2):
            noise = generator.normal(scale=0.1, size=2)
            values = {
                ("layer1", "map"): near[i, j],
                ("layer1", "response"): kin[i, j] + noise[0],
                ("", "pixel"): kin[i, j] + noise[1],
            }
            for (layer, kind), value in values.items():
                quantity = f"subclass_{kind}_similarity"
                index = 1000 * of[i] + of[j]
                rows.append(("demo", family, tau, 0, 100, layer, quantity, index, value))
        for name, classes in CATEGORIES.items():
            rows += [
                ("demo", family, tau, 0, 100, "", f"subclass_category.{name}", c, 1.0)
                for c in classes
            ]
    curves = pd.DataFrame(rows, columns=list(CURVES)).assign(tau_value=0.0)
    return curves, pd.concat(units, ignore_index=True)


def judged(
    like: dict[str, str],
    metrics: dict[str, float] | None = None,
    shown: str = "localizer",
    **claim: Any,
) -> Any:
    families = {
        name: Family(
            label=name, architecture="resnet18", dataset="d", taus=("0", "5", "50"), seeds=(0,)
        )
        for name in ("a", "b")
    }
    values = [
        ("demo", "a", "50", 0, 100, "mean", 0, shown, metric, value, 50.0)
        for metric, value in (metrics or {}).items()
    ]
    head = ["preset", "family", "tau", "seed", "step", "layer", "sparsity", "stimuli", "metric"]
    measures = pd.DataFrame(values, columns=[*head, "value", "tau_value"])
    curves, units = tables(like) if like else (None, None)
    world = World(
        preset="demo", families=families, measures=measures, published=pd.DataFrame(),
        curves=curves, units=units,
    )  # fmt: skip
    entry = {
        "id": "c", "statement": "s", "figure": "f", "quantity": "q", "paper": "p", "unit": "u",
        "direction": "above", "bound": 0, "bound_why": "w", "scope": "networks", "each": "family",
        **claim,
    }  # fmt: skip
    rows = judge(world, read_definitions([entry]))
    for row in rows:
        recomputed.check(row)
    return rows


def test_layouts_that_follow_representation() -> None:
    rows = judged({"a": "faces"}, test="maps_follow_representation")
    row = rows[0]
    assert row["verdict"] == "holds for these networks"
    assert row["effect"] > 0.6
    assert row["p"] < 0.05
    assert row["smallest_p"] == pytest.approx(1 / 1000)
    assert "layout at τ = 0 r = " in row["sentence"]
    assert "0.001 over shuffled units" in row["sentence"]
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
        assert row["effect"] > 0.5


def test_families_that_a_swap_needs_are_named() -> None:
    options = {"first": "a", "second": "x", "common": "bodies", "left": "faces", "right": "scenes"}
    (row,) = judged({}, test="layout_follows_swap", options=options, each="preset")
    assert row["missing"].startswith("preset demo has no family x (rule train_model ")


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


def test_similarity_of_maps_to_other_stimuli_does_not_count() -> None:
    metrics = {"m_minus_shuffled.x-y": 0.2, "m.x-y": 0.7, "m_minus_shuffled_p.x-y": 0.004}
    options = {"metric": "m_minus_shuffled.x-y", "stimuli": "floc"}
    row = judged({}, metrics, "floc/localizer", test="similarity_of_maps", options=options)[0]
    assert row["effect"] == pytest.approx(0.2)
    row = judged({}, metrics, "world_a/localizer", test="similarity_of_maps", options=options)[0]
    assert row["verdict"] == "not testable at this scale"
    assert "floc is not among the stimuli" in row["missing"]


def test_matrices_hold_the_curves() -> None:
    table, _ = tables({"a": "faces"})
    found = layouts.final_matrices(table, "a", layouts.RESPONSES)
    matrix = found["5", 0]["layer1"]
    assert matrix.shape == (9, 9)
    assert (matrix == matrix.T).all()
    rows = table[(table.tau == "5") & (table.quantity == layouts.RESPONSES)]
    assert matrix[0, 8] == float(rows[rows["index"] == 3011].value.iloc[0])
    assert layouts.categories(table)["scenes"] == [6, 7, 8]
