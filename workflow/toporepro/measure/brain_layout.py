"""Whether a sheet is laid out like a region of a brain, which only a topographic network can be.

Three comparisons, each against shuffles of the units over the sheet:

* ``brain_curve``: smoothness over distance. The mean correlation of two units' responses by their
  distance on the sheet, and of two voxels' by theirs in the region, in bins that hold equally many
  pairs, the nearest first; the number is the correlation of the two curves over bins.
* ``brain_patch``: the same of maps of selectivity: the mean product of two units' (standardised) t
  for a category by their distance, against that of the voxels' t in the participant's own
  localizer; mean over the categories that both have.
* ``brain_place``: units and voxels are assigned one to one by their responses; the number is the
  correlation, over pairs, of the units' distance on the sheet with their voxels' distance.

Voxels are compared within a hemisphere, along straight lines, not along the folded cortex; nearby
voxels also share noise, which makes a region's curve steeper at its start. Of large regions
``VOXELS`` voxels, evenly spaced, take part.

Of the snapshots only the untrained network is measured, and only with τ = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toporepro.measure.precision import Precision
from toporepro.measure.result import Result, Row, UnitValues
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.brain_responses import Participant
    from toporepro.measure.brain_curves import Region
    from toporepro.measure.subject import Subject

TASK = "classification"
ON_SNAPSHOTS = True
VOXELS = 1000
COMPARISONS = ("brain_curve", "brain_patch", "brain_place")
_FEWEST = 20  # voxels of a region in one hemisphere
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``brain_layout``.

    Attributes:
        stimuli: ``dataset/test`` of datasets with responses of brains; and sets of images with
            categories, ``split`` or ``dataset/split``, for maps of selectivity.
        every: measure every so many topographic layers, counted from the last one back.
        bins: of distance.
        shuffles: of the units over the sheet.
        precision: of the forward pass.
    """

    stimuli: tuple[str, ...] = ("nsd/test", "localizer")
    every: int = 1
    bins: int = 10
    shuffles: int = 100
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("bins", 4), ("shuffles", 1)):
            if getattr(self, name) < least:
                raise SpecError(f"{name}={getattr(self, name)}: at least {least}")


def measure(subject: Subject, options: Options) -> Result:
    """Rows per layer and participant, such as ``brain_place.FFA.subj01``, each with its P
    (``brain_place_p``; one-sided, more alike than shuffled); layer ``mean`` averages over layers,
    and there ``brain_place.FFA`` over participants and ``brain_place`` over regions too.

    Quantities, by bin, of whole layers: ``sheet_by_distance``; and, layer empty,
    ``brain_by_distance.FFA.subj01``.

    Raises:
        SpecError, DataError: as ``Subject.stimulus_set`` does.
    """
    if not subject.final and (subject.step > 0 or subject.spec.topo.tau > 0):
        return Result()
    sets = {name: subject.stimulus_set(name)[0] for name in options.stimuli}
    brains = [name for name, images in sets.items() if "brain" in images.extra]
    maps = _maps(subject, options, [name for name in sets if name not in brains]) if brains else {}
    rows: list[Row] = []
    units: list[UnitValues] = []
    for name in brains:
        one = _Comparison(subject, options, name, maps)
        rows += one.rows()
        units += one.curves
    return Result(tuple(rows), tuple(units))


def _layers(subject: Subject, options: Options) -> list[str]:
    return list(subject.layers)[:: -options.every][::-1]


