"""Operations of each job, from its spec alone; a multiply-add is two."""

from __future__ import annotations

from itertools import pairwise

from toporepro.config import Model
from toporepro.data.extent import Extent
from toporepro.models.family import family
from toporepro.models.inputs import AnyInputs, Inputs, TextInputs
from toporepro.plugins import find
from toporepro.spec import CheckpointSpec, DataSpec, MeasureSpec, TrainSpec, decode
from toporepro.train.plan import Plan

_BACKWARD = 2  # times the operations of the forward pass
_MOST_TOKENS = 10 * 2**20  # of validation text that a test reads (tasks.language)
_PAIR = 2 * 12  # tokens of a minimal pair, about: two sentences
# Of one core of a Xeon: photographs read, shrunk and stored; tokens written (benchmarks/README.md).
_IMAGES_PER_SECOND, _TOKENS_PER_SECOND = 200.0, 1.7e6


def extent(spec: DataSpec) -> Extent | None:
    """How much a dataset holds, if its module knows."""
    plugin = find("data", spec.source)
    if not hasattr(plugin, "extent"):
        return None
    held: Extent = plugin.extent(decode(plugin.Options, spec.options))
    return held


def preparing_seconds(spec: DataSpec) -> tuple[float | None, str]:
    """Core seconds that preparing a dataset takes, and where that comes from.

    ``None`` where nobody knows how much there is before it is there.
    """
    held = extent(spec)
    if held is None:
        return None, "not known before the data are there"
    plugin = find("data", spec.source)
    kind = getattr(plugin, "SCATTERED", "")
    total = sum(held.splits.values())
    if kind == "scatter_images":
        return total / _IMAGES_PER_SECOND, f"{_IMAGES_PER_SECOND:g} images/s of a core, measured"
    if kind == "scatter_text":
        rate = _TOKENS_PER_SECOND
        return total / rate, f"{rate / 1e6:g} million tokens/s of a core, measured"
    return 0.0, "seconds to minutes, not counted"


def training_operations(spec: TrainSpec) -> float | None:
    """Of all updates and tests of a training; TopoLoss, small beside them, is left out.

    ``None`` where the arithmetic of the architecture or of the data is not known.
    """
    held = extent(spec.data)
    if held is None or not held.splits.get("train"):
        return None
    plan = Plan(spec.recipe, spec.topo, samples(spec, held, "train"))
    total = 0.0
    for side, seen in _shares(spec, plan, held):
        one = forward_operations(spec, side)
        if one is None:
            return None
        total += (1 + _BACKWARD) * one * seen
    tested = _test_operations(spec, held)
    return None if tested is None else total + len(plan.evaluations) * tested


def measuring_operations(model: Model) -> float | None:
    """Of the forward passes that measuring takes: each checkpoint sees each set of stimuli once,
    and in measures that say so (``passes``) the final one sees some of them again.

    Stimuli whose number nobody knows before they are there are left out (:func:`uncounted`).
    """
    spec, held = model.train, extent(model.train.data)
    if held is None:
        return None
    checkpoints = 1 + (_snapshots_measured(model.measure) and spec.recipe.snapshots)
    once = _test_operations(spec, held, model.measure.images)
    one = forward_operations(spec, _test_side(spec, held))
    if once is None or one is None:
        return None
    repeated = 0.0
    pairs = 0.0
    for stimuli in model.measure.stimuli.values():
        shown = extent(stimuli)
        if shown is None:
            continue
        if count := shown.splits.get("pairs"):
            pairs += one * count * _PAIR / _context(spec)
            continue
        images = shown.splits.get("localizer") or max(shown.splits.values())
        once += one * min(images, model.measure.images or images)
    for name, given in model.measure.measures.items():
        plugin = find("measure", name)
        if hasattr(plugin, "passes"):
            options = decode(plugin.Options, given)
            limits = [most for most in (options.limit, model.measure.images) if most]
            tested = _test_operations(spec, held, min(limits, default=None)) or 0.0
            repeated += plugin.passes(options) * (tested + pairs)
    return checkpoints * (once + pairs) + repeated


def uncounted(model: Model) -> tuple[str, ...]:
    """Sources of stimuli that :func:`measuring_operations` leaves out."""
    stimuli = model.measure.stimuli.values()
    return tuple(sorted({spec.source for spec in stimuli if extent(spec) is None}))


def samples(spec: TrainSpec, held: Extent, split: str) -> int:
    """Images of a split, or windows of text, each of which has the token after it too."""
    count = held.splits[split]
    return (count - 1) // _context(spec) if _is_language(spec) else count


def forward_operations(spec: TrainSpec, side: int | None) -> float | None:
    """Of one sample; images are ``side`` pixels high and wide, or of the data's own size."""
    plugin = family(spec.architecture)
    taken = inputs(spec, side)
    if taken is None or not hasattr(plugin, "flops"):
        return None
    return float(plugin.flops(decode(plugin.Options, spec.model), taken))


def inputs(spec: TrainSpec, side: int | None = None) -> AnyInputs | None:
    """What a network takes in; ``None`` where its data say no shape or size of a vocabulary."""
    held = extent(spec.data)
    known = spec.checkpoint
    if _is_language(spec):
        of = held.classes if held else 0
        vocabulary = known.vocabulary if isinstance(known, CheckpointSpec) else of
        return TextInputs(vocabulary=vocabulary, context=_context(spec)) if vocabulary else None
    if isinstance(known, CheckpointSpec):
        height, width, channels, classes = known.height, known.width, known.channels, known.classes
    elif held is not None:
        (height, width, channels), classes = held.shape, held.classes
    else:
        return None
    return Inputs(channels=channels, height=side or height, width=side or width, classes=classes)


def _is_language(spec: TrainSpec) -> bool:
    return family(spec.architecture).TASK == "language"


def _context(spec: TrainSpec) -> int:
    """Tokens of a window."""
    return int(decode(family(spec.architecture).Options, spec.model).context)


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
    one = forward_operations(spec, _test_side(spec, held))
    if one is None:
        return None
    if _is_language(spec):
        read = _MOST_TOKENS // _context(spec)
        shown = min(samples(spec, held, "validation"), read)
    else:
        shown = held.splits.get("test") or max(held.splits.values())
    turns = 2 if spec.recipe.test_flip else 1
    return one * turns * min(shown, most or shown)


def _snapshots_measured(spec: MeasureSpec) -> bool:
    return any(find("measure", name).ON_SNAPSHOTS for name in spec.measures)
