"""BlurPool (Zhang 2019, "Making convolutional networks shift-invariant again") as in ffcv-imagenet.

A convolution that strides is preceded by a fixed depthwise 3×3 binomial blur. The names of the
state dict, ``….conv.weight`` and ``….blur_filter``, are those of the published checkpoints.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class BlurPoolConv2d(nn.Module):
    """A blur (1 2 1 ⊗ 1 2 1)/16 per channel, zero-padded by 1, and then ``conv``."""

    blur_filter: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        self.conv = conv
        kernel = (torch.outer(row, row) / 16).expand(conv.in_channels, 1, 3, 3)
        self.register_buffer("blur_filter", kernel.clone())

    def forward(self, x: Tensor) -> Tensor:
        """As ``conv``, of x blurred."""
        blurred = functional.conv2d(x, self.blur_filter, padding=1, groups=self.conv.in_channels)
        return cast(Tensor, self.conv(blurred))  # the module, not its forward: hooks must fire


def add_blurpool(network: nn.Module, channels: int) -> None:
    """Wrap, in place, every convolution that strides and has at least ``channels`` inputs."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Conv2d):
            if max(child.stride) > 1 and child.in_channels >= channels:
                setattr(network, name, BlurPoolConv2d(child))
        else:
            add_blurpool(child, channels)
