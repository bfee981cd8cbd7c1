"""The tests behind the claims; each says its null, and exact ones enumerate it.

Nothing here knows of networks: a block, a pair or a group is whatever the caller takes for its unit
of inference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Alternative = Literal["two-sided", "greater", "less"]
Floats = NDArray[np.float64]

LARGEST_TREND = 12  # treatments; the exact null of one block costs 2^n steps
LARGEST_FLIP = 20  # differences; the exact null costs 2^n sums
FEWEST_FOR_INTERVAL = 3  # METHODS, Statistics: points otherwise


class StatisticsError(ValueError):
    """Data on which the test is not defined: says which and why."""


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation, with its two-sided P from Student's t on ``df`` degrees of freedom."""

    r: float
    p: float
    n: int
    df: int


@dataclass(frozen=True)
class Trend:
    """Page's trend test.

    Attributes:
        statistic: Page's L, the sum over treatments of their predicted rank times their rank sum.
        p: one-sided, exact.
        rho: mean over blocks of the rank correlation between treatments' order and values (with
            mid-ranks for ties it is Page's L rescaled), from −1 to 1.
        smallest_p: what a perfect trend would reach with so many blocks and treatments.
    """

    statistic: float
    p: float
    rho: float
    smallest_p: float
    blocks: int
    treatments: int


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def pearson(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's R and its two-sided P (t with n − 2 degrees of freedom).

    Raises:
        StatisticsError: with fewer than 3 points, unequal lengths, or no variation.
    """
    a, b = _pair(x, y)
    return _correlation(a - a.mean(), b - b.mean(), len(a) - 2)


def centred_correlation(groups: Sequence[object], x: ArrayLike, y: ArrayLike) -> Correlation:
    """Correlation inside groups: each group's mean is taken off both variables (fixed effects).

    A group with a single point says nothing and is left out; every remaining group costs one degree
    of freedom: n − groups − 1.

    Raises:
        StatisticsError: if no degree of freedom is left, or nothing varies.
    """
    a, b = _pair(x, y, fewest=1)
    (a, b), kept = centre(groups, a, b)
    return _correlation(a, b, len(a) - kept - 1)


def centre(groups: Sequence[object], *columns: ArrayLike) -> tuple[list[Floats], int]:
    """The columns with their groups' means taken off, and the number of groups that were kept.

    Args:
        groups: each point's group; groups of one point are dropped.
        columns: one value per point each.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    members: dict[object, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    kept = [positions for positions in members.values() if len(positions) > 1]
    empty = np.empty(0, dtype=np.float64)
    centred = [
        np.concatenate([empty, *(array[rows] - array[rows].mean() for rows in kept)])
        for array in arrays
    ]
    return centred, len(kept)


def williams(r12: float, r13: float, r23: float, n: int) -> tuple[float, float]:
    """Williams' T2 for two correlations that share variable 1: does r12 differ from r13?

    Args:
        r12, r13: the two correlations compared.
        r23: the correlation between the two variables that are not shared.
        n: number of points; for correlations centred by group, degrees of freedom + 2.

    Returns:
        t with n − 3 degrees of freedom, and its two-sided P (Williams 1959; Steiger 1980, eq. 7).

    Raises:
        StatisticsError: with n < 4, or where the three correlations cannot stand together.
    """
    from scipy import stats

    if n < 4:
        raise StatisticsError(f"Williams' test needs at least 4 points, not {n}")
    determinant = 1 - r12**2 - r13**2 - r23**2 + 2 * r12 * r13 * r23
    variance = 2 * determinant * (n - 1) / (n - 3) + (r12 + r13) ** 2 / 4 * (1 - r23) ** 3
    if determinant < -1e-12 or variance <= 0:
        raise StatisticsError(f"no data have the correlations {r12:g}, {r13:g} and {r23:g}")
    t = (r12 - r13) * math.sqrt((n - 1) * (1 + r23) / variance)
    return t, float(2 * stats.t.sf(abs(t), n - 3))


def page_trend(table: ArrayLike) -> Trend:
    """Page's test that values rise over treatments, with the exact null by convolution.

    Args:
        table: blocks × treatments, the treatments in the order in which they should rise. For a
            predicted fall, negate the values.

    Under the null every order of a block's values is equally likely, independently per block. Ties
    get mid-ranks, and the null is then that of the tied values.

    Raises:
        StatisticsError: with fewer than 2 or more than 12 treatments, or values not finite.
    """
    values = np.atleast_2d(np.asarray(table, dtype=np.float64))
    blocks, treatments = values.shape
    if not 2 <= treatments <= LARGEST_TREND:
        raise StatisticsError(f"{treatments} treatments: the trend test takes 2 to {LARGEST_TREND}")
    if blocks < 1 or not np.isfinite(values).all():
        raise StatisticsError("the trend test needs a full table of finite values")
    order = np.arange(1, treatments + 1)
    null, doubled, rhos = np.ones(1), 0, []
    for row in values:
        ranks = _doubled_ranks(row)  # twice the mid-ranks, so that they are whole numbers
        doubled += int(order @ ranks)
        null = np.convolve(null, _rank_sum_null(tuple(sorted(ranks.tolist()))))
        rhos.append(float(np.corrcoef(order, ranks)[0, 1]) if np.ptp(ranks) else 0.0)
    return Trend(
        statistic=doubled / 2,
        p=float(min(1.0, null[doubled:].sum())),
        rho=float(np.mean(rhos)),
        smallest_p=math.factorial(treatments) ** -float(blocks),
        blocks=blocks,
        treatments=treatments,
    )


def sign_flip(differences: ArrayLike, alternative: Alternative = "two-sided") -> float:
    """P of the mean difference when every difference may carry either sign: all 2^n of them.

    Raises:
        StatisticsError: without differences, with more than 20, or with values not finite.
    """
    values = np.asarray(differences, dtype=np.float64).ravel()
    if not 1 <= len(values) <= LARGEST_FLIP or not np.isfinite(values).all():
        raise StatisticsError(f"sign-flip takes 1 to {LARGEST_FLIP} finite differences")
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    observed, slack = values.sum(), 1e-12 * np.abs(values).sum()
    if alternative == "two-sided":
        hits = np.abs(sums) >= abs(observed) - slack
    else:
        sign = 1 if alternative == "greater" else -1
        hits = sign * sums >= sign * observed - slack
    return float(hits.mean())


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Student's interval of the mean; ``None`` below 3 values, where points are shown instead."""
    from scipy import stats

    array = np.asarray(values, dtype=np.float64).ravel()
    if len(array) < FEWEST_FOR_INTERVAL:
        return None
    mean = float(array.mean())
    error = float(array.std(ddof=1)) / math.sqrt(len(array))
    half = float(stats.t.ppf((1 + confidence) / 2, len(array) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def t_test(values: ArrayLike, null: float = 0.0) -> float:
    """Two-sided P of Student's one-sample test; the same rule as :func:`t_interval` (n ≥ 3).

    Raises:
        StatisticsError: below 3 values.
    """
    from scipy import stats

    array = np.asarray(values, dtype=np.float64).ravel()
    if len(array) < FEWEST_FOR_INTERVAL:
        raise StatisticsError(f"a t test needs at least {FEWEST_FOR_INTERVAL} values")
    error = float(array.std(ddof=1)) / math.sqrt(len(array))
    if error == 0:
        return 1.0 if array.mean() == null else 0.0
    return float(2 * stats.t.sf(abs(array.mean() - null) / error, len(array) - 1))


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    seed: int,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Mean of first − second over pairs (images, paradigms), with a percentile interval.

    Pairs are drawn together, so that what both share cancels; the interval is conditional on the
    two networks compared.

    Raises:
        StatisticsError: with fewer than 2 pairs, or unequal lengths.
    """
    a, b = _pair(first, second, fewest=2)
    differences = a - b
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for draw in range(resamples):  # one draw at a time: memory independent of the resamples
        means[draw] = differences[generator.integers(len(a), size=len(a))].mean()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(differences.mean()), float(low), float(high))


def holm(values: Iterable[float]) -> list[float]:
    """Holm's step-down adjusted P, in the order given; what is not a number stays so, uncounted."""
    p = np.asarray(list(values), dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    adjusted, running = p.copy(), 0.0
    for rank, position in enumerate(tested[np.argsort(p[tested], kind="stable")]):
        running = max(running, min(1.0, float(p[position]) * (len(tested) - rank)))
        adjusted[position] = running
    return [float(value) for value in adjusted]


def _pair(x: ArrayLike, y: ArrayLike, fewest: int = 3) -> tuple[Floats, Floats]:
    a = np.asarray(x, dtype=np.float64).ravel()
    b = np.asarray(y, dtype=np.float64).ravel()
    if len(a) != len(b):
        raise StatisticsError(f"{len(a)} values against {len(b)}: pairs are needed")
    if len(a) < fewest:
        raise StatisticsError(f"{len(a)} points: at least {fewest} are needed")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise StatisticsError("some values are not finite")
    return a, b


def _correlation(a: Floats, b: Floats, df: int) -> Correlation:
    """Correlation of two centred columns."""
    from scipy import stats

    if df < 1:
        raise StatisticsError(f"{len(a)} points leave no degree of freedom")
    scale = float(np.sqrt((a @ a) * (b @ b)))
    if scale <= 1e-12 * max(1.0, float(np.abs(a).max() * np.abs(b).max())):
        raise StatisticsError("one of the variables does not vary")
    r = float(np.clip((a @ b) / scale, -1, 1))
    if abs(r) == 1:
        return Correlation(r, 0.0, len(a), df)
    t = r * math.sqrt(df / (1 - r * r))
    return Correlation(r, float(2 * stats.t.sf(abs(t), df)), len(a), df)


def _doubled_ranks(row: Floats) -> NDArray[np.int64]:
    below = (row[:, None] > row[None, :]).sum(axis=1)
    upto = (row[:, None] >= row[None, :]).sum(axis=1)
    ranks: NDArray[np.int64] = (below + upto + 1).astype(np.int64)
    return ranks


def _rank_sum_null(ranks: tuple[int, ...]) -> Floats:
    """Probabilities of Σ position·rank over all orders of ``ranks``, by the value of the sum.

    Sums over subsets instead of orders: the set of ranks already placed says which position is
    next, so that n treatments cost 2^n polynomials rather than n! orders.
    """
    count = len(ranks)
    largest = sum(position * rank for position, rank in enumerate(ranks, start=1))
    ways = np.zeros((1 << count, largest + 1))
    ways[0, 0] = 1
    for placed in range(1 << count):
        position = placed.bit_count() + 1
        for item, rank in enumerate(ranks):
            if not placed >> item & 1:
                shift = position * rank
                ways[placed | 1 << item, shift:] += ways[placed, : largest + 1 - shift]
    total: Floats = ways[-1] / math.factorial(count)
    return total
