"""What the residual families share: their options and the names of their convolutions; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError

PLANES = (64, 128, 256, 512)
EXPANSION = 4  # of the last convolution of a bottleneck
BLUR_FROM = 16  # strided convolutions of fewer input channels are left alone, as in ffcv-imagenet


@dataclass(frozen=True, kw_only=True)
class ResidualOptions:
    """Options of a residual network.

    Attributes:
        width: factor on the channels 64, 128, 256, 512 of the four stages; bottlenecks put out four
            times as many.
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
        """Channels of the four stages; a bottleneck puts out four times as many."""
        return tuple(int(planes * self.width) for planes in PLANES)


def convolutions(
    options: ResidualOptions, blocks: Sequence[int], *, bottleneck: bool
) -> dict[str, int]:
    """Every convolution of every block, in order, and its number of units.

    The stem and the 1×1 convolutions of the shortcuts are left out.
    """
    units = {}
    inputs = options.planes[0]
    for stage, (depth, planes) in enumerate(zip(blocks, options.planes, strict=True), start=1):
        for block in range(depth):
            strided = stage > 1 and block == 0
            name = f"layer{stage}.{block}.conv"
            if bottleneck:
                units[f"{name}1"] = planes
                units[f"{name}2{_inner(options, strided, planes)}"] = planes
                units[f"{name}3"] = EXPANSION * planes
            else:
                units[f"{name}1{_inner(options, strided, inputs)}"] = planes
                units[f"{name}2"] = planes
            inputs = planes
    return units


def forward_flops(
    options: ResidualOptions, inputs: Inputs, blocks: Sequence[int], *, bottleneck: bool
) -> int:
    """Operations of the convolutions and the last layer for one image; a multiply-add is two."""
    first = options.planes[0]
    if options.stem == "imagenet":
        height, width = _halved(inputs.height), _halved(inputs.width)
        total = _convolution(7, inputs.channels, first, height, width)
        height, width = _halved(height), _halved(width)
    else:
        height, width = inputs.height, inputs.width
        total = _convolution(3, inputs.channels, first, height, width)
    before = first
    for stage, (depth, planes) in enumerate(zip(blocks, options.planes, strict=True), start=1):
        after = planes * (EXPANSION if bottleneck else 1)
        for block in range(depth):
            strided = stage > 1 and block == 0
            was = height, width
            if strided:
                height, width = _halved(height), _halved(width)
            now = height, width
            if bottleneck:
                total += _convolution(1, before, planes, *was)
                total += _blurred(options, strided, planes, *was)
                total += _convolution(3, planes, planes, *now)
                total += _convolution(1, planes, after, *now)
            else:
                total += _blurred(options, strided, before, *was)
                total += _convolution(3, before, planes, *now)
                total += _convolution(3, planes, planes, *now)
            if strided or before != after:
                total += _blurred(options, strided, before, *was)
                total += _convolution(1, before, after, *now)
            before = after
    return total + 2 * before * inputs.classes


def _halved(side: int) -> int:
    return (side + 1) // 2


def _convolution(kernel: int, inputs: int, outputs: int, height: int, width: int) -> int:
    return 2 * kernel**2 * inputs * outputs * height * width


def _blurred(options: ResidualOptions, strided: bool, inputs: int, height: int, width: int) -> int:
    """Of the depthwise blur before a convolution, where there is one."""
    if not (options.blurpool and strided and inputs >= BLUR_FROM):
        return 0
    return _convolution(3, 1, inputs, height, width)


def _inner(options: ResidualOptions, strided: bool, inputs: int) -> str:
    return ".conv" if options.blurpool and strided and inputs >= BLUR_FROM else ""
