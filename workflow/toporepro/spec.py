"""The complete specification of a job, as plain standard-library dataclasses.

A verb of the command line is a pure function of one of these and of paths. Everything that changes
a result is in here; nothing that may differ between machines is. Their JSON is in ``codec.py``, of
which this module hands on the names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from toporepro.codec import SpecError as SpecError
from toporepro.codec import decode as decode
from toporepro.codec import encode as encode
from toporepro.codec import flatten as flatten
from toporepro.codec import nearest as nearest

Control = Literal["none", "random_labels", "topoloss_only", "small", "untrained"]


# Far beyond both, single precision holds no loss times τ, and no folder the name of one.
TAUS = Decimal("1e-9"), Decimal("1e9")


def canonical_tau(tau: object) -> str:
    """The one spelling of a τ in paths and tables: ``0``, ``0.5``, ``50``.

    Raises:
        SpecError: if τ is neither 0 nor within ``TAUS``.
    """
    try:
        value = Decimal(str(tau).strip())
    except InvalidOperation:
        raise SpecError(f"tau={tau!r}: a number of at least 0 is needed") from None
    if isinstance(tau, bool) or not value.is_finite() or value < 0:
        raise SpecError(f"tau={tau!r}: a finite number of at least 0 is needed")
    if value and not TAUS[0] <= value <= TAUS[1]:
        raise SpecError(f"tau={tau!r}: 0, or a number from {TAUS[0]:e} to {TAUS[1]:e}, is needed")
    text = format(value.normalize(), "f")
    return "0" if Decimal(text) == 0 else text


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SpecError(message)


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A prepared dataset: the module ``toporepro.data.<source>`` and that module's options."""

    source: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A multiplier over training, of the learning rate or of τ.

    Rises linearly from ``start`` to 1 over ``warmup_epochs``, or over ``warmup_steps``, then goes
    to ``end`` at the last step as ``kind`` says (``constant`` stays at 1).
    """

    kind: Literal["constant", "linear", "cosine"] = "constant"
    warmup_epochs: float = 0.0
    warmup_steps: int = 0
    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _require(self.warmup_epochs >= 0, f"warmup_epochs={self.warmup_epochs}: at least 0")
        _require(self.warmup_steps >= 0, f"warmup_steps={self.warmup_steps}: at least 0")
        _require(
            not (self.warmup_epochs and self.warmup_steps),
            "warmup_epochs or warmup_steps, not both",
        )
        _require(self.start >= 0 and self.end >= 0, "a schedule's start and end are at least 0")


@dataclass(frozen=True, kw_only=True)
class TopoSpec:
    """TopoLoss of one model (paper, section 3; METHODS: TopoLoss).

    Attributes:
        tau: weight of the topographic term.
        phi: down-sampling factor φ of the cortical sheet, along both axes.
        layers: names of the topographic layers; ``None`` takes the architecture's own.
        interpolation: how the sheet is sampled down and up.
        schedule: multiplier of τ over training.
        allow_collapse: accept sheets of which φ leaves a single row or column.
    """

    tau: float
    phi: float
    layers: tuple[str, ...] | None = None
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    schedule: Schedule = Schedule()
    allow_collapse: bool = False

    def __post_init__(self) -> None:
        canonical_tau(self.tau)
        _require(math.isfinite(self.phi) and self.phi >= 1, f"phi={self.phi}: at least 1 is needed")
        _require(self.layers is None or len(self.layers) > 0, "layers: an empty list; leave it out")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """From an epoch on, counted from 0, training images have so many pixels a side."""

    pixels: int
    from_epoch: float = 0.0

    def __post_init__(self) -> None:
        _require(self.pixels >= 1, f"pixels={self.pixels}: at least 1")


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """An exponential moving average of the weights, which takes the network's place in results.

    Attributes:
        decay: weight of the average so far, at each of its updates.
        every: optimiser steps between updates.
        from_epoch: until then the average is a copy of the network.
    """

    decay: float
    every: int = 1
    from_epoch: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.decay < 1, f"decay={self.decay}: in [0, 1)")
        _require(self.every >= 1, f"every={self.every}: at least 1")
        _require(self.from_epoch >= 0, f"from_epoch={self.from_epoch}: at least 0")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        batch: samples per optimiser step, over all processes and accumulation steps: images, or
            sequences of as many tokens as the network's context.
        epochs: times that training sees each sample; or ``steps``: updates of the weights.
        accumulate: forward passes that make up one batch.
        decay_norms_and_biases: whether weight decay also applies to one-dimensional parameters.
        clip: largest norm of the gradient, ``None`` for no clipping.
        precision: ``bfloat16`` is autocast; weights and the topographic term stay in float32.
        batchnorm: over several processes, ``sync`` takes statistics over the whole batch; ``local``
            over each process's share, so that results then depend on the number of processes.
        threads: torch threads of a CPU job; they change the order of summation.
        flip, shift: augmentation: horizontal flip; random shift by up to so many pixels.
        snapshots: models kept from step 0 on, at log-spaced steps, the final one not counted.
        resolution: side of training images by epoch; left empty, that of the data. Images stored
            at full size, as ImageNet's, are cropped at random to it, others are resized.
        test_pixels, test_ratio: for images stored at full size: side of the centre crop that tests
            and measures show, and its share of the image's shorter side.
        test_flip: tests add up the logits of each image and of its mirror image.
        auto_augment: a policy of torchvision's, by the name its reference training gives it: the
            learnt policies ``imagenet``, ``cifar10`` and ``svhn``, or RandAugment ``ra``,
            TrivialAugment ``ta_wide``, ``augmix``.
        mixup, cutmix: α of their Beta distributions, 0 for neither; with both, each step takes one
            at random.
        repeats: repeated augmentation: an epoch takes one sample in ``repeats``, each so many times
            in one batch, every time augmented anew.
        average: publish a moving average of the weights.

    ``optimizer`` is ``none`` where training was elsewhere: such a recipe (see ``NOT_TRAINED``) says
    no more than how images are shown.
    """

    optimizer: Literal["adam", "adamw", "sgd", "none"]
    lr: float
    batch: int
    epochs: float = 0.0
    steps: int = 0
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    decay_norms_and_biases: bool = False
    lr_schedule: Schedule = Schedule()
    label_smoothing: float = 0.0
    clip: float | None = None
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    batchnorm: Literal["sync", "local"] = "sync"
    channels_last: bool = False
    compile: bool = False
    threads: int = 1
    flip: bool = False
    shift: int = 0
    snapshots: int = 2
    resolution: tuple[Resolution, ...] = ()
    test_pixels: int | None = None
    test_ratio: float = 0.875
    test_flip: bool = False
    auto_augment: Literal["imagenet", "cifar10", "svhn", "ra", "ta_wide", "augmix"] | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1
    average: Averaging | None = None

    def __post_init__(self) -> None:
        self._check_images()
        if self.optimizer == "none":
            idle = self.lr == self.epochs == self.steps == self.snapshots == 0
            _require(idle, "optimizer='none': a network with a checkpoint is not trained")
            return
        _require(math.isfinite(self.lr) and self.lr > 0, f"lr={self.lr}: above 0")
        _require(
            math.isfinite(self.epochs)
            and min(self.epochs, self.steps) == 0
            and max(self.epochs, self.steps) > 0,
            f"epochs={self.epochs}, steps={self.steps}: one of them above 0, the other left out",
        )
        for name, least in (("batch", 1), ("accumulate", 1), ("threads", 1), ("snapshots", 1)):
            value = getattr(self, name)
            _require(value >= least, f"{name}={value}: at least {least}")
        _require(self.batch % self.accumulate == 0, "batch must be a multiple of accumulate")
        _require(self.shift >= 0, f"shift={self.shift}: at least 0")
        _require(
            0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing}: in [0, 1)"
        )
        _require(self.weight_decay >= 0, f"weight_decay={self.weight_decay}: at least 0")
        _require(self.clip is None or self.clip > 0, f"clip={self.clip}: above 0, or null")

    def _check_images(self) -> None:
        starts = [entry.from_epoch for entry in self.resolution]
        _require(
            not starts or (starts[0] == 0 and starts == sorted(set(starts))),
            f"resolution: from_epoch {starts}: the first is 0, and each is above the one before",
        )
        _require(
            self.test_pixels is None or self.test_pixels >= 1,
            f"test_pixels={self.test_pixels}: at least 1, or null",
        )
        _require(0 < self.test_ratio <= 1, f"test_ratio={self.test_ratio}: in (0, 1]")
        for name in ("mixup", "cutmix"):
            _require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}: at least 0")
        _require(self.repeats >= 1, f"repeats={self.repeats}: at least 1")


