"""Files in the formats of the published ones, made of torchvision's own modules."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.models.vision import import_torchvision

import_torchvision()

import torchvision  # noqa: E402


class FfcvBlurPoolConv2d(nn.Module):
    """As ffcv-imagenet wraps convolutions: the reference for names and arithmetic."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernel = torch.tensor([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]) / 16.0
        self.conv = conv
        self.register_buffer("blur_filter", kernel.repeat(conv.in_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        blurred = functional.conv2d(
            x, self.blur_filter, stride=1, padding=(1, 1), groups=self.conv.in_channels, bias=None
        )
        return self.conv.forward(blurred)


def apply_blurpool(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and max(child.stride) > 1 and child.in_channels >= 16:
            setattr(module, name, FfcvBlurPoolConv2d(child))
        else:
            apply_blurpool(child)


def source(name: str, classes: int, blurpool: bool, seed: int = 0) -> nn.Module:
    """A network of torchvision's, as if it had been trained: no statistic at its default."""
    torch.manual_seed(seed)
    network: nn.Module = getattr(torchvision.models, name)(num_classes=classes)
    if blurpool:
        apply_blurpool(network)
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith(("running_mean", "bn1.bias", "heads.head.weight")):
                tensor.normal_(0, 0.1)
            elif key.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif key.endswith("num_batches_tracked"):
                tensor.fill_(7)
    return network.eval()


def training_file(network: nn.Module) -> dict[str, Any]:
    """As torchvision's reference script saves: weights under ``model`` and much beside them."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    return {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(),
        "epoch": 87,
        "args": argparse.Namespace(model="vit_b_32", lr=0.1, output_dir=pathlib.Path("/tmp")),
        "scaler": None,
    }
