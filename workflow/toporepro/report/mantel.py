"""Permutation tests on similarities between classes, whose pairs are not independent.

Classes are permuted, never pairs: rows and columns together. That null takes a layout as given, and
a layout without any order still favours some classes over others. Where similarities come from a
layout, a second null is of similarities in random layouts; what is claimed must be unlike both, so
that P is the larger of the two (intersection–union test; Berger, Technometrics 24:295, 1982).
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
class Null:
    """A null distribution, the observed value counted in: ``reached`` of ``drawn`` are as large."""

    reached: int
    drawn: int

    @property
    def p(self) -> float:
        return self.reached / self.drawn


@dataclass(frozen=True)
class Permuted:
    """A statistic and its nulls.

    Attributes:
        value: the statistic; of :func:`mantel` the mean rank correlation over pairs of classes.
        classes: the null of classes permuted.
        layouts: the null of random layouts, where there are any.
        each: of :func:`mantel`: the correlation of each pair of matrices.
    """

    value: float
    classes: Null
    layouts: Null | None = None
    each: tuple[float, ...] = ()

    @property
    def nulls(self) -> tuple[Null, ...]:
        return (self.classes,) if self.layouts is None else (self.classes, self.layouts)

    @property
    def p(self) -> float:
        """One-sided P, the largest of all nulls'."""
        return max(null.p for null in self.nulls)

    @property
    def smallest_p(self) -> float:
        """The smallest P that the design could reach."""
        return max(1 / null.drawn for null in self.nulls)


def mantel(
    first: Sequence[Floats],
    second: Sequence[Floats],
    *,
    permutations: int,
    seed: int,
    layouts: Sequence[Floats] = (),
) -> Permuted:
    """Mantel's test (Cancer Research 27:209, 1967) on ranks, pooled over pairs of matrices.

    All pairs of matrices are over the same classes and are permuted together: the mean of their
    correlations is one statistic with one P, whether or not they depend on each other.

    Args:
        first, second: symmetric matrices, (classes, classes) each; diagonals are not read.
        layouts: for each of ``first``, what it would be in random layouts: (draws, classes,
            classes). The second null is of the mean sum of products with the ranks of ``second``
            (Mantel's Z), draw by draw.

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
    observed, drawn = float(np.mean(each)), np.empty(permutations)
    generator = np.random.default_rng(seed)
    for number in range(permutations):
        order = generator.permutation(classes)
        rows, columns = order[upper[0]], order[upper[1]]
        drawn[number] = np.mean([a @ b[rows, columns] for a, b in zip(left, right, strict=True)])
    permuted = _null(observed, drawn)
    if not layouts:
        return Permuted(observed, permuted, each=tuple(each))
    # A correlation would not see that similarities are as good as 0 in a layout without order.
    ordered = [b[upper] for b in right]
    products = [matrix[upper] @ b for matrix, b in zip(first, ordered, strict=True)]
    chance = np.mean([of[:, *upper] @ b for of, b in zip(layouts, ordered, strict=True)], axis=0)
    return Permuted(observed, permuted, _null(np.mean(products), chance), tuple(each))


def _null(observed: float | np.floating, drawn: Floats) -> Null:
    """What was drawn, with the observed value."""
    return Null(1 + int(np.sum(drawn >= observed - 1e-12)), 1 + len(drawn))


def _ranks(values: Floats) -> Floats:
    """Mid-ranks along the last axis with mean 0 and length 1."""
    from scipy import stats

    if not np.isfinite(values).all():
        raise StatisticsError("some similarities are not finite")
    ranks: Floats = stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    length = np.linalg.norm(ranks, axis=-1, keepdims=True)
    if (length == 0).any():
        raise StatisticsError("all similarities are the same")
    ranks /= length
    return ranks


def swap(
    first: Floats,
    second: Floats,
    common: Sequence[int],
    left: Sequence[int],
    right: Sequence[int],
    layouts: Sequence[Floats] = (),
) -> Permuted:
    """Whether ``common`` lies with ``left`` in the first world and with ``right`` in the second.

    The statistic: mean similarity of common to left less that to right, in the first world less in
    the second. Exact null: which of the classes in left and right are called left, the same in both
    worlds.

    Args:
        first, second: similarities, (classes, classes).
        common, left, right: classes.
        layouts: of both, in random layouts, (draws, classes, classes) each; the second null.
    """
    difference = (first - second)[list(common)].mean(axis=0)
    pool = [*left, *right]
    total = sum(difference[c] for c in pool)
    drawn = []
    for chosen in itertools.combinations(pool, len(left)):
        inside = sum(difference[c] for c in chosen)
        drawn.append(inside / len(left) - (total - inside) / len(right))
    observed = float(drawn[0])
    reached = int(np.sum(np.array(drawn) >= observed - 1e-12))
    relabelled = Null(reached, len(drawn))
    if not layouts:
        return Permuted(observed, relabelled)
    apart = (layouts[0] - layouts[1])[:, list(common)].mean(axis=1)
    chance = apart[:, list(left)].mean(axis=1) - apart[:, list(right)].mean(axis=1)
    return Permuted(observed, relabelled, _null(observed, chance))
