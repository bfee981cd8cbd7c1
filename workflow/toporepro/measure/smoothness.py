"""Smoothness: how much alike neighbouring units answer, in four definitions.

* ``smoothness`` (Deb, Deb & Ratan Murty, ICLR 2025; binning chosen here): highest minus lowest of
  the mean Pearson correlation of pairs of units as a function of their distance on the sheet.
* ``smoothness_null``: the mean of the same over shuffles of the units; ``smoothness_minus_null``:
  the difference. Few pairs in the outermost bins make even noise smooth: the null says how much.
* ``smoothness_tdann`` (Margalit et al., Neuron 112:2435, 2024): (max − first) / max of the curve of
  mean |Δ tuning| over distance. A unit's tuning is its mean response to each class, standardised
  over the classes; |Δ tuning| averages over classes (chosen: theirs is per stimulus property).
* ``morans_i`` (Moran, Biometrika 37:17, 1950) with queen contiguity and weights 0 and 1, of the
  maps that stimuli evoke, each unit standardised over stimuli. Numerator and denominator are summed
  over stimuli, which makes it a function of the correlations alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toporepro.measure.correlation import correlations, standardised
from toporepro.measure.precision import TOKENS, Precision
from toporepro.measure.result import Floats, Result, UnitValues, per_layer
from toporepro.measure.sheet_pairs import DistanceBins, distance_bins, queen_pairs
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.network import Network

ON_SNAPSHOTS = True
Live = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``smoothness``.

    Attributes:
        stimuli: split that is shown; left out, the one that the task is tested on.
        precision: of the forward pass.
        tokens: of text, consecutive ones whose mean response is one stimulus; 1 takes each alone.
        bins: equal-width distance bins, from 0 to the sheet's largest distance; empty ones drop
            out.
        shuffles: shuffles of the units that the null is the mean of.
    """

    stimuli: str | None = None
    precision: Precision = "float32"
    tokens: int = TOKENS
    bins: int = 20
    shuffles: int = 100

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise SpecError(f"bins={self.bins}: at least 2")
        if self.shuffles < 1:
            raise SpecError(f"shuffles={self.shuffles}: at least 1")


def measure(subject: Network, options: Options) -> Result:
    """All four, per layer and averaged over layers; of a final model also the curves.

    TDANN's needs stimuli that have classes: there is none of text.

    Quantities: ``correlation_at_distance`` and ``distance`` (mean over the bin's pairs), by bin.
    """
    statistics = subject.statistics(options.stimuli, options.precision, options.tokens)
    found: dict[str, dict[str, float]] = {}

    def say(name: str, layer: str, value: float) -> None:
        found.setdefault(name, {})[layer] = value

    curves: list[UnitValues] = []
    for layer, moments in statistics.moments.items():
        bins = distance_bins(*subject.sheet(layer), options.bins)
        matrix, live = correlations(moments.mean, moments.covariance())
        curve = bins.curve(matrix, live)
        raw = extent(curve)
        null = shuffled_extent(matrix, live, bins, options.shuffles, _seed(subject.seed, layer))
        say("smoothness", layer, raw)
        say("smoothness_null", layer, null)
        say("smoothness_minus_null", layer, raw - null)
        if layer in statistics.profiles:
            say("smoothness_tdann", layer, tdann(statistics.profiles[layer], bins))
        say("morans_i", layer, morans_i(matrix, live, *subject.sheet(layer)))
        if subject.final:
            curves.append(UnitValues(layer, "correlation_at_distance", curve, per_unit=False))
            curves.append(UnitValues(layer, "distance", bins.distances, per_unit=False))
    rows = [
        row for name, values in found.items() for row in per_layer(name, statistics.stimuli, values)
    ]
    return Result(tuple(rows), tuple(curves))


def extent(curve: Floats) -> float:
    """Highest minus lowest value of a curve over its non-empty bins; ``nan`` if all are empty."""
    filled = curve[~np.isnan(curve)]
    return float(filled.max() - filled.min()) if filled.size else float("nan")


def shuffled_extent(
    matrix: Floats, live: Live, bins: DistanceBins, shuffles: int, seed: tuple[int, ...]
) -> float:
    """The mean extent over shuffles of the live units among their places."""
    count = bins.live_counts(live)
    filled = count > 0
    if not filled.any():
        return float("nan")
    generator = np.random.default_rng(seed)
    single = matrix.astype(np.float32)  # gathering is bound by memory; errors stay below 1e-6
    places, order = np.flatnonzero(live), np.arange(len(live))
    total = 0.0
    for _ in range(shuffles):
        order[places] = generator.permutation(places)
        total += float(np.ptp(bins.sums(single, order)[filled] / count[filled]))
    return total / shuffles


def tdann(profiles: Floats, bins: DistanceBins) -> float:
    """(max − first) / max of mean |Δ tuning| over distance.

    Args:
        profiles: (units, classes); units that answer all classes alike take no part.
        bins: of the units' sheet.

    Returns:
        ``nan`` if all tuning is the same.
    """
    import torch

    tuning, live = standardised(profiles)
    tensor = torch.from_numpy(tuning)
    difference: Floats = torch.cdist(tensor, tensor, p=1).div_(tuning.shape[1]).numpy()
    difference[~live] = 0
    difference[:, ~live] = 0
    curve = bins.curve(difference, live)
    filled = curve[~np.isnan(curve)]
    if not filled.size or filled.max() <= 0:
        return float("nan")
    return float((filled.max() - filled[0]) / filled.max())


def morans_i(matrix: Floats, live: Live, height: int, width: int) -> float:
    """Moran's I of standardised response maps, pooled over stimuli.

    With z_s the map of stimulus s and z̄_s its mean over the n live units, pairs (i, j) of live
    neighbours counted both ways and W their number::

        I = (n / W) · Σ_s Σ_ij (z_si − z̄_s)(z_sj − z̄_s) / Σ_s Σ_i (z_si − z̄_s)²

    whose sums over s are entries of the correlation matrix with rows and columns centred.

    Args:
        matrix: correlations, (units, units), 0 for units that are not live.
    """
    first, second = queen_pairs(height, width)
    both = live[first] & live[second]
    first, second = first[both], second[both]
    n = int(live.sum())
    if not first.size:
        return float("nan")
    row = matrix.sum(axis=1) / n
    grand = row.sum() / n
    near = matrix[first, second] - row[first] - row[second] + grand
    spread = float((matrix.diagonal()[live] - 2 * row[live] + grand).sum())
    # Units that all answer alike leave maps without any contrast, whose I is undefined.
    if spread <= 1e-12 * n:
        return float("nan")
    return float(n * near.sum() / (len(first) * spread))


def _seed(seed: int, layer: str) -> tuple[int, ...]:
    """Each layer's own shuffles; the same ones at every step, so that steps compare in pairs."""
    return (seed, zlib.crc32(layer.encode()))
