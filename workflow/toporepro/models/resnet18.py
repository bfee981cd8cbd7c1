"""ResNet-18 as in torchvision, with BlurPool; TopoLoss on the 16 convolutions of its blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toporepro.models.inputs import Inputs
from toporepro.models.residual_family import ResidualOptions, convolutions, forward_flops

if TYPE_CHECKING:
    from torch import nn

TASK = "classification"
BLOCKS = (2, 2, 2, 2)
Options = ResidualOptions


def layers(options: Options) -> dict[str, int]:
    """Topographic layers and their numbers of units."""
    return convolutions(options, BLOCKS, bottleneck=False)


def flops(options: Options, inputs: Inputs) -> int:
    """Operations of a forward pass of one image; a multiply-add is two."""
    return forward_flops(options, inputs, BLOCKS, bottleneck=False)


def build(options: Options, inputs: Inputs) -> nn.Module:
    """The untrained network; takes images N×C×H×W, gives logits N×classes."""
    from toporepro.models.residual import build_residual

    return build_residual(options, inputs, BLOCKS, bottleneck=False)