NOT_TRAINED = Recipe(optimizer="none", lr=0.0, batch=1, epochs=0.0, snapshots=0)


@dataclass(frozen=True, kw_only=True)
class CheckpointSpec:
    """Weights made elsewhere, which take the place of a training.

    Attributes:
        url: where they are published; fetched once, into ``data/checkpoints``.
        file: or a file that is there already, relative to the repository.
        untrained: or none: the weights that the architecture starts from, drawn by the seed.
        sha256: of that file, in hexadecimal: all of it, or its first 8 digits or more.
        key: entry of the file that holds the weights; left out, the whole file or its ``model``.
        steps: optimiser steps behind the weights, where known; 1 says no more than *trained*.
        channels, height, width, classes: what a network of images takes in and tells apart.
        mean, std: per channel, of pixel values in 0..1: what its inputs are normalised with.
        vocabulary: tokens that a language network knows, those that pad its matrix not counted.
    """

    url: str | None = None
    file: str | None = None
    untrained: bool = False
    sha256: str | None = None
    key: str | None = None
    steps: int = 1
    channels: int = 3
    height: int = 224
    width: int = 224
    classes: int = 1000
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    vocabulary: int = 50257

    def __post_init__(self) -> None:
        sources = (self.url is not None) + (self.file is not None) + self.untrained
        _require(sources == 1, "a checkpoint has a url or a file, or is `untrained`")
        schemes = ("http://", "https://")
        _require(
            self.url is None or self.url.startswith(schemes),
            f"url={self.url!r}: an http or https address is needed",
        )
        _require(
            self.sha256 is None or re.fullmatch(r"[0-9a-f]{8,64}", self.sha256) is not None,
            f"sha256={self.sha256!r}: 8 to 64 hexadecimal digits are needed",
        )
        for name in ("steps", "channels", "height", "width", "classes", "vocabulary"):
            value = getattr(self, name)
            _require(value >= 1, f"{name}={value}: at least 1")
        fits = len(self.mean) == len(self.std) == self.channels and min(self.std) > 0
        _require(fits, f"mean and std: one value for each of {self.channels} channels, std above 0")


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """One training: ``toporepro.models.<architecture>``, its options, data, loss and recipe.

    With a ``checkpoint`` nothing is trained: its weights are the network, and ``topo`` says what is
    known of how they came to be.
    """

    architecture: str
    model: Mapping[str, Any]
    data: DataSpec
    topo: TopoSpec
    recipe: Recipe
    seed: int
    control: Control = "none"
    checkpoint: CheckpointSpec | None = None

    def __post_init__(self) -> None:
        idle = self.recipe.optimizer == "none"
        _require(
            idle == (self.checkpoint is not None),
            "a network is trained by a recipe, or has a checkpoint: one of them",
        )


@dataclass(frozen=True, kw_only=True)
class MeasureSpec:
    """All measurements of one model: the identity its rows carry, and options per measure.

    ``measures`` maps a module ``toporepro.measure.<name>`` to that module's options. Of a set with
    more than ``images`` images only so many, evenly spaced, are shown; ``None`` shows all.
    ``stimuli`` are the datasets besides the network's own whose images a measure's option
    ``stimuli`` names, as ``dataset/split``.
    """

    preset: str
    family: str
    tau: str
    seed: int
    threads: int
    measures: Mapping[str, Mapping[str, Any]]
    images: int | None = None
    stimuli: Mapping[str, DataSpec] = field(default_factory=dict)


def stimulus_datasets(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The datasets that a measure's option ``stimuli`` names: of ``dataset/split``, the first.

    A name without a slash is a split of the network's own data.
    """
    named = options.get("stimuli") or ()
    named = (named,) if isinstance(named, str) else named
    return tuple(dict.fromkeys(name.split("/")[0] for name in named if "/" in name))
