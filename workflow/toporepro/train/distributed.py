"""Data parallelism under ``torchrun``: gradients and batch-norm statistics over all processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from toporepro.energy import Meter, card_uuids

_PATIENCE = timedelta(hours=1)  # the first process evaluates and saves while the others wait


@dataclass(frozen=True)
class Group:
    """The processes of one training; alone, there is one, and nothing is sent."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the results."""
        return self.rank == 0

    def average(self, parameters: Iterable[nn.Parameter], values: Tensor) -> Tensor:
        """Average gradients, in place, and a vector of values, returned, over all processes."""
        if self.world == 1:
            return values
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), values])
        dist.all_reduce(flat)
        flat /= self.world
        *parts, average = torch.split(flat, [*(g.numel() for g in gradients), values.numel()])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
        return average

    def share(self, value: Any) -> Any:
        """The first process's value, in every process."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def meter(self) -> Meter:
        """Counts the energy of all processes, if they run on one machine."""
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        on_cards = self.device.type == "cuda" and local == self.world
        uuids = card_uuids(local) if on_cards else ()
        return Meter(self.device.type, uuids, processes=self.world)

    def synchronise_batchnorm(self, network: nn.Module) -> nn.Module:
        """Make batch-norms take their statistics over all processes; names stay as they are."""
        if self.world == 1:
            return network
        if self.device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return, no-untyped-call]
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = _SyncBatchNorm2d
        return network


@contextlib.contextmanager
def connect() -> Iterator[Group]:
    """Join the processes that ``torchrun`` started, or be alone."""
    cuda = torch.cuda.is_available()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group(0, 1, torch.device("cuda" if cuda else "cpu"))
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield Group(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over processes, whose gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class _SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch-norm over all processes on CPUs, for which torch's own is not made."""

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        if not self.training:
            return super().forward(input)
        count = input.numel() // input.shape[1] * dist.get_world_size()
        x = input.float()
        mean = _sum(x.sum((0, 2, 3))) / count
        centred = x - mean.view(1, -1, 1, 1)
        variance = _sum(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            rate = cast(float, self.momentum)
            cast(Tensor, self.num_batches_tracked).add_(1)
            cast(Tensor, self.running_mean).lerp_(mean, rate)
            cast(Tensor, self.running_var).lerp_(variance * count / (count - 1), rate)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(input.dtype)


def _sum(value: Tensor) -> Tensor:
    return cast(Tensor, _Sum.apply(value))  # type: ignore[no-untyped-call]
