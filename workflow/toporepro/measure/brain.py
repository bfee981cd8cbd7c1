"""How well the units of a network foretell the responses of a brain, region by region.

Three measures, of every participant and region, all fitted to training stimuli and judged on
held-out ones (``brain_match``):

* ``brain_unit``: each voxel's best single unit;
* ``brain_match``: units and voxels assigned one to one (as TDANN's model-to-brain mapping,
  Margalit et al., Neuron 112:2435, 2024);
* ``brain_ridge``: ridge regression on all units of a layer (``encoding``).

Each is the mean correlation over voxels divided by the mean noise ceiling, ``…_raw`` the same not
divided (which is all there is where no repeats tell the noise). A region is foretold by one layer,
which cross-validation of the ridge on training stimuli chooses, participant by participant;
``brain_layer`` is its number, from 1 for the first measured.

Of the snapshots only the untrained network is measured, and only with τ = 0: before training, τ has
made no difference.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toporepro.measure.precision import Precision
from toporepro.measure.result import Result, Row
from toporepro.provenance import progress
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import Tensor

    from toporepro.data.brain_responses import Participant
    from toporepro.measure.brain_match import HeldOut
    from toporepro.measure.network import Network

TASK = "classification"
ON_SNAPSHOTS = True
_VOXELS = 2000  # fitted at once
APPROACHES = ("brain_unit", "brain_match", "brain_ridge")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``brain``.

    Attributes:
        stimuli: ``dataset/test`` of datasets with responses of brains; fitted to their ``train``.
        every: measure every so many topographic layers, counted from the last one back.
        alphas: penalties of the ridge; units have variance 1.
        folds: of its cross-validation: runs of neighbouring stimuli.
        permutations: of the held-out stimuli, for P.
        draws: bootstrap samples of the held-out stimuli, for the interval.
        precision: of the forward pass.
    """

    stimuli: tuple[str, ...] = ("nsd/test",)
    every: int = 1
    alphas: tuple[float, ...] = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
    folds: int = 5
    permutations: int = 1000
    draws: int = 1000
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("folds", 2), ("permutations", 1), ("draws", 2)):
            if getattr(self, name) < least:
                raise SpecError(f"{name}={getattr(self, name)}: at least {least}")
        if not self.alphas or not all(alpha > 0 for alpha in self.alphas):
            raise SpecError(f"alphas={list(self.alphas)}: one or more, all above 0")
        for name in self.stimuli:
            if not name.endswith("/test"):
                raise SpecError(f"stimuli={name!r}: `dataset/test` is needed")


def measure(subject: Network, options: Options) -> Result:
    """Rows per layer and participant, such as ``brain_ridge.FFA.subj01``; then, of the layers
    chosen (layer empty), the same with ``…_raw``, ``…_p`` (held-out stimuli permuted),
    ``…_low`` and ``…_high`` (95 % over held-out stimuli), and the means over participants
    (``brain_ridge.FFA``) and over regions too (``brain_ridge``).

    Raises:
        SpecError: if a dataset was not given, has no brains, or its stimuli do not fit the network.
        DataError: if its files are damaged.
    """
    if not subject.final and (subject.step > 0 or subject.spec.topo.tau > 0):
        return Result()
    return Result(tuple(row for name in options.stimuli for row in _set(subject, options, name)))


