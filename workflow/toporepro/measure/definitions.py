"""Every plausible definition of what the paper plots, side by side: for ``calibrate_definitions``.

* Smoothness over binnings of distance, and effective dimensionality by two estimators, each of the
  layer's own output or of what is left of it after normalisation and rectifier (``tap``).
* ``anchor_contrast``: which φ, and which convention of coordinates, a network was trained with.
  TopoLoss pulls units towards what is interpolated between the points at which its coarse sheet is
  sampled, so that a trained sheet fits those points better than the same grid moved by a few units:
  log(loss at the grid / mean loss over moved grids), over units that lie inside. Near 0 for a grid
  that played no part; the true one has the lowest value. Needs no published number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from toporepro.measure.correlation import correlations
from toporepro.measure.effective_dimensionality import corrected_ratio, participation_ratio
from toporepro.measure.result import Floats, Result, Row
from toporepro.measure.sheet_pairs import DistanceBins, distance_bins
from toporepro.measure.smoothness import extent
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toporepro.measure.moments import Moments
    from toporepro.measure.subject import Subject

ON_SNAPSHOTS = False
TASK = "classification"
Spacing = Literal["width", "count", "unit"]
Coordinates = Literal["factor", "size"]
LAYER, RECTIFIED = "layer", "rectified"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``definitions``.

    Attributes:
        stimuli: sets of images that are shown, one after the other: ``split``, or, of another
            dataset of the preset, ``dataset/split``.
        bins: numbers of distance bins.
        spacings: of the bins: of equal ``width``, of an equal ``count`` of pairs, or one ``unit``
            wide, whatever their number.
        phis: down-sampling factors φ whose grids are tried on the weights.
        coordinates: conventions of sampling that are tried: by the given ``factor`` as the authors'
            package does, or by the ratio of ``size``.
    """

    stimuli: tuple[str, ...] = ("test",)
    bins: tuple[int, ...] = (10, 20, 50)
    spacings: tuple[Spacing, ...] = ("width", "count", "unit")
    phis: tuple[float, ...] = (2, 3, 4, 5, 6, 8)
    coordinates: tuple[Coordinates, ...] = ("factor", "size")

    def __post_init__(self) -> None:
        for count in self.bins:
            if count < 2:
                raise SpecError(f"bins={count}: at least 2")
        for phi in self.phis:
            if phi <= 1:
                raise SpecError(f"phis={phi}: above 1")
        for spacing in self.spacings:
            if spacing not in get_args(Spacing):
                raise SpecError(f"spacings={spacing!r}: one of {', '.join(get_args(Spacing))}")


def measure(subject: Subject, options: Options) -> Result:
    """Means over topographic layers, of a final model; the definition is part of the metric."""
    rows = [row for stimuli in options.stimuli for row in _of_responses(subject, stimuli, options)]
    return Result((*rows, *_of_weights(subject, options)))


def _of_responses(subject: Subject, stimuli: str, options: Options) -> Iterator[Row]:
    for tap, moments in _moments(subject, stimuli).items():
        found: dict[str, list[float]] = {}
        for layer, of_layer in moments.items():
            covariance = of_layer.covariance()
            plain = participation_ratio(covariance)
            corrected = corrected_ratio(covariance, of_layer.fourth_power(), of_layer.count)
            for name, value in (("plain", plain), ("corrected", corrected)):
                key = f"effective_dimensionality[tap={tap},estimator={name}]"
                found.setdefault(key, []).append(value)
            matrix, live = correlations(of_layer.mean, covariance)
            for spacing in options.spacings:
                for count in options.bins if spacing != "unit" else (0,):
                    bins = binned(*subject.sheet(layer), spacing, count)
                    number = f",bins={count}" if count else ""
                    key = f"smoothness[tap={tap},spacing={spacing}{number}]"
                    found.setdefault(key, []).append(extent(bins.curve(matrix, live)))
        for metric, values in found.items():
            yield Row("mean", stimuli, metric, float(np.mean(values)))


