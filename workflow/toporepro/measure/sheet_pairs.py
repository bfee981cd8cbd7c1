"""Pairs of units on a cortical sheet: by distance, and as neighbours.

A statistic over all pairs costs one pass over a U×U matrix, also after the units were shuffled: how
far apart two units lie depends on their row difference and their two columns alone, so the matrix
is first summed over all pairs of sheet rows that lie equally far apart.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toporepro.measure.result import Floats

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DistanceBins:
    """Equal-width distance bins of all pairs of different units, from 0 to the largest distance.

    Bin b holds distances d with b ≤ bins·d/d_max < b+1, the last one also d_max itself. Which bin a
    distance belongs to is decided in integers: it never depends on rounding.

    Attributes:
        height, width: of the sheet; unit i lies in row i // width, column i % width.
        bins: number of bins.
        bin_of: (height, width, width): the bin of a pair by row difference and columns; ``bins``
            where a pair would be counted twice or is a unit with itself.
    """

    height: int
    width: int
    bins: int
    bin_of: Indices

    @functools.cached_property
    def counts(self) -> Floats:
        """Pairs per bin, with all units taking part."""
        rows = np.arange(self.height, 0, -1, dtype=np.float64)
        return self._collect(np.broadcast_to(rows[:, None, None], self.bin_of.shape))

    @functools.cached_property
    def distances(self) -> Floats:
        """Mean distance of the pairs of each bin, in units' spacings; ``nan`` in empty bins."""
        dy, x1, x2 = np.ogrid[: self.height, : self.width, : self.width]
        total = self._collect((self.height - dy) * np.hypot(dy, x1 - x2))
        return _ratio(total, self.counts)

    def sums(self, matrix: npt.NDArray[np.floating], order: Indices | None = None) -> Floats:
        """Sum of a symmetric matrix over the pairs of each bin.

        Args:
            matrix: (units, units).
            order: the unit that lies at each place of the sheet, if not unit i at place i.

        Returns:
            (bins,).
        """
        width = self.width
        places = np.arange(self.height * width) if order is None else order
        total = np.zeros(self.bin_of.shape, dtype=matrix.dtype)
        for row in range(self.height):
            lines = matrix[places[row * width : (row + 1) * width]]
            if order is None:
                block = lines[:, row * width :]
            else:
                block = lines.take(order[row * width :], axis=1)
            total[: self.height - row] += block.reshape(width, -1, width).swapaxes(0, 1)
        return self._collect(total)

    def curve(self, matrix: npt.NDArray[np.floating], live: npt.NDArray[np.bool_]) -> Floats:
        """Mean of a symmetric matrix over the pairs of each bin; ``nan`` in empty bins.

        Args:
            matrix: (units, units); rows and columns of units that are not live hold 0.
            live: (units,): which units take part.
        """
        return _ratio(self.sums(matrix), self.live_counts(live))

    def live_counts(self, live: npt.NDArray[np.bool_]) -> Floats:
        """Pairs per bin of which both units are live."""
        if live.all():
            return self.counts
        return self.sums(np.outer(live, live).astype(np.float64))

    def _collect(self, by_offset: npt.NDArray[np.floating]) -> Floats:
        binned = np.bincount(self.bin_of.ravel(), by_offset.ravel(), minlength=self.bins + 1)
        result: Floats = binned[: self.bins].astype(np.float64)
        return result


@functools.lru_cache(maxsize=16)
def distance_bins(height: int, width: int, bins: int) -> DistanceBins:
    """The distance bins of a sheet of ``height``×``width`` units."""
    dy, x1, x2 = np.ogrid[:height, :width, :width]
    squared = dy**2 + (x1 - x2) ** 2
    largest = max(1, (height - 1) ** 2 + (width - 1) ** 2)
    lookup = [min(bins - 1, math.isqrt(bins**2 * d // largest)) for d in range(largest + 1)]
    bin_of = np.array(lookup, dtype=np.int64)[squared]
    bin_of[np.broadcast_to((dy == 0) & (x1 >= x2), bin_of.shape)] = bins
    bin_of.setflags(write=False)
    return DistanceBins(height, width, bins, bin_of)


def queen_pairs(height: int, width: int) -> tuple[Indices, Indices]:
    """Every pair of units that touch along an edge or at a corner, once: two index arrays."""
    unit = np.arange(height * width).reshape(height, width)
    pairs = [
        (unit[:, :-1], unit[:, 1:]),
        (unit[:-1, :], unit[1:, :]),
        (unit[:-1, :-1], unit[1:, 1:]),
        (unit[:-1, 1:], unit[1:, :-1]),
    ]
    first = np.concatenate([a.ravel() for a, _ in pairs])
    second = np.concatenate([b.ravel() for _, b in pairs])
    return first, second


def _ratio(total: Floats, count: Floats) -> Floats:
    result: Floats = np.full(total.shape, np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result
