"""ResNet-18 as in torchvision, with BlurPool; TopoLoss on the 16 convolutions of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.models.inputs import Inputs
from toporepro.models.residual_family import ResidualOptions, convolutions, forward_flops

if TYPE_CHECKING:
    from torch import nn

TASK = "classification"
BLOCKS = (2, 2, 2, 2)


@dataclass(frozen=True, kw_only=True)
class Options(ResidualOptions):
    """Options of ``resnet18``.

    Attributes:
        width: factor on the channels 64, 128, 256, 512 of the four stages.
        blurpool: blur before every convolution with stride above 1 and at least 16 inputs.
        stem: ``imagenet`` is a 7×7 convolution of stride 2 and a max-pooling of stride 2;
            ``small``, for images of about 32 pixels, a 3×3 convolution of stride 1.
    """


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
