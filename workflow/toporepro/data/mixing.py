"""MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019), drawn by (seed, step).

Both blend each image with another of its batch: pixel by pixel ``w·image + (1 − w)·partner``, where
w is one number for MixUp, and for CutMix 0 inside a rectangle and 1 outside. The formulas are those
of ``torchvision.transforms.v2``; with both, each step takes one of them, as its reference does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toporepro.data.loader import MIX, random_bits

_KIND, _SHARE, _ROW, _COLUMN = range(4)

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mix:
    """Of one step, for all its images.

    Attributes:
        weights: of each image's own pixels, float32, height × width.
        share: of its own label, float32, a scalar: the mean of ``weights``.
    """

    weights: Floats32
    share: Floats32


@dataclass(frozen=True)
class Mixing:
    """α of the Beta distributions of MixUp and CutMix; 0 leaves one out."""

    mixup: float
    cutmix: float

    def draw(self, seed: int, step: int, height: int, width: int) -> Mix:
        """The mix of a step whose images have so many pixels."""
        from scipy.special import betaincinv

        kinds = [kind for kind in ("mixup", "cutmix") if getattr(self, kind) > 0]
        kind = kinds[_below(len(kinds), seed, step, _KIND)]
        alpha = getattr(self, kind)
        uniform = (int(random_bits(seed, MIX, step, _SHARE)) + 0.5) / 2**64
        share = float(betaincinv(alpha, alpha, uniform))
        if kind == "mixup":
            return Mix(np.full((height, width), share, np.float32), np.array(share, np.float32))
        row, column = _below(height, seed, step, _ROW), _below(width, seed, step, _COLUMN)
        half = 0.5 * np.sqrt(1 - share)
        rows, columns = int(half * height), int(half * width)
        weights = np.ones((height, width), np.float32)
        weights[max(row - rows, 0) : row + rows, max(column - columns, 0) : column + columns] = 0
        return Mix(weights, np.array(weights.mean(dtype=np.float64), np.float32))


def _below(count: int, seed: int, step: int, what: int) -> int:
    return int(random_bits(seed, MIX, step, what) % np.uint64(count))
