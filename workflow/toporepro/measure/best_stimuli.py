"""The images that each unit answers most to: what a reader sees who points at a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toporepro.measure.precision import Precision
from toporepro.measure.result import Quantity, Result, UnitValues
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.subject import Subject

ON_SNAPSHOTS = False
TASK = "classification"
QUANTITIES = {"best_stimulus": Quantity(label="Best images", index="rank")}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``best_stimuli``.

    Attributes:
        stimuli: the images shown: ``split`` of the network's own data, or ``dataset/split``.
        images: the most that are shown, evenly spaced over the set.
        best: images kept for each unit.
        precision: of the forward pass.
    """

    stimuli: str = "test"
    images: int = 200
    best: int = 3
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if not 1 <= self.best <= self.images:
            raise SpecError(f"best={self.best}: from 1 to images={self.images}")


def measure(subject: Subject, options: Options) -> Result:
    """Quantity ``best_stimulus``: numbers of images of the set; index 0 is the best.

    Of images that a unit answers alike the earlier one counts as better. A unit that answers all
    images alike has none (``nan``).

    Raises:
        DataError, SpecError: if there is no such set, or it has fewer than ``best`` images.
    """
    _, split = subject.stimulus_set(options.stimuli)
    shown = subject.chosen(len(split))
    if len(shown) > options.images:
        shown = shown[np.arange(options.images) * len(shown) // options.images]
    if len(shown) < options.best:
        raise SpecError(f"best={options.best}: {options.stimuli} has {len(shown)} images")
    answers = subject.layer_responses(
        list(subject.layers), np.array(split.images[shown]), options.precision
    )
    units = []
    for layer, responses in answers.items():
        order = np.argsort(-responses, axis=0, kind="stable")[: options.best].T
        same = responses.min(axis=0) == responses.max(axis=0)
        found = np.where(same[:, None], np.nan, shown[order])
        units.append(UnitValues(layer, "best_stimulus", found))
    return Result(units=tuple(units))
