"""Where sub-classes of images lie on the sheet, as tables tell it, and in sheets without order.

Units of one convolution can be put in any order before training without a change in anything but
their order. So where topography made no difference, every order of a sheet's units was as likely as
the one found: shuffled units are the null of a layout. The sub-classes' maps are shuffled together,
for maps are alike or not whatever the order of the units.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toporepro.measure.sheet_pairs import queen_pairs

if TYPE_CHECKING:
    import pandas as pd

MAPS, RESPONSES, PIXELS = (f"subclass_{of}_similarity" for of in ("map", "response", "pixel"))
CATEGORY = "subclass_category."
UNITS = ("subclass_t",)  # quantities read of single units
SHUFFLES = 999
_PAIR = 1000  # the index of a pair of classes (i, j) is 1000 i + j
_CHUNK = 1 << 21  # numbers held at once

Floats = NDArray[np.float64]
Network = tuple[str, int]  # τ, seed


@dataclass(frozen=True)
class SheetMaps:
    """Maps of sub-classes on one layer: (classes, units), units row by row of the sheet."""

    values: Floats
    height: int
    width: int


def final_matrices(
    curves: pd.DataFrame | None, name: str, quantity: str
) -> dict[Network, dict[str, Floats]]:
    """(τ, seed) → layer → symmetric matrix over classes, of a family's fully trained networks.

    Classes are those that occur, in the order of their numbers; diagonals hold 0.
    """
    found: dict[Network, dict[str, Floats]] = {}
    if curves is None:
        return found
    rows = curves[(curves.family == name) & (curves.quantity == quantity) & (curves.step > 0)]
    rows = rows[rows.step == rows.groupby(["tau", "seed"])["step"].transform("max")]
    for (tau, seed, layer), part in rows.groupby(["tau", "seed", "layer"], sort=False):
        index = part["index"].to_numpy(int)
        classes, places = np.unique([index // _PAIR, index % _PAIR], return_inverse=True)
        first, second = places.reshape(2, -1)
        matrix = np.zeros((len(classes), len(classes)))
        matrix[first, second] = matrix[second, first] = part.value.to_numpy(float)
        found.setdefault((str(tau), int(str(seed))), {})[str(layer)] = matrix
    return found


def final_maps(units: pd.DataFrame | None, name: str) -> dict[Network, dict[str, SheetMaps]]:
    """(τ, seed) → layer → maps of selectivity for sub-classes, of fully trained networks."""
    found: dict[Network, dict[str, SheetMaps]] = {}
    if units is None:
        return found
    rows = units[(units.family == name) & units.quantity.isin(UNITS) & (units.step > 0)]
    rows = rows[rows.step == rows.groupby(["tau", "seed"])["step"].transform("max")]
    for (tau, seed, layer), part in rows.groupby(["tau", "seed", "layer"], sort=False):
        part = part.sort_values(["index", "unit"], kind="stable")
        height, width = int(part.row.max()) + 1, int(part.col.max()) + 1
        values = part.value.to_numpy(float).reshape(-1, height * width)
        maps = SheetMaps(values, height, width)
        found.setdefault((str(tau), int(str(seed))), {})[str(layer)] = maps
    return found


def categories(curves: pd.DataFrame | None) -> Mapping[str, list[int]]:
    """Category → places of its classes in the matrices of :func:`final_matrices`."""
    found: dict[str, list[int]] = {}
    if curves is None:
        return found
    rows = curves[curves.quantity.str.startswith(CATEGORY)]
    members: dict[str, set[int]] = {}
    for quantity, index in zip(rows.quantity, rows["index"], strict=True):
        members.setdefault(str(quantity).removeprefix(CATEGORY), set()).add(int(index))
    classes = sorted(_all(members.values()))
    return {name: [classes.index(c) for c in sorted(of)] for name, of in members.items()}


def mean_over_layers(layers: Mapping[str, Floats]) -> Floats:
    """The mean of matrices over the same classes."""
    result: Floats = np.mean(list(layers.values()), axis=0)
    return result


def shuffled_layouts(layers: Mapping[str, SheetMaps], seed: int, shuffles: int) -> Floats:
    """Similarity of layout, mean over layers, with the units of every layer in random order.

    Networks of one seed are shuffled alike, whatever their τ: without an effect of topography they
    would be one network, so that their layouts are no independent draws.

    Args:
        layers: layer → maps of a network.
        seed: the network's.

    Returns:
        (shuffles, classes, classes): as ``measure.clusters.layout_similarity`` of shuffled maps.
    """
    drawn = [
        _shuffled(maps, (seed, zlib.crc32(name.encode())), shuffles)
        for name, maps in layers.items()
    ]
    result: Floats = np.mean(drawn, axis=0)
    return result


def _shuffled(maps: SheetMaps, seed: Sequence[int], shuffles: int) -> Floats:
    from scipy import ndimage

    classes, units = maps.values.shape
    centred = maps.values - maps.values.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True))
    expected = -(scaled @ scaled.T) / units / (units - 1)
    contacts = 2 * len(queen_pairs(maps.height, maps.width)[0])
    generator = np.random.default_rng(seed)
    found = []
    step = max(1, _CHUNK // scaled.size)
    for start in range(0, shuffles, step):
        orders = np.tile(np.arange(units), (min(step, shuffles - start), 1))
        laid = scaled[:, generator.permuted(orders, axis=1)].swapaxes(0, 1)
        sheets = laid.reshape(-1, classes, maps.height, maps.width)
        rows = ndimage.convolve1d(sheets, np.ones(3), axis=2, mode="constant")
        box = ndimage.convolve1d(rows, np.ones(3), axis=3, mode="constant")
        around = (box - sheets).reshape(laid.shape)  # a unit is not its own neighbour
        found.append(laid @ around.swapaxes(1, 2) / contacts - expected)
    return np.concatenate(found)


def _all(sets: Iterable[set[int]]) -> set[int]:
    return set().union(*sets)
