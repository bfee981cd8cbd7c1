"""What the training loop asks of a task. The loop knows nothing of images or words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from toporepro.data.loader import Shard
from toporepro.models.inputs import AnyInputs

Batch = Sequence[Tensor]


@dataclass(frozen=True)
class Loss:
    """Of one forward pass.

    Attributes:
        value: mean loss over the pass's samples, a scalar; without a gradient where a control
            learns nothing from the task.
        accuracy: share of right answers, a scalar; ``None`` where the task counts none.
    """

    value: Tensor
    accuracy: Tensor | None = None


@dataclass(frozen=True)
class Score:
    """Of the test set.

    Attributes:
        loss: mean cross-entropy, without label smoothing, in nats.
        accuracy: share of right answers; ``None`` where the task counts none.
    """

    loss: float
    accuracy: float | None = None


@dataclass(frozen=True)
class Work:
    """What a sample is to its task, for the line of progress.

    Attributes:
        unit: what is counted.
        per_sample: how many of it a sample has.
        flops: floating-point operations of training on a sample; 0 where they are not known.
    """

    unit: str = "samples"
    per_sample: int = 1
    flops: float = 0.0


class Task(Protocol):
    """A model, its data, its loss and its evaluation; made by ``open_task`` of a task's module."""

    @property
    def samples(self) -> int:
        """Training samples; one epoch sees each of them once."""

    @property
    def inputs(self) -> AnyInputs:
        """What the network takes in; written into checkpoints."""

    @property
    def work(self) -> Work:
        """What a sample is, and takes."""

    def build(self) -> nn.Module:
        """The untrained network, in training mode: a pure function of the spec."""

    def batches(
        self, steps: range, shard: Shard, *, workers: int, pin: bool
    ) -> Iterator[Sequence[Batch]]:
        """One item per step: this process's forward passes, all of one size, on the CPU."""

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Loss of one forward pass; the batch is on the network's device."""

    def evaluate(self, network: nn.Module, device: torch.device, *, workers: int = 0) -> Score:
        """Of the test set, in evaluation mode; the network is in training mode afterwards.

        Args:
            workers: processes that load data; they change no result.
        """
