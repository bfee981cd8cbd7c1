"""ResNet-18 as in torchvision, with BlurPool; TopoLoss on the 16 convolutions of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import nn

TASK = "classification"
BLOCKS = (2, 2, 2, 2)
PLANES = (64, 128, 256, 512)
BLUR_FROM = 16  # strided convolutions of fewer input channels are left alone, as in ffcv-imagenet


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``resnet18``.

    Attributes:
        width: factor on the channels 64, 128, 256, 512 of the four stages.
        blurpool: blur before every convolution with stride above 1 and at least 16 inputs.
        stem: ``imagenet`` is a 7×7 convolution of stride 2 and a max-pooling of stride 2;
            ``small``, for images of about 32 pixels, a 3×3 convolution of stride 1.
    """

    width: float = 1.0
    blurpool: bool = True
    stem: Literal["imagenet", "small"] = "imagenet"

    def __post_init__(self) -> None:
        for planes in PLANES:
            if self.width <= 0 or planes * self.width % 1:
                raise SpecError(
                    f"width={self.width}: {' '.join(map(str, PLANES))} times width must be whole "
                    "numbers above 0, such as 0.25, 0.5, 1"
                )
        if self.stem not in ("imagenet", "small"):
            raise SpecError(f"stem={self.stem!r}: 'imagenet' or 'small'")

    @property
    def planes(self) -> tuple[int, ...]:
        """Channels of the four stages."""
        return tuple(int(planes * self.width) for planes in PLANES)


def layers(options: Options) -> dict[str, int]:
    """Topographic layers and their numbers of units."""
    units = {}
    inputs = options.planes[0]
    for stage, (blocks, planes) in enumerate(zip(BLOCKS, options.planes, strict=True), start=1):
        for block in range(blocks):
            strided = stage > 1 and block == 0
            blurred = options.blurpool and strided and inputs >= BLUR_FROM
            units[f"layer{stage}.{block}.conv1{'.conv' if blurred else ''}"] = planes
            units[f"layer{stage}.{block}.conv2"] = planes
            inputs = planes
    return units


def build(options: Options, inputs: Inputs) -> nn.Module:
    """The untrained network; takes images N×C×H×W, gives logits N×classes."""
    from toporepro.models.blurpool import add_blurpool
    from toporepro.models.residual import ResNet

    network = ResNet(
        blocks=BLOCKS,
        planes=options.planes,
        channels=inputs.channels,
        classes=inputs.classes,
        stem=options.stem,
    )
    if options.blurpool:
        add_blurpool(network, BLUR_FROM)
    return network