def _set(subject: Network, options: Options, stimuli: str) -> Iterator[Row]:
    from toporepro.data.brain_responses import participants
    from toporepro.measure.brain_stimuli import dataset, responses

    shown = dataset(subject, stimuli)
    name = stimuli.rpartition("/")[0]
    layers = list(subject.layers)[:: -options.every][::-1]
    means: dict[str, dict[str, list[float]]] = {}
    for whole in participants(shown.index, shown.extra):
        progress(f"  {whole.name}: {len(whole.ncsnr)} voxels, {len(layers)} layers")
        one = whole.shown(subject.chosen)
        train, test = (
            responses(subject, f"{name}/{split}", seen.rows, layers, options.precision)
            for split, seen in (("train", one.train), ("test", one.test))
        )
        chosen: dict[str, _Chosen] = {}
        for layer in layers:
            for region, found in _layer(one, options, train[layer], test[layer]):
                for approach, held in found.held.items():
                    metric, value = approach, held.score()
                    if np.isnan(value):
                        metric, value = f"{approach}_raw", held.raw()
                    yield Row(layer, stimuli, f"{metric}.{region}.{one.name}", value)
                if region not in chosen or found.r2 > chosen[region].r2:
                    chosen[region] = replace(found, layer=layer)
        for region, found in chosen.items():
            number = float(1 + layers.index(found.layer))
            yield Row(found.layer, stimuli, f"brain_layer.{region}.{one.name}", number)
            seed = (subject.seed, zlib.crc32(f"{one.name}/{region}".encode()))
            for metric, value in _statistics(found.held, options, seed):
                yield Row("", stimuli, f"{metric}.{region}.{one.name}", value)
                if metric.removesuffix("_raw") in APPROACHES:
                    means.setdefault(metric, {}).setdefault(region, []).append(value)
    for metric, regions in means.items():
        over = {region: float(np.mean(values)) for region, values in regions.items()}
        yield from (Row("", stimuli, f"{metric}.{region}", v) for region, v in over.items())
        yield Row("", stimuli, metric, float(np.mean(list(over.values()))))


@dataclass(frozen=True)
class _Chosen:
    """What a layer foretells of a region.

    Attributes:
        r2: of the ridge, cross-validated on training stimuli, mean over voxels.
        held: approach → what was foretold of held-out stimuli, and what came.
    """

    r2: float
    held: Mapping[str, HeldOut]
    layer: str = ""


def _layer(
    one: Participant, options: Options, train: Tensor, test: Tensor
) -> Iterator[tuple[str, _Chosen]]:
    """Every region, foretold by the units of one layer; train, test: (stimuli, units)."""
    import torch

    from toporepro.measure.brain_match import (
        HeldOut,
        Scale,
        best_units,
        ceilings,
        one_to_one,
        standard,
    )
    from toporepro.measure.encoding import Ridge

    scale, unit = Scale.of(train), standard(train)
    ridge = Ridge(scale(train), options.alphas, options.folds)
    parts = []
    count = len(one.ncsnr)
    for voxels in np.array_split(np.arange(count), -(-count // _VOXELS)):
        responses = torch.from_numpy(one.train.responses(voxels)).to(train.device)
        weights, r2 = ridge.fit(responses - responses.mean(dim=0))
        parts.append((unit.T @ standard(responses), scale(test) @ weights, r2))
    between, foretold, r2_of = (torch.cat(side, dim=-1) for side in zip(*parts, strict=True))
    ceiling = ceilings(one.ncsnr, one.test.repeats)
    for region, voxels in one.members.items():
        here = torch.from_numpy(voxels).to(train.device)
        responses = torch.from_numpy(one.test.responses(voxels)).to(train.device)
        top = ceiling[voxels]
        units, partners = one_to_one(between[:, here])
        held = {
            "brain_unit": HeldOut(test[:, best_units(between[:, here])], responses, top),
            "brain_match": HeldOut(test[:, units], responses[:, partners], top[partners]),
            "brain_ridge": HeldOut(foretold[:, here], responses, top),
        }
        yield region, _Chosen(float(r2_of[here].double().mean()), held)


def _statistics(
    held: Mapping[str, HeldOut], options: Options, seed: tuple[int, ...]
) -> Iterator[tuple[str, float]]:
    for approach, one in held.items():
        low, high = one.interval(options.draws, seed)
        yield approach, one.score()
        yield f"{approach}_raw", one.raw()
        yield f"{approach}_p", one.chance(options.permutations, seed)
        yield f"{approach}_low", low
        yield f"{approach}_high", high
