"""Operations of each job, from its spec alone; a multiply-add is two."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from toporepro.config import Model
from toporepro.data.extent import Extent
from toporepro.models.family import family
from toporepro.models.inputs import Inputs
from toporepro.plugins import find
from toporepro.spec import CheckpointSpec, DataSpec, MeasureSpec, TrainSpec, decode
from toporepro.train.plan import Plan

_BACKWARD = 2  # times the operations of the forward pass


def extent(spec: DataSpec) -> Extent | None:
    """How much a dataset holds, if its module knows."""
    plugin = find("data", spec.source)
    if not hasattr(plugin, "extent"):
        return None
    held: Extent = plugin.extent(decode(plugin.Options, spec.options))
    return held


def training_operations(spec: TrainSpec) -> float | None:
    """Of all updates and tests of a training; TopoLoss, small beside them, is left out.

    ``None`` where the arithmetic of the architecture or of the data is not known.
    """
    held = extent(spec.data)
    if held is None or not held.splits.get("train"):
        return None
    plan = Plan(spec.recipe, spec.topo, held.splits["train"])
    total = 0.0
    for side, seen in _shares(spec, plan, held):
        one = forward_operations(spec, side)
        if one is None:
            return None
        total += (1 + _BACKWARD) * one * seen
    tested = _test_operations(spec, held)
    return None if tested is None else total + len(plan.evaluations) * tested


def measuring_operations(model: Model) -> float | None:
    """Of the forward passes that measuring takes: each checkpoint sees each set of images once."""
    spec, held = model.train, extent(model.train.data)
    if held is None:
        return None
    checkpoints = 1 + (_snapshots_measured(model.measure) and spec.recipe.snapshots)
    once = _test_operations(spec, held, model.measure.images)
    one = forward_operations(spec, _test_side(spec, held))
    if once is None or one is None:
        return None
    for stimuli in model.measure.stimuli.values():
        shown = extent(stimuli)
        if shown is None:
            return None
        images = shown.splits.get("localizer") or max(shown.splits.values())
        once += one * min(images, model.measure.images or images)
    return checkpoints * once


def forward_operations(spec: TrainSpec, side: int | None) -> float | None:
    """Of one sample; images are ``side`` pixels high and wide, or of the data's own size."""
    plugin = family(spec.architecture)
    inputs = _inputs(spec, side)
    if inputs is None or not hasattr(plugin, "flops"):
        return None
    return float(plugin.flops(decode(plugin.Options, spec.model), inputs))


def _inputs(spec: TrainSpec, side: int | None) -> Any:
    if family(spec.architecture).TASK != "classification":
        return None
    held = extent(spec.data)
    known = spec.checkpoint
    if isinstance(known, CheckpointSpec):
        height, width, channels, classes = known.height, known.width, known.channels, known.classes
    elif held is not None:
        (height, width, channels), classes = held.shape, held.classes
    else:
        return None
    return Inputs(channels=channels, height=side or height, width=side or width, classes=classes)


def _shares(spec: TrainSpec, plan: Plan, held: Extent) -> list[tuple[int | None, float]]:
    """Sides of training images, and how many images are seen at each."""
    seen = plan.steps * spec.recipe.batch
    if not spec.recipe.resolution:
        return [(None, seen)]
    starts = [min(entry.from_epoch * plan.samples, seen) for entry in spec.recipe.resolution]
    counts = [after - before for before, after in pairwise([*starts, seen])]
    sides = [entry.pixels for entry in spec.recipe.resolution]
    return list(zip(sides, counts, strict=True))


def _test_side(spec: TrainSpec, held: Extent) -> int | None:
    return spec.recipe.test_pixels if held.shape[0] == 0 else None


def _test_operations(spec: TrainSpec, held: Extent, most: int | None = None) -> float | None:
    images = held.splits.get("test") or max(held.splits.values())
    one = forward_operations(spec, _test_side(spec, held))
    turns = 2 if spec.recipe.test_flip else 1
    return None if one is None else one * turns * min(images, most or images)


def _snapshots_measured(spec: MeasureSpec) -> bool:
    return any(find("measure", name).ON_SNAPSHOTS for name in spec.measures)
