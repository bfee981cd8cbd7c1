"""The network under measurement, whatever it takes in: what measures of any task may ask of it."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from toporepro.measure.moments import Moments
from toporepro.measure.precision import TOKENS, Precision
from toporepro.measure.result import Floats
from toporepro.models.checkpoint import Metadata
from toporepro.models.inputs import AnyInputs
from toporepro.sheet import sheet_shape
from toporepro.spec import TrainSpec


@dataclass(frozen=True)
class SetStatistics:
    """What one pass over one split told.

    Attributes:
        stimuli: name of the split.
        moments: of every topographic layer's responses.
        profiles: layer → mean response to each class that occurs, (units, classes); empty where
            stimuli have no classes.
        scores: how well the network does its task, by metric: ``loss`` in nats, and of images
            ``accuracy``; ``nan`` if the network does not know the data's classes.
    """

    stimuli: str
    moments: Mapping[str, Moments]
    profiles: Mapping[str, Floats]
    scores: Mapping[str, float]


@dataclass(kw_only=True)
class Network(abc.ABC):
    """One checkpoint, ready to be measured.

    Attributes:
        module: the network, in evaluation mode.
        spec: how it was trained.
        step: optimiser steps it has taken.
        seed: the model's seed; shuffles start from it.
        final: whether this is the trained network and not a snapshot on the way.
        device: where it computes.
        layers: its topographic layers and their numbers of units.
        limit: most images, or windows of text, shown of a split, evenly spaced; ``None`` shows all.
        inputs: what it takes in.
    """

    module: nn.Module
    spec: TrainSpec
    step: int
    seed: int
    final: bool
    device: torch.device
    layers: dict[str, int]
    inputs: AnyInputs
    limit: int | None = None
    _passes: dict[tuple[str, str, int], SetStatistics] = field(default_factory=dict, repr=False)

    @property
    def metadata(self) -> Metadata:
        """What its checkpoint says of itself."""
        return Metadata(spec=self.spec, inputs=self.inputs, step=self.step)

    @property
    def pixels(self) -> int | None:
        """Numbers that an image is made of, all channels together; ``None`` for other inputs."""
        return None

    @property
    @abc.abstractmethod
    def tested(self) -> str:
        """The split that the task is tested on."""

    @abc.abstractmethod
    def scores(
        self, stimuli: str, precision: Precision, limit: int | None = None
    ) -> dict[str, float]:
        """How well the network does its task, as its weights are now; see ``SetStatistics``.

        Args:
            limit: images, or windows, shown at most, besides the network's own limit.
        """

    @abc.abstractmethod
    def _pass(self, stimuli: str, precision: Precision, tokens: int) -> SetStatistics: ...

    def sheet(self, layer: str) -> tuple[int, int]:
        """Height and width of a layer's cortical sheet."""
        return sheet_shape(self.layers[layer])

    def first_layer(self) -> str:
        """The topographic layer nearest to the input."""
        return next(iter(self.layers))

    def statistics(
        self, stimuli: str | None, precision: Precision, tokens: int = TOKENS
    ) -> SetStatistics:
        """Everything that measures want of a split, from one pass that they share.

        Memory does not depend on the number of stimuli.

        Args:
            stimuli: a split; ``None`` for the one that the task is tested on.
            precision: of the forward pass.
            tokens: of text, how many consecutive ones make up a stimulus, whose response is the
                mean over them; images know no such thing.

        Raises:
            DataError: if the data has no such split.
            ResponseError: if a layer's responses are missing or not finite.
        """
        key = (stimuli or self.tested, precision, tokens)
        if key not in self._passes:
            self._passes[key] = self._pass(*key)
        return self._passes[key]

    def chosen(self, count: int, limit: int | None = None) -> npt.NDArray[np.int64]:
        """Indices of what is shown of ``count``: all, or evenly spaced ones.

        Args:
            limit: the most, besides the network's own ``limit``.
        """
        most = min(count if bound is None else bound for bound in (count, limit, self.limit))
        return np.arange(most) * count // max(most, 1)