def binned(height: int, width: int, spacing: Spacing, bins: int) -> DistanceBins:
    """The distance bins of a sheet: ``bins`` of them, except for ``unit``."""
    if spacing == "width":
        return distance_bins(height, width, bins)
    twice = distance_bins(height, width, 2).bin_of == 2  # pairs that are no pairs or counted before
    dy, x1, x2 = np.ogrid[:height, :width, :width]
    squared = dy**2 + (x1 - x2) ** 2
    if spacing == "unit":
        numbers = np.array([math.isqrt(value) for value in range(int(squared.max()) + 1)])
        bins = int(numbers[-1]) + 1
    else:
        pairs = np.broadcast_to(height - dy, squared.shape)
        count = np.bincount(squared[~twice], pairs[~twice])
        middle = np.cumsum(count) - count / 2
        numbers = np.minimum(bins * middle // max(count.sum(), 1), bins - 1).astype(np.int64)
    bin_of = numbers[squared]
    bin_of[twice] = bins
    return DistanceBins(height, width, bins, bin_of)


def _moments(subject: Subject, stimuli: str) -> dict[str, dict[str, Moments]]:
    """Tap → layer → moments of its responses; no ``rectified`` where a layer has no such place."""
    import torch

    from toporepro.measure.moments import Moments
    from toporepro.measure.responses import per_unit

    places = rectified(subject.module, list(subject.layers))
    taps = [LAYER, *([RECTIFIED] if places else [])]
    moments = {
        tap: {layer: Moments(units, subject.device) for layer, units in subject.layers.items()}
        for tap in taps
    }
    handles = []

    def watch(tap: str, layer: str, place: str) -> None:
        def hook(module: nn.Module, inputs: tuple[object, ...], output: Tensor) -> None:
            if tap == LAYER:
                response = per_unit(module, output)
            else:
                response = _averaged(output.float().relu() if "bn" in place else output.float())
            moments[tap][layer].update(response)

        handles.append(subject.module.get_submodule(place).register_forward_hook(hook))

    for layer in subject.layers:
        watch(LAYER, layer, layer)
        if places:
            watch(RECTIFIED, layer, places[layer])
    try:
        with torch.inference_mode():
            for inputs in subject.batches(stimuli):
                subject.module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return moments


def _averaged(output: Tensor) -> Tensor:
    """(stimuli, units): averaged over positions (N×C×H×W) or tokens (N×T×C)."""
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    return output.mean(dim=1) if output.ndim == 3 else output.clone()


def rectified(module: nn.Module, layers: list[str]) -> dict[str, str]:
    """Where each layer's response comes out of its non-linearity; empty if one has no such place.

    Of a residual block's convolution: its batch normalisation, to be rectified, or the block itself
    for the last one, whose rectifier follows the shortcut. In a sequence: the activation behind.
    """
    from torch import nn

    places = {}
    for layer in layers:
        name = layer.removesuffix(".conv")
        parent, _, own = name.rpartition(".")
        block = module.get_submodule(parent) if parent else module
        numbered = re.fullmatch(r"conv(\d+)", own)
        if numbered and hasattr(block, f"bn{numbered[1]}"):
            last = not hasattr(block, f"conv{int(numbered[1]) + 1}")
            places[layer] = parent if last else f"{parent}.bn{numbered[1]}"
        elif isinstance(block, nn.Sequential):
            names = [child for child, _ in block.named_children()]
            behind = names[names.index(own) + 1 :][:1]
            if behind and isinstance(block.get_submodule(behind[0]), nn.ReLU | nn.GELU):
                places[layer] = f"{parent}.{behind[0]}" if parent else behind[0]
    return places if len(places) == len(layers) else {}


def _of_weights(subject: Subject, options: Options) -> Iterator[Row]:
    from toporepro.topoloss import unit_weights

    sheets: Mapping[str, Floats] = {
        layer: unit_weights(subject.module.get_submodule(layer))
        .detach()
        .double()
        .cpu()
        .numpy()
        .reshape(*subject.sheet(layer), -1)
        for layer in subject.layers
    }
    for phi in options.phis:
        for coordinates in options.coordinates:
            values = [anchor_contrast(sheet, phi, coordinates) for sheet in sheets.values()]
            known = [value for value in values if not math.isnan(value)]
            if known:  # sheets too small for the grid say nothing of it
                metric = f"anchor_contrast[phi={phi:g},coordinates={coordinates}]"
                yield Row("mean", "", metric, float(np.mean(known)))


def anchor_contrast(sheet: Floats, phi: float, coordinates: Coordinates) -> float:
    """log(loss of a grid / mean loss of the grid moved by up to φ/2 units along both axes).

    Args:
        sheet: (height, width, weights).

    Returns:
        ``nan`` if no unit lies further than φ/2 inside.
    """
    height, width, _ = sheet.shape
    inside, count = math.ceil(phi / 2), math.ceil(phi)
    if min(height, width) <= 2 * inside + 1 or min(height, width) < 2 * phi:
        return float("nan")
    moves = [move - count // 2 for move in range(count)]
    flat = sheet.reshape(height * width, -1)
    gram: Floats = flat @ flat.T
    units = np.arange(height * width).reshape(height, width)[inside:-inside, inside:-inside]
    losses = {}
    for down in moves:
        rows = _sparse(resampled(height, phi, coordinates, down)[inside:-inside])
        for right in moves:
            columns = _sparse(resampled(width, phi, coordinates, right)[inside:-inside])
            losses[down, right] = _loss(gram, units, width, rows, columns)
    own = losses.pop((0, 0))
    others = float(np.mean(list(losses.values())))
    return math.log(own / others) if own > 0 and others > 0 else float("nan")


_Sparse = tuple[npt.NDArray[np.int64], Floats]


def _sparse(matrix: Floats) -> _Sparse:
    """The columns that each row reads, and their weights: both (rows, most columns of a row)."""
    most = int((matrix != 0).sum(axis=1).max())
    columns = np.argsort(matrix == 0, axis=1, kind="stable")[:, :most]
    return columns, np.take_along_axis(matrix, columns, axis=1)


def _loss(
    gram: Floats, units: npt.NDArray[np.int64], width: int, rows: _Sparse, columns: _Sparse
) -> float:
    """1 − mean cosine of units and of what is resampled at their places, from scalar products.

    A resampled vector is made of a few units, so that its products need a few entries of ``gram``
    and no weights.
    """
    read = (rows[0][:, None, :, None] * width + columns[0][None, :, None, :]).reshape(
        *units.shape, -1
    )
    share = (rows[1][:, None, :, None] * columns[1][None, :, None, :]).reshape(read.shape)
    product = (share * gram[units[..., None], read]).sum(axis=-1)
    square = np.einsum("hwp,hwq,hwpq->hw", share, share, gram[read[..., None], read[..., None, :]])
    norm = np.sqrt(np.maximum(square, 0) * gram[units, units])
    return float(1 - (product / np.maximum(norm, 1e-300)).mean())


def resampled(size: int, phi: float, coordinates: Coordinates, move: int = 0) -> Floats:
    """Down and up again along one axis, (size, size), with all sampled points moved by ``move``.

    Unmoved it is bilinear ``torch.nn.functional.interpolate`` to ⌊size / φ⌋ points, by
    ``scale_factor=1/φ`` or by ``size``, and back by ``size``.
    """
    small = int(size // phi)
    ratio = phi if coordinates == "factor" else size / small
    down = _linear(ratio * (np.arange(small) + 0.5) - 0.5 + move, size)
    up = _linear((np.arange(size) - move + 0.5) * small / size - 0.5, small)
    result: Floats = up @ down
    return result


def _linear(points: npt.NDArray[np.floating], size: int) -> Floats:
    """Linear interpolation at points of an axis, (points, size); beyond its ends, the ends."""
    places = np.clip(points, 0, size - 1)
    low = places.astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    matrix = np.zeros((len(points), size))
    rows = np.arange(len(points))
    np.add.at(matrix, (rows, low), 1 - (places - low))
    np.add.at(matrix, (rows, high), places - low)
    return matrix
