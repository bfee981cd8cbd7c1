"""A region's and a sheet's curves over distance, and how much alike they are."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from toporepro.measure.brain_match import one_to_one, standard
from toporepro.measure.definitions import binned
from toporepro.measure.result import Floats

if TYPE_CHECKING:
    from toporepro.data.brain_responses import Participant
    from toporepro.measure.subject import Subject

RESPONSES = "responses"
FEWEST_BINS = 4
_PAIRS = 1 << 21  # distances held at once
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """A participant's region, of one hemisphere or both.

    Attributes:
        same: whether two voxels are in one hemisphere, (voxels, voxels).
        distance: of two voxels in mm, (voxels, voxels).
        curves: ``responses`` or a category → its curve over bins of distance.
        responses: to held-out stimuli, (stimuli, voxels).
    """

    same: npt.NDArray[np.bool_]
    distance: Floats
    curves: Mapping[str, Floats]
    responses: npt.NDArray[np.float32]

    @classmethod
    def of(cls, one: Participant, sides: list[Integers], bins: int) -> Region:
        voxels = np.concatenate(sides)
        side = np.repeat(np.arange(len(sides)), [len(side) for side in sides])
        same = side[:, None] == side
        places = one.places[voxels]
        distance = np.sqrt(np.square(places[:, None] - places).sum(axis=2))
        pairs: npt.NDArray[np.bool_] = np.triu(same, 1)
        apart = distance[pairs]
        which = _by_count(apart, bins)
        responses = one.test.responses(voxels)
        similar = {RESPONSES: _correlations(responses)}
        for category, t in one.maps.items():
            if np.isfinite(t[voxels]).all() and np.ptp(t[voxels]) > 0:
                similar[category] = _products(t[voxels])
        count = np.bincount(which, minlength=bins)
        curves = {
            name: np.bincount(which, matrix[pairs], minlength=bins)
            / np.where(count > 0, count, np.nan)
            for name, matrix in similar.items()
        }
        return cls(same, distance, curves, responses)


class Sheet:
    """A layer's curves over distance on its sheet, and those of the units shuffled over it."""

    def __init__(
        self,
        subject: Subject,
        layer: str,
        responses: npt.NDArray[np.float32],
        maps: Mapping[str, npt.NDArray[np.float32]],
        *,
        bins: int,
        shuffles: int,
    ) -> None:
        self.responses, self.width = responses, subject.sheet(layer)[1]
        self.seed = (subject.seed, zlib.crc32(layer.encode()))
        self.shuffles = shuffles
        by_count = binned(*subject.sheet(layer), "count", bins)
        similar = _correlations(responses)
        live = similar.diagonal() > 0
        generator = np.random.default_rng(self.seed)
        places, order = np.flatnonzero(live), np.arange(len(live))
        orders = []
        for _ in range(shuffles):
            order[places] = generator.permutation(places)
            orders.append(order.copy())
        count = by_count.live_counts(live)
        matrices = {RESPONSES: similar}
        for category, t in maps.items():
            products = np.zeros_like(similar)
            if np.ptp(t[live]) > 0:
                products[np.ix_(live, live)] = _products(t[live].astype(np.float64))
                matrices[category] = products
        with np.errstate(invalid="ignore", divide="ignore"):
            self.curves = {
                name: np.stack([by_count.sums(m), *(by_count.sums(m, each) for each in orders)])
                / count
                for name, m in matrices.items()
            }

    def against(self, one: Participant, region: Region) -> Iterator[tuple[str, float, float]]:
        """Each comparison with a region: its name, value and P; none where it is not defined."""
        value, null = _alike(self.curves[RESPONSES], region.curves[RESPONSES])
        if np.isfinite(value):
            yield "brain_curve", value, _p(value, null)
        shared = [name for name in region.curves if name != RESPONSES and name in self.curves]
        both = [_alike(self.curves[name], region.curves[name]) for name in shared]
        both = [found for found in both if np.isfinite(found[0])]
        if both:
            value = float(np.mean([found[0] for found in both]))
            yield "brain_patch", value, _p(value, np.mean([found[1] for found in both], axis=0))
        value, null = self._places(one, region)
        if np.isfinite(value):
            yield "brain_place", value, _p(value, null)

    def _places(self, one: Participant, region: Region) -> tuple[float, Floats]:
        """Correlation of distances between matched units and between their voxels; its null."""
        shown = standard(torch.from_numpy(self.responses[one.test.rows]))
        units, partners = one_to_one(shown.T @ standard(torch.from_numpy(region.responses)))
        between = np.ix_(partners, partners)
        first, second = np.nonzero(np.triu(region.same[between], 1))
        if not len(first):
            return float("nan"), np.empty(0)
        cortex = region.distance[between][first, second]
        generator = np.random.default_rng((*self.seed, zlib.crc32(one.name.encode())))
        orders = np.tile(np.arange(len(units)), (1 + self.shuffles, 1))
        generator.permuted(orders[1:], axis=1, out=orders[1:])
        row, column = np.divmod(units, self.width)
        found = []
        for some in np.array_split(orders, -(-orders.shape[0] * len(first) // _PAIRS)):
            apart = [place[some][:, first] - place[some][:, second] for place in (row, column)]
            found.append(_correlations_with(np.hypot(*apart), cortex))
        values = np.concatenate(found)
        return float(values[0]), values[1:]


def _correlations(responses: npt.NDArray[np.float32]) -> Floats:
    """Of all pairs of columns; rows and columns of constant ones are 0."""
    unit = standard(torch.from_numpy(responses)).double().numpy()
    result: Floats = unit.T @ unit
    return result


def _by_count(distances: Floats, bins: int) -> Integers:
    """The bin of each pair: equal distances stay together, bins hold about as many pairs each."""
    _, place, count = np.unique(np.round(distances, 6), return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    number: Integers = np.minimum(bins * middle // count.sum(), bins - 1).astype(np.int64)
    return number[place.ravel()]


def _products(values: Floats) -> Floats:
    """Products of standardised values, all pairs."""
    z = (values - values.mean()) / values.std()
    result: Floats = np.outer(z, z)
    return result


def _alike(sheet: Floats, region: Floats) -> tuple[float, Floats]:
    """Correlation over bins of a region's curve with the sheet's first one, and with the others."""
    known = np.isfinite(region) & np.isfinite(sheet[0])
    if known.sum() < FEWEST_BINS:
        return float("nan"), np.empty(0)
    found = _correlations_with(sheet[:, known], region[known])
    return float(found[0]), found[1:]


def _correlations_with(rows: Floats, one: Floats) -> Floats:
    """Of each row with the same values; ``nan`` for one that does not vary."""
    rows, one = rows - rows.mean(axis=1, keepdims=True), one - one.mean()
    size = np.sqrt(np.square(rows).sum(axis=1) * (one @ one))
    result: Floats = (rows @ one) / np.where(size > 0, size, np.nan)
    return result


def _p(value: float, null: Floats) -> float:
    return float((1 + np.sum(null >= value - 1e-9)) / (1 + len(null)))
