"""Residual networks of any width, out of torchvision's blocks and with its parameter names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from toporepro.models.blurpool import add_blurpool
from toporepro.models.inputs import Inputs
from toporepro.models.residual_family import BLUR_FROM, ResidualOptions
from toporepro.models.vision import import_torchvision

import_torchvision()

from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1  # noqa: E402


class ResNet(nn.Module):
    """torchvision's ResNet, with free channel numbers and stem.

    With planes (64, 128, 256, 512), 3 channels and the ``imagenet`` stem it has torchvision's
    parameters, their initial values under the same seed, and its logits.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int],
        planes: Sequence[int],
        channels: int,
        classes: int,
        stem: str,
        bottleneck: bool,
    ) -> None:
        super().__init__()
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(channels, planes[0], 7, stride=2, padding=3, bias=False)
        else:
            self.conv1 = nn.Conv2d(channels, planes[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.relu = nn.ReLU(inplace=True)
        pool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        self.maxpool = pool
        kind = Bottleneck if bottleneck else BasicBlock
        before = planes[0]
        for stage, (depth, width) in enumerate(zip(blocks, planes, strict=True), start=1):
            stride = 1 if stage == 1 else 2
            self.add_module(f"layer{stage}", _stage(kind, before, width, depth, stride))
            before = width * kind.expansion
        self.stages = len(planes)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×classes of images N×C×H×W."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return cast(Tensor, self.fc(self.avgpool(x).flatten(1)))


def build_residual(
    options: ResidualOptions, inputs: Inputs, blocks: Sequence[int], *, bottleneck: bool
) -> nn.Module:
    """The untrained network of a family that has ``blocks`` blocks in its four stages."""
    network = ResNet(
        blocks=blocks,
        planes=options.planes,
        channels=inputs.channels,
        classes=inputs.classes,
        stem=options.stem,
        bottleneck=bottleneck,
    )
    if options.blurpool:
        add_blurpool(network, BLUR_FROM)
    return network


def _stage(
    kind: type[BasicBlock | Bottleneck], before: int, planes: int, depth: int, stride: int
) -> nn.Sequential:
    after = planes * kind.expansion
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(conv1x1(before, after, stride), nn.BatchNorm2d(after))
    first = kind(before, planes, stride, shortcut)
    return nn.Sequential(first, *(kind(after, planes) for _ in range(depth - 1)))
