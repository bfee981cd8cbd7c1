"""Telling images apart: cross-entropy over the classes of prepared images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.data.cropped import CroppedImages, open_images
from toporepro.data.loader import LABELS, Batches, Shard, as_input, in_order, load, permutation
from toporepro.data.mixing import Mixing
from toporepro.data.store import Labels, PreparedImages
from toporepro.models.family import build, family
from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError, TrainSpec
from toporepro.tasks.auto_augment import AutoAugment
from toporepro.tasks.task import Batch, Loss, Score, Work

_EVALUATED_AT_ONCE = 500
_LARGE, _LARGE_AT_ONCE = 128, 100  # pixels a side from which fewer fit into memory at once


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

    @property
    def work(self) -> Work:
        return Work()

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
        mixed = recipe.mixup > 0 or recipe.cutmix > 0
        batches = Batches(
            split=self.data.split("train"),
            labels=self.labels(),
            seed=self.spec.seed,
            batch=recipe.batch,
            shard=shard,
            flip=recipe.flip,
            shift=recipe.shift,
            resolution=recipe.resolution,
            repeats=recipe.repeats,
            retouch=AutoAugment(recipe.auto_augment) if recipe.auto_augment else None,
            mixing=Mixing(recipe.mixup, recipe.cutmix) if mixed else None,
        )
        return load(batches, steps, workers=workers, pin=pin)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        images, labels, *mix = batch
        pixels = self._as_input(images)
        if mix:
            return self._mixed_loss(network, pixels, labels, *mix)
        with torch.set_grad_enabled(self._learns):
            logits = network(pixels)
            value = self._cross_entropy(logits, labels)
        return Loss(value, _right(logits, labels) / len(labels))

    def _mixed_loss(
        self, network: nn.Module, pixels: Tensor, labels: Tensor, weights: Tensor, share: Tensor
    ) -> Loss:
        """Of each image blended with its partner; right is the label of the larger share."""
        apart = self.spec.recipe.repeats
        mixed = pixels[apart:] * weights + pixels[:-apart] * (1 - weights)
        own, other = labels[apart:], labels[:-apart]
        with torch.set_grad_enabled(self._learns):
            logits = network(mixed)
            value = share * self._cross_entropy(logits, own)
            value = value + (1 - share) * self._cross_entropy(logits, other)
        larger = torch.where(share >= 0.5, own, other)
        return Loss(value, _right(logits, larger) / len(own))

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.spec.recipe.label_smoothing
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    @property
    def _learns(self) -> bool:
        return self.spec.control != "topoloss_only"

    def evaluate(self, network: nn.Module, device: torch.device, *, workers: int = 0) -> Score:
        split = self.data.split("test")
        at_once = _LARGE_AT_ONCE if max(self.data.shape) >= _LARGE else _EVALUATED_AT_ONCE
        right = torch.zeros((), device=device)
        loss = torch.zeros((), dtype=torch.float64, device=device)
        network.eval()
        with torch.no_grad():
            for images, labels in in_order(split, at_once, workers=workers):
                pixels = self._as_input(images.to(device))
                logits = network(pixels)
                if self.spec.recipe.test_flip:
                    logits = (logits + network(pixels.flip(3))) / 2
                targets = labels.to(device)
                right += _right(logits, targets)
                loss += functional.cross_entropy(logits, targets, reduction="sum")
        network.train()
        return Score(float(loss) / len(split), float(right) / len(split))

    def _as_input(self, images: Tensor) -> Tensor:
        pixels = as_input(images, self.data.mean, self.data.std)
        return pixels if self.spec.recipe.channels_last else pixels.contiguous()


def open_task(spec: TrainSpec, data: Path) -> Classification:
    """The task on the prepared images whose index is ``data``.

    Raises:
        DataError: if the data are missing or damaged.
        SpecError: if the recipe's sizes are not for these images, or not for this network.
    """
    recipe = spec.recipe
    task = Classification(spec, open_images(data, recipe.test_pixels, recipe.test_ratio))
    if isinstance(task.data, CroppedImages) and not recipe.resolution:
        raise SpecError(f"recipe.resolution: the images of {data} have many sizes; one is needed")
    side = task.inputs.height
    if getattr(family(spec.architecture), "FIXED_SIZE", False):
        others = [entry.pixels for entry in recipe.resolution if entry.pixels != side]
        if others:
            raise SpecError(
                f"recipe.resolution: {spec.architecture} takes images of one size; {others} given, "
                f"and {side} tested"
            )
    return task


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).sum()
