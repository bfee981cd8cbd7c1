"""Telling images apart: cross-entropy over the classes of prepared images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.data.loader import LABELS, Batches, Shard, as_input, load, permutation
from toporepro.data.store import Labels, PreparedImages
from toporepro.models.family import build
from toporepro.models.inputs import Inputs
from toporepro.spec import TrainSpec
from toporepro.tasks.task import Batch, Loss

_EVALUATED_AT_ONCE = 500


@dataclass(frozen=True)
class Classification:
    """The task of one spec on one dataset; see ``toporepro.tasks.task``.

    Controls: ``random_labels`` permutes the labels of the training split, once, by the seed, so
    that classes keep their sizes and nothing but memorising helps; test labels stay true, and test
    accuracy is at chance. ``topoloss_only`` runs the forward passes, which keep batch-norm
    statistics in step with the weights, and reports loss and accuracy, but learns nothing from
    them.
    """

    spec: TrainSpec
    data: PreparedImages

    @property
    def samples(self) -> int:
        return self.data.splits["train"].count

    @property
    def inputs(self) -> Inputs:
        height, width, channels = self.data.shape
        return Inputs(channels=channels, height=height, width=width, classes=len(self.data.classes))

    def build(self) -> nn.Module:
        network = build(self.spec, self.inputs).train()
        if self.spec.recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def labels(self) -> Labels:
        """Labels of the training split, as this control sees them."""
        labels = self.data.split("train").labels
        if self.spec.control == "random_labels":
            return labels[permutation(self.spec.seed, LABELS, 0, len(labels))]
        return labels

    def batches(
        self, steps: range, shard: Shard, *, workers: int, pin: bool
    ) -> Iterator[Sequence[Batch]]:
        recipe = self.spec.recipe
        batches = Batches(
            split=self.data.split("train"),
            labels=self.labels(),
            seed=self.spec.seed,
            batch=recipe.batch,
            shard=shard,
            flip=recipe.flip,
            shift=recipe.shift,
        )
        return load(batches, steps, workers=workers, pin=pin)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        images, labels = batch
        with torch.set_grad_enabled(self.spec.control != "topoloss_only"):
            logits = network(self._as_input(images))
            value = functional.cross_entropy(
                logits, labels, label_smoothing=self.spec.recipe.label_smoothing
            )
        return Loss(value, _right(logits, labels) / len(labels))

    def evaluate(self, network: nn.Module, device: torch.device) -> float:
        split = self.data.split("test")
        right = torch.zeros((), device=device)
        network.eval()
        with torch.no_grad():
            for start in range(0, len(split), _EVALUATED_AT_ONCE):
                chosen = slice(start, start + _EVALUATED_AT_ONCE)
                images = torch.tensor(split.images[chosen], device=device)
                labels = torch.tensor(split.labels[chosen], device=device)
                right += _right(network(self._as_input(images)), labels)
        network.train()
        return float(right) / len(split)

    def _as_input(self, images: Tensor) -> Tensor:
        pixels = as_input(images, self.data.mean, self.data.std)
        return pixels if self.spec.recipe.channels_last else pixels.contiguous()


def open_task(spec: TrainSpec, data: Path) -> Classification:
    """The task on the prepared images whose index is ``data``.

    Raises:
        DataError: if the data are missing or damaged.
    """
    return Classification(spec, PreparedImages.open(data))


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).sum()
