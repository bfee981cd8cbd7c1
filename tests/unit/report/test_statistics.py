"""Each test of the statistics room against enumeration, scipy, or a published worked example."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from toporepro.report import statistics
from toporepro.report.statistics import StatisticsError

finite = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


@pytest.mark.parametrize("n", [3, 9, 40])
def test_pearson_equals_scipy(n: int) -> None:
    generator = np.random.default_rng(n)
    x, y = generator.normal(size=(2, n))
    expected = stats.pearsonr(x, y)
    ours = statistics.pearson(x, y)
    assert ours.r == pytest.approx(expected.statistic, abs=1e-12)
    assert ours.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (ours.n, ours.df) == (n, n - 2)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        ([1, 2], [1, 2], "at least 3"),
        ([1, 2, 3], [1, 2], "pairs"),
        ([1, 1, 1], [1, 2, 3], "does not vary"),
        ([1, 2, float("nan")], [1, 2, 3], "finite"),
    ],
)
def test_pearson_refuses(x: list[float], y: list[float], says: str) -> None:
    with pytest.raises(StatisticsError, match=says):
        statistics.pearson(x, y)


def test_a_perfect_line_has_p_zero() -> None:
    assert statistics.pearson([1, 2, 3], [2, 4, 6]) == statistics.Correlation(1.0, 0.0, 3, 1)


def test_centred_correlation_equals_regression_with_dummies() -> None:
    generator = np.random.default_rng(5)
    groups = ["a"] * 4 + ["b"] * 5 + ["c"] * 3
    x = generator.normal(size=12) + np.repeat([0, 10, -7], [4, 5, 3])
    y = 0.5 * x + generator.normal(size=12) + np.repeat([3, -9, 20], [4, 5, 3])
    dummies = np.array([[group == name for name in "abc"] for group in groups], dtype=float)
    design = np.column_stack([x, dummies])
    coefficients, residual, _, _ = np.linalg.lstsq(design, y, rcond=None)
    df = 12 - 4
    error = math.sqrt(residual[0] / df * np.linalg.inv(design.T @ design)[0, 0])
    expected = 2 * stats.t.sf(abs(coefficients[0] / error), df)
    ours = statistics.centred_correlation(groups, x, y)
    assert ours.df == df
    assert ours.p == pytest.approx(expected, rel=1e-9)


def test_a_group_of_one_says_nothing() -> None:
    x, y = [1, 2, 4, 7, 100.0], [2, 1, 5, 6, -3.0]
    alone = statistics.centred_correlation(["a"] * 4, x[:4], y[:4])
    assert statistics.centred_correlation([*"aaaa", "b"], x, y) == alone
    with pytest.raises(StatisticsError, match="degree of freedom"):
        statistics.centred_correlation([*"abc"], [1, 2, 3], [1, 2, 3])


def test_williams_worked_example() -> None:
    # Silver, Hittner & May (2006), Applied Psychological Measurement 30, 152-153: program DEPCOR
    t, p = statistics.williams(0.3, 0.4, 0.5, 100)
    assert t == pytest.approx(-1.0767, abs=5e-5)
    assert p == pytest.approx(0.2843, abs=5e-5)


def test_williams_holds_its_level() -> None:
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(2000, 12, 1))
    columns = generator.normal(size=(2000, 12, 2)) + 0.8 * shared
    rejected = 0
    for one, pair in zip(shared[:, :, 0], columns, strict=True):
        r = np.corrcoef(np.column_stack([one, pair]).T)
        rejected += statistics.williams(r[0, 1], r[0, 2], r[1, 2], 12)[1] <= 0.05
    assert 0.03 < rejected / 2000 < 0.07


def test_williams_refuses() -> None:
    with pytest.raises(StatisticsError, match="at least 4"):
        statistics.williams(0.1, 0.2, 0.3, 3)
    with pytest.raises(StatisticsError, match="no data"):
        statistics.williams(0.9, -0.9, 0.9, 20)


@pytest.mark.parametrize(
    ("blocks", "treatments", "p"),
    [(1, 5, 1 / 120), (2, 4, 1 / 576), (2, 2, 1 / 4), (2, 5, 1 / 14400)],
)
def test_a_perfect_trend_reaches_the_smallest_p(blocks: int, treatments: int, p: float) -> None:
    trend = statistics.page_trend(np.tile(np.arange(treatments), (blocks, 1)))
    assert trend.p == pytest.approx(p, rel=1e-12)
    assert trend.smallest_p == pytest.approx(p, rel=1e-12)
    assert trend.rho == pytest.approx(1)


@settings(max_examples=30)
@given(st.integers(2, 4), st.integers(3, 6), st.integers(0, 2**31))
def test_page_equals_scipy_exact(blocks: int, treatments: int, seed: int) -> None:
    # scipy asks for two blocks and three treatments; single blocks are enumerated below
    table = np.random.default_rng(seed).normal(size=(blocks, treatments))
    expected = stats.page_trend_test(table, method="exact")
    ours = statistics.page_trend(table)
    assert ours.statistic == expected.statistic
    assert ours.p == pytest.approx(expected.pvalue, rel=1e-9)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=2))
def test_page_with_ties_equals_enumeration(table: list[list[int]]) -> None:
    ranks = [stats.rankdata(row) for row in table]
    order = np.arange(1, 5)
    observed = sum(float(order @ row) for row in ranks)
    orders = [[order @ np.array(p) for p in itertools.permutations(row)] for row in ranks]
    sums = [sum(choice) for choice in itertools.product(*orders)]
    expected = np.mean([total >= observed - 1e-9 for total in sums])
    trend = statistics.page_trend(table)
    assert trend.p == pytest.approx(float(expected), rel=1e-9)
    assert trend.statistic == pytest.approx(observed)


@settings(max_examples=20)
@given(st.permutations(range(6)), st.permutations(range(6)))
def test_a_rise_and_its_reverse_share_the_null(first: list[int], second: list[int]) -> None:
    table = np.array([first, second])
    rise, fall = statistics.page_trend(table), statistics.page_trend(-table)
    assert rise.p + fall.p >= 1
    assert rise.rho == pytest.approx(-fall.rho)


def test_page_refuses() -> None:
    with pytest.raises(StatisticsError, match="2 to 12"):
        statistics.page_trend([[1], [2]])
    with pytest.raises(StatisticsError, match="2 to 12"):
        statistics.page_trend([list(range(13))])
    with pytest.raises(StatisticsError, match="finite"):
        statistics.page_trend([[1, float("nan")]])


def test_page_takes_twelve_treatments() -> None:
    trend = statistics.page_trend([list(range(12))])
    assert trend.p == pytest.approx(1 / math.factorial(12))


@settings(max_examples=60)
@given(st.lists(finite, min_size=1, max_size=8), st.sampled_from(["two-sided", "greater", "less"]))
def test_sign_flip_equals_enumeration(values: list[float], alternative: str) -> None:
    means = [np.dot(signs, values) for signs in itertools.product((1, -1), repeat=len(values))]
    observed = sum(values)
    slack = 1e-9
    hits = {
        "two-sided": [abs(mean) >= abs(observed) - slack for mean in means],
        "greater": [mean >= observed - slack for mean in means],
        "less": [mean <= observed + slack for mean in means],
    }[alternative]
    assert statistics.sign_flip(values, alternative) == pytest.approx(np.mean(hits))  # type: ignore[arg-type]


def test_sign_flip_refuses() -> None:
    for values in ([], [1.0] * 21, [float("inf")]):
        with pytest.raises(StatisticsError, match="sign-flip"):
            statistics.sign_flip(values)


def test_t_interval_needs_three_seeds() -> None:
    assert statistics.t_interval([1.0, 2.0]) is None
    values = [1.0, 2.0, 4.0]
    interval = statistics.t_interval(values)
    assert interval is not None
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert statistics.t_test(values, 1.0) == pytest.approx(stats.ttest_1samp(values, 1.0).pvalue)
    with pytest.raises(StatisticsError, match="at least 3"):
        statistics.t_test([1.0, 2.0])
    assert statistics.t_test([1.0, 1.0, 1.0], 1.0) == 1.0
    assert statistics.t_test([1.0, 1.0, 1.0], 2.0) == 0.0


def test_paired_bootstrap_agrees_with_scipy() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(size=200)
    second = first + generator.normal(0.3, 0.5, size=200)
    ours = statistics.paired_bootstrap(first, second, seed=3, resamples=4000)
    expected = stats.bootstrap(
        (first - second,), np.mean, n_resamples=4000, method="percentile", rng=generator
    ).confidence_interval
    assert ours.mean == pytest.approx(np.mean(first - second))
    assert ours.low == pytest.approx(expected.low, abs=0.01)
    assert ours.high == pytest.approx(expected.high, abs=0.01)
    assert ours == statistics.paired_bootstrap(first, second, seed=3, resamples=4000)


def test_holm_by_hand() -> None:
    # 4 hypotheses: 0.005·4, 0.01·3, 0.03·2, and 0.04·1 raised to the step before it
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_what_is_not_tested() -> None:
    adjusted = statistics.holm([0.03, float("nan"), 0.5, 0.6])
    assert math.isnan(adjusted[1])
    assert [adjusted[0], *adjusted[2:]] == pytest.approx([0.09, 1.0, 1.0])


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(values: list[float]) -> None:
    adjusted = statistics.holm(values)
    rejected = set()
    for rank, position in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[position] * (len(values) - rank) > 0.05:
            break
        rejected.add(position)
    assert {i for i, value in enumerate(adjusted) if value <= 0.05} == rejected
    assert all(new >= old for new, old in zip(adjusted, values, strict=True))
