"""What a measure hands back: tidy rows, and values of single units for maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Row(NamedTuple):
    """One value of the table ``measures.csv``.

    Attributes:
        layer: a topographic layer, ``mean`` over all of them, or empty for the whole model.
        stimuli: the stimulus set, such as ``test`` or ``lines``; empty if none was shown.
        metric: what was measured.
        value: the measurement; ``nan`` where it is undefined.
        sparsity: share of the units or weights that was taken away.
    """

    layer: str
    stimuli: str
    metric: str
    value: float
    sparsity: float = 0.0


@dataclass(frozen=True)
class UnitValues:
    """Values of one quantity on one layer's units: rows of ``units.parquet``.

    Attributes:
        layer: the topographic layer.
        quantity: what the values are.
        values: (units,) or (units, k); the column's number is the row's ``index``.
        indices: what the k columns are called, if not 0 … k−1, such as angles.
        per_unit: false for a curve of the whole layer, shape (k,): its rows carry unit −1.
    """

    layer: str
    quantity: str
    values: npt.NDArray[np.floating]
    indices: tuple[int, ...] | None = None
    per_unit: bool = True


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a reader is told of a quantity: an entry of a measure's ``QUANTITIES``.

    The key is the quantity's name, or what stands before the dot where there are several, such as
    ``selectivity_t`` of ``selectivity_t.faces``.

    Attributes:
        label: its name.
        unit: of its values; "" for pure numbers.
        scale: of its colours: ``signed`` around 0, ``size`` from the least to the largest value,
            ``angle`` for degrees that begin again at 180, ``category`` for numbers of categories.
        index: what its index counts: words for a slider; or ``pixel``, where the values of a unit
            are an image as the network takes it; or ``rank``, where they are numbers of images of
            the set that the measure's option ``stimuli`` names; "" for single values.
        about: a sentence on how to read it.
        members: with ``category``, the quantity whose names after the dot are numbered, in
            alphabetical order.
    """

    label: str
    unit: str = ""
    scale: Literal["signed", "size", "angle", "category"] = "signed"
    index: str = ""
    about: str = ""
    members: str = ""


@dataclass(frozen=True)
class Result:
    """All that one measure found in one model."""

    rows: tuple[Row, ...] = ()
    units: tuple[UnitValues, ...] = field(default=())


def per_layer(metric: str, stimuli: str, values: Mapping[str, float]) -> list[Row]:
    """A row for every layer and one for their mean, which is ``nan`` if any layer's value is."""
    rows = [Row(layer, stimuli, metric, float(value)) for layer, value in values.items()]
    return [*rows, Row("mean", stimuli, metric, float(np.mean(list(values.values()))))]
