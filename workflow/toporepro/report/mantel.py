"""Permutation tests on similarities between classes, whose pairs are not independent.

Classes are permuted, never pairs: rows and columns together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toporepro.report.statistics import StatisticsError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mantel:
    """Mean rank correlation over pairs of classes, and its one-sided P.

    Attributes:
        each: the correlation of each pair of matrices.
    """

    r: float
    p: float
    each: tuple[float, ...]
    classes: int


def mantel(
    first: Sequence[Floats], second: Sequence[Floats], *, permutations: int, seed: int
) -> Mantel:
    """Mantel's test (Cancer Research 27:209, 1967) on ranks, pooled over pairs of matrices.

    All pairs of matrices are over the same classes and are permuted together: the mean of their
    correlations is one statistic with one P, whether or not they depend on each other.

    Args:
        first, second: symmetric matrices, (classes, classes) each; diagonals are not read.

    Raises:
        StatisticsError: with fewer than 4 classes, or values that are not finite or do not vary.
    """
    classes = len(first[0])
    upper = np.triu_indices(classes, 1)
    if classes < 4:
        raise StatisticsError(f"{classes} classes: the Mantel test needs at least 4")
    left = [_ranks(matrix[upper]) for matrix in first]
    right = []
    for matrix in second:
        full = np.zeros((classes, classes))
        full[upper] = _ranks(matrix[upper])
        right.append(full + full.T)
    each = [float(a @ b[upper]) for a, b in zip(left, right, strict=True)]
    observed, hits = float(np.mean(each)), 1
    generator = np.random.default_rng(seed)
    for _ in range(permutations):
        order = generator.permutation(classes)
        rows, columns = order[upper[0]], order[upper[1]]
        drawn = np.mean([a @ b[rows, columns] for a, b in zip(left, right, strict=True)])
        hits += bool(drawn >= observed - 1e-12)
    return Mantel(observed, hits / (permutations + 1), tuple(each), classes)


def _ranks(values: Floats) -> Floats:
    """Mid-ranks with mean 0 and length 1."""
    from scipy import stats

    if not np.isfinite(values).all():
        raise StatisticsError("some similarities are not finite")
    ranks: Floats = stats.rankdata(values) - (len(values) + 1) / 2
    length = float(np.sqrt(ranks @ ranks))
    if length == 0:
        raise StatisticsError("all similarities are the same")
    return ranks / length


def swap(
    first: Floats, second: Floats, common: Sequence[int], left: Sequence[int], right: Sequence[int]
) -> tuple[float, float, float]:
    """Whether ``common`` lies with ``left`` in the first world and with ``right`` in the second.

    The statistic: mean similarity of common to left less that to right, in the first world less in
    the second. Exact null: which of the classes in left and right are called left, the same in both
    worlds.

    Args:
        first, second: similarities, (classes, classes).
        common, left, right: classes.

    Returns:
        The statistic, its one-sided P, and the smallest P that the design could reach.
    """
    difference = (first - second)[list(common)].mean(axis=0)
    pool = [*left, *right]
    total = sum(difference[c] for c in pool)
    drawn = []
    for chosen in itertools.combinations(pool, len(left)):
        inside = sum(difference[c] for c in chosen)
        drawn.append(inside / len(left) - (total - inside) / len(right))
    observed = drawn[0]
    p = float(np.mean([value >= observed - 1e-12 for value in drawn]))
    return float(observed), p, 1 / len(drawn)