def _maps(
    subject: Subject, options: Options, sets: list[str]
) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """Layer → category → t of its units, from sets of images with categories."""
    import torch

    from toporepro.measure.contrasts import one_vs_rest, scaled, welch

    layers = _layers(subject, options)
    found: dict[str, dict[str, npt.NDArray[np.float32]]] = {layer: {} for layer in layers}
    for name in sets:
        images, split = subject.stimulus_set(name)
        chosen = subject.chosen(len(split))
        contrasts = one_vs_rest(images.categories, np.array(split.labels)[chosen])
        if contrasts is None:
            continue
        pixels = np.array(split.images[chosen[contrasts.stimuli]])
        answers = subject.layer_responses(layers, pixels, options.precision)
        for layer, responses in answers.items():
            of = scaled(responses)
            t = welch(of, *(torch.from_numpy(side).to(of)
                            for side in (contrasts.first, contrasts.second)))[0]  # fmt: skip
            found[layer] |= dict(zip(contrasts.names, t.numpy(), strict=True))
    return found


class _Comparison:
    """One dataset of brains against all layers of a network."""

    def __init__(
        self,
        subject: Subject,
        options: Options,
        stimuli: str,
        maps: Mapping[str, Mapping[str, npt.NDArray[np.float32]]],
    ) -> None:
        self.subject, self.options, self.stimuli, self.maps = subject, options, stimuli, maps
        self.curves: list[UnitValues] = []

    def rows(self) -> list[Row]:
        from toporepro.data.brain_responses import participants
        from toporepro.measure.brain_curves import RESPONSES, Sheet

        images, split = self.subject.stimulus_set(self.stimuli)
        layers = _layers(self.subject, self.options)
        pixels = np.array(split.images)
        answers = self.subject.layer_responses(layers, pixels, self.options.precision)
        sheets = {
            layer: Sheet(
                self.subject,
                layer,
                answers[layer],
                self.maps[layer],
                bins=self.options.bins,
                shuffles=self.options.shuffles,
            )
            for layer in layers
        }
        self.curves = [
            UnitValues(layer, "sheet_by_distance", sheet.curves[RESPONSES][0], None, False)
            for layer, sheet in sheets.items()
        ]
        found: dict[tuple[str, str, str], list[float]] = {}
        rows = []
        for whole in participants(images.index, images.extra):
            one = whole.shown(self.subject.chosen)
            for region, brain in self._regions(one):
                for layer, sheet in sheets.items():
                    for metric, value, p in sheet.against(one, brain):
                        key = f"{region}.{one.name}"
                        rows.append(Row(layer, self.stimuli, f"{metric}.{key}", value))
                        rows.append(Row(layer, self.stimuli, f"{metric}_p.{key}", p))
                        found.setdefault((metric, region, one.name), []).append(value)
        return [*rows, *self._means(found)]

    def _means(self, found: Mapping[tuple[str, str, str], list[float]]) -> Iterator[Row]:
        """Over layers; then over participants, then over regions."""
        people: dict[tuple[str, str], list[float]] = {}
        for (metric, region, name), values in found.items():
            value = float(np.mean(values))
            yield Row("mean", self.stimuli, f"{metric}.{region}.{name}", value)
            people.setdefault((metric, region), []).append(value)
        regions: dict[str, list[float]] = {}
        for (metric, region), values in people.items():
            yield Row("mean", self.stimuli, f"{metric}.{region}", float(np.mean(values)))
            regions.setdefault(metric, []).append(float(np.mean(values)))
        for metric, values in regions.items():
            yield Row("mean", self.stimuli, metric, float(np.mean(values)))

    def _regions(self, one: Participant) -> Iterator[tuple[str, Region]]:
        """The regions of a participant that have enough voxels, one at a time."""
        from toporepro.measure.brain_curves import RESPONSES, Region

        for region, every in one.members.items():
            most = min(VOXELS, len(every))
            voxels = every[np.arange(most) * len(every) // most]
            known = voxels[np.isfinite(one.places[voxels]).all(axis=1)]
            sides = [known[one.right[known] == side] for side in (False, True)]
            sides = [side for side in sides if len(side) >= _FEWEST]
            if sides:
                found = Region.of(one, sides, self.options.bins)
                quantity = f"brain_by_distance.{region}.{one.name}"
                self.curves.append(UnitValues("", quantity, found.curves[RESPONSES], None, False))
                yield region, found
