"""Smoothness against explicit double loops, planted maps and its invariances."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.measure.correlation import correlations
from toporepro.measure.result import Floats
from toporepro.measure.sheet_pairs import distance_bins, queen_pairs
from toporepro.measure.smoothness import (
    Options,
    extent,
    morans_i,
    shuffled_extent,
    tdann,
)
from toporepro.spec import SpecError

sheets = st.tuples(st.integers(1, 5), st.integers(2, 6))


def random_responses(units: int, seed: int, stimuli: int = 30) -> Floats:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(stimuli, 3)) @ generator.normal(
        size=(3, units)
    ) + 0.5 * generator.normal(size=(stimuli, units))


def correlated(responses: Floats) -> tuple[Floats, np.ndarray]:
    covariance = np.cov(responses, rowvar=False, bias=True)
    return correlations(responses.mean(axis=0), covariance)


def naive_curve(values: Floats, height: int, width: int, bins: int, live: np.ndarray) -> Floats:
    """Mean of values[i, j] per distance bin, pair by pair; bin edges by exact fractions."""
    farthest = (height - 1) ** 2 + (width - 1) ** 2
    collected: list[list[float]] = [[] for _ in range(bins)]
    for i in range(height * width):
        for j in range(i + 1, height * width):
            if not (live[i] and live[j]):
                continue
            squared = (i // width - j // width) ** 2 + (i % width - j % width) ** 2
            where = 0
            while where + 1 < bins and squared * bins**2 >= (where + 1) ** 2 * farthest:
                where += 1
            collected[where].append(values[i, j])
    return np.array([np.mean(found) if found else np.nan for found in collected])


@settings(max_examples=40)
@given(sheet=sheets, bins=st.integers(2, 20), dead=st.integers(0, 3), seed=st.integers(0, 2**20))
def test_curve_equals_a_double_loop(
    sheet: tuple[int, int], bins: int, dead: int, seed: int
) -> None:
    height, width = sheet
    responses = random_responses(height * width, seed)
    responses[:, :dead] = 0.1
    matrix, live = correlated(responses)
    assert live.sum() == max(0, height * width - dead)
    curve = distance_bins(height, width, bins).curve(matrix, live)
    pearson = np.zeros_like(matrix)
    for i in np.flatnonzero(live):
        for j in np.flatnonzero(live):
            pearson[i, j] = scipy.stats.pearsonr(responses[:, i], responses[:, j]).statistic
    np.testing.assert_allclose(matrix, pearson, atol=1e-10)
    np.testing.assert_allclose(curve, naive_curve(pearson, height, width, bins, live), atol=1e-10)


def test_mean_distance_of_each_bin_lies_within_it() -> None:
    bins = distance_bins(6, 9, 20)
    edges = np.linspace(0, math.hypot(5, 8), 21)
    filled = bins.counts > 0
    assert (bins.distances[filled] >= edges[:-1][filled]).all()
    assert (bins.distances[filled] <= edges[1:][filled]).all()
    assert bins.counts.sum() == 54 * 53 / 2
    first, second = np.triu_indices(54, k=1)
    mean = np.hypot(first // 9 - second // 9, first % 9 - second % 9).mean()
    assert np.nansum(bins.distances * bins.counts) / bins.counts.sum() == pytest.approx(mean)


@settings(max_examples=30)
@given(sheet=sheets, seed=st.integers(0, 2**20))
def test_rotating_or_reflecting_the_sheet_changes_nothing(
    sheet: tuple[int, int], seed: int
) -> None:
    height, width = sheet
    matrix, live = correlated(random_responses(height * width, seed))
    profiles = np.random.default_rng(seed).normal(size=(height * width, 4))
    bins = distance_bins(height, width, 20)
    expected = (extent(bins.curve(matrix, live)), morans_i(matrix, live, height, width))
    units = np.arange(height * width).reshape(height, width)
    for turned in (units[::-1], units[:, ::-1], np.rot90(units), np.rot90(units, 2), units.T):
        order = turned.ravel()
        again = distance_bins(*turned.shape, 20)
        moved = matrix[np.ix_(order, order)]
        assert extent(again.curve(moved, live[order])) == pytest.approx(expected[0], abs=1e-12)
        assert morans_i(moved, live[order], *turned.shape) == pytest.approx(expected[1], abs=1e-9)
        assert tdann(profiles[order], again) == pytest.approx(tdann(profiles, bins), abs=1e-12)


@settings(max_examples=30)
@given(
    sheet=sheets,
    seed=st.integers(0, 2**20),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-100, 100),
)
def test_scaling_and_shifting_units_changes_nothing(
    sheet: tuple[int, int], seed: int, scale: float, shift: float
) -> None:
    height, width = sheet
    responses = random_responses(height * width, seed)
    scales = scale ** np.random.default_rng(seed).uniform(0, 1, height * width)
    matrix, live = correlated(responses)
    changed, _ = correlated(responses * scales + shift)
    np.testing.assert_allclose(changed, matrix, atol=1e-6)
    assert morans_i(changed, live, height, width) == pytest.approx(
        morans_i(matrix, live, height, width), abs=1e-5
    )


def smooth_map(height: int, width: int, seed: int = 0, stimuli: int = 400) -> Floats:
    noise = np.random.default_rng(seed).normal(size=(stimuli, height, width))
    smoothed = scipy.ndimage.gaussian_filter(noise, sigma=(0, 2, 2), mode="wrap")
    return smoothed.reshape(stimuli, -1)


def test_planted_maps_are_smooth_and_shuffled_ones_are_like_their_null() -> None:
    responses = smooth_map(16, 16)
    order = np.random.default_rng(3).permutation(256)
    bins = distance_bins(16, 16, 20)
    smooth, live = correlated(responses)
    mixed, _ = correlated(responses[:, order])
    null = shuffled_extent(smooth, live, bins, 20, (0,))
    assert extent(bins.curve(smooth, live)) > 0.7
    assert extent(bins.curve(smooth, live)) > null + 0.5
    assert extent(bins.curve(mixed, live)) == pytest.approx(null, abs=0.1)
    assert morans_i(smooth, live, 16, 16) > 0.8
    assert morans_i(mixed, live, 16, 16) == pytest.approx(-1 / 255, abs=0.1)
    assert tdann(responses[:10].T, bins) > 0.6
    assert tdann(responses[:10, order].T, bins) < 0.4


def test_opposite_halves_are_as_smooth_as_can_be() -> None:
    """Two columns of units, alike within and opposite between: correlations 1 and −1."""
    signal = np.random.default_rng(4).normal(size=50)
    matrix, live = correlated(np.stack([signal, -signal] * 2, axis=1))
    curve = distance_bins(2, 2, 20).curve(matrix, live)
    # The pairs at distance 1 are two alike and two opposite; both diagonals are opposite.
    assert extent(curve) == pytest.approx(1.0)
    assert np.nanmax(curve) == pytest.approx(0.0, abs=1e-12)


def test_null_is_the_mean_over_shuffles_of_the_live_units() -> None:
    responses = random_responses(12, 5)
    responses[:, [2, 7]] = 3.0
    matrix, live = correlated(responses)
    null = shuffled_extent(matrix, live, distance_bins(3, 4, 6), 8, (1, 2))
    generator, places = np.random.default_rng((1, 2)), np.flatnonzero(live)
    ranges = []
    for _ in range(8):
        order = np.arange(12)
        order[places] = generator.permutation(places)
        curve = naive_curve(matrix[np.ix_(order, order)], 3, 4, 6, live)
        ranges.append(np.nanmax(curve) - np.nanmin(curve))
    assert null == pytest.approx(np.mean(ranges), abs=1e-6)
    assert null == shuffled_extent(matrix, live, distance_bins(3, 4, 6), 8, (1, 2))
    assert null != shuffled_extent(matrix, live, distance_bins(3, 4, 6), 8, (1, 3))


@settings(max_examples=30)
@given(sheet=sheets, dead=st.integers(0, 2), seed=st.integers(0, 2**20))
def test_morans_i_equals_the_weights_matrix_form(
    sheet: tuple[int, int], dead: int, seed: int
) -> None:
    height, width = sheet
    responses = random_responses(height * width, seed)
    responses[:, :dead] = -2.0
    matrix, live = correlated(responses)
    places = [(i // width, i % width) for i in np.flatnonzero(live)]
    weights = np.array(
        [[float(max(abs(a - c), abs(b - d)) == 1) for c, d in places] for a, b in places]
    ).reshape(len(places), len(places))
    value = morans_i(matrix, live, height, width)
    if weights.sum() == 0:
        assert math.isnan(value)
        return
    maps = scipy.stats.zscore(responses[:, live], axis=0)
    maps -= maps.mean(axis=1, keepdims=True)
    cross = sum(z @ weights @ z for z in maps)
    expected = len(places) / weights.sum() * cross / (maps**2).sum()
    assert value == pytest.approx(expected, abs=1e-9)


def test_morans_i_of_a_single_map_is_the_textbook_one() -> None:
    """On a row of units 1 2 3 4: I = (4/6) · 2·(0.75 − 0.25 + 0.75) / 5 = 1/3."""
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert morans_i(np.outer(values, values), np.ones(4, bool), 1, 4) == pytest.approx(1 / 3)


def test_morans_i_of_maps_without_contrast_is_undefined() -> None:
    assert math.isnan(morans_i(np.ones((6, 6)), np.ones(6, bool), 2, 3))


def test_queen_pairs_are_the_touching_ones() -> None:
    first, second = queen_pairs(3, 4)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    expected = {
        frozenset((i, j))
        for i in range(12)
        for j in range(12)
        if max(abs(i // 4 - j // 4), abs(i % 4 - j % 4)) == 1
    }
    assert found == expected
    assert len(first) == len(expected)


@settings(max_examples=30)
@given(sheet=sheets, classes=st.integers(2, 5), seed=st.integers(0, 2**20))
def test_tdann_equals_a_double_loop(sheet: tuple[int, int], classes: int, seed: int) -> None:
    height, width = sheet
    units = height * width
    profiles = np.random.default_rng(seed).normal(size=(units, classes))
    profiles[0] = 5.0  # answers all classes alike: no tuning
    live = np.arange(units) > 0
    difference = np.zeros((units, units))
    for i in range(1, units):
        for j in range(1, units):
            a, b = scipy.stats.zscore(profiles[i]), scipy.stats.zscore(profiles[j])
            difference[i, j] = np.abs(a - b).mean()
    curve = naive_curve(difference, height, width, 20, live)
    filled = curve[~np.isnan(curve)]
    value = tdann(profiles, distance_bins(height, width, 20))
    if not filled.size or filled.max() < 1e-12:
        assert math.isnan(value) or value == pytest.approx(0, abs=1)
    else:
        assert value == pytest.approx((filled.max() - filled[0]) / filled.max(), abs=1e-9)


def test_a_sheet_of_constant_units_has_no_smoothness() -> None:
    matrix, live = correlated(np.ones((10, 6)))
    bins = distance_bins(2, 3, 20)
    assert not live.any()
    assert math.isnan(extent(bins.curve(matrix, live)))
    assert math.isnan(shuffled_extent(matrix, live, bins, 3, (0,)))
    assert math.isnan(morans_i(matrix, live, 2, 3))
    assert math.isnan(tdann(np.ones((6, 4)), bins))


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"shuffles": 0}])
def test_options_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        Options(**wrong)
