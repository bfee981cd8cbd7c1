"""The loop of torchvision's reference training, or of nanoGPT, around a network of ours."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.data.loader import as_input
from toporepro.spec import TrainSpec
from toporepro.tasks.task import Batch
from toporepro.train.optimizer import make_optimizer


class PlainLoop:
    """One network and its optimiser; images are uint8 until :meth:`normalised`."""

    def __init__(self, network: nn.Module, spec: TrainSpec, device: torch.device) -> None:
        self.network, self.recipe, self.device = network, spec.recipe, device
        self.optimizer = make_optimizer(network, spec.recipe)
        self.loss: Any = torch.compile(self._loss) if spec.recipe.compile else self._loss

    def normalised(self, batch: Batch) -> Batch:
        """Images as a loader on the CPU would give them, blended; labels; the blend's share."""
        images, labels, *mix = batch
        pixels = as_input(images, (0.5,) * 3, (0.25,) * 3)
        if not self.recipe.channels_last:
            pixels = pixels.contiguous()
        if mix:
            apart, (weights, share) = self.recipe.repeats, mix
            pixels = pixels[apart:] * weights + pixels[:-apart] * (1 - weights)
            labels = torch.stack([labels[apart:], labels[:-apart]])
            return [pixels, labels, share]
        return [pixels, labels]

    def _loss(self, batch: Batch) -> Tensor:
        if len(batch) == 1:
            tokens = batch[0]
            logits = self.network(tokens[:, :-1])
            return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        pixels, labels, *mix = batch
        logits = self.network(pixels)
        smoothing = self.recipe.label_smoothing
        if not mix:
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        own, other = (
            functional.cross_entropy(logits, of, label_smoothing=smoothing) for of in labels
        )
        return mix[0] * own + (1 - mix[0]) * other

    def step(self, passes: Sequence[Batch]) -> float:
        total = 0.0
        for batch in passes:
            with torch.autocast(
                self.device.type, torch.bfloat16, self.recipe.precision == "bfloat16"
            ):
                loss = self.loss(batch) / len(passes)
            loss.backward()
            total = total + loss.detach()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(total)
