"""An exponential moving average of a network's weights and statistics."""

from __future__ import annotations

import copy

import torch
from torch import nn

from toporepro.spec import Averaging


class Average:
    """What a training publishes: the network itself or, if the recipe says so, its average.

    The average is that of ``torchvision``'s reference training: of parameters and of batch-norm
    statistics alike; whole numbers are copied.

    Attributes:
        network: what is tested, kept and published.
    """

    def __init__(self, network: nn.Module, averaging: Averaging | None) -> None:
        self._trained, self._averaging = network, averaging
        self.network = network
        if averaging is not None:
            self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int, epoch: float) -> None:
        """Take in the weights after ``step`` updates, ``epoch`` epochs in."""
        averaging = self._averaging
        if averaging is None or step % averaging.every:
            return
        decay = averaging.decay if epoch >= averaging.from_epoch else 0.0
        trained = self._trained.state_dict()
        for name, mean in self.network.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(trained[name], 1 - decay)
            else:
                mean.copy_(trained[name])
