"""What the residual families share: their options and the names of their convolutions; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toporepro.spec import SpecError

PLANES = (64, 128, 256, 512)
EXPANSION = 4  # of the last convolution of a bottleneck
BLUR_FROM = 16  # strided convolutions of fewer input channels are left alone, as in ffcv-imagenet


@dataclass(frozen=True, kw_only=True)
class ResidualOptions:
    """Options of a residual network; its family's own ``Options`` says what they mean."""

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


def _inner(options: ResidualOptions, strided: bool, inputs: int) -> str:
    return ".conv" if options.blurpool and strided and inputs >= BLUR_FROM else ""
