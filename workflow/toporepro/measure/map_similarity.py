"""Structural similarity of maps on the sheet, alone and beyond what any layout would give.

Gaussian SSIM (Wang et al., IEEE Transactions on Image Processing 13:600, 2004: σ = 1.5, 11×11,
K₁ = 0.01, K₂ = 0.03) of maps scaled to [0, 1] by their own extremes. Positions whose window leaves
the sheet are left out, as scikit-image does; on sheets with a side below 11, where that leaves
none, all positions count and the sheet is mirrored at its borders.

Two maps that correlate unit by unit are similar in any layout. So the statistic is SSIM minus its
mean after joint shuffles of the units, which keep the correlation and take the layout away.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SIGMA, RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2
Pair = tuple[int, int]


@functools.lru_cache(maxsize=32)
def _blur(size: int, crop: bool) -> Tensor:
    """The Gaussian window along one axis as a matrix, mirrored at the borders."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((size, size))
    for place in range(size):
        around = (place + offsets) % (2 * size)
        np.add.at(matrix[place], np.where(around < size, around, 2 * size - 1 - around), weights)
    return torch.from_numpy(matrix[RADIUS:-RADIUS] if crop else matrix)


def _smooth(maps: Tensor) -> Tensor:
    height, width = maps.shape[-2:]
    crop = min(height, width) > 2 * RADIUS
    rows, columns = _blur(height, crop).to(maps), _blur(width, crop).to(maps)
    return rows @ maps @ columns.T


def unit_scaled(maps: Tensor) -> Tensor:
    """Maps (…, units) scaled to [0, 1] by their own extremes; a constant one is 0."""
    low, high = maps.amin(dim=-1, keepdim=True), maps.amax(dim=-1, keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, torch.ones_like(high))


def ssim(maps: Tensor, pairs: Sequence[Pair]) -> Tensor:
    """Mean SSIM of pairs of maps.

    Args:
        maps: (…, maps, height, width), in [0, 1].
        pairs: which two maps.

    Returns:
        (…, pairs).
    """
    left, right = (torch.tensor(side, device=maps.device) for side in zip(*pairs, strict=True))
    mean = _smooth(maps)
    variance = _smooth(maps.square()) - mean.square()
    a, b = maps.index_select(-3, left), maps.index_select(-3, right)
    mean_a, mean_b = mean.index_select(-3, left), mean.index_select(-3, right)
    both = mean_a * mean_b
    covariance = _smooth(a * b) - both
    structure = (2 * covariance + _C2) / (
        variance.index_select(-3, left) + variance.index_select(-3, right) + _C2
    )
    luminance = (2 * both + _C1) / (mean_a.square() + mean_b.square() + _C1)
    return (structure * luminance).mean(dim=(-2, -1))


def similarity(
    maps: Tensor, pairs: Sequence[Pair], sheet: tuple[int, int], shuffles: npt.NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """SSIM of pairs of maps, and the same minus its mean over joint shuffles of the units.

    Args:
        maps: (…, maps, units), of any scale.
        shuffles: (shuffles, units): the unit that lies at each place. Given from outside, so that
            a permuted map meets the same shuffles as the map itself.

    Returns:
        Two tensors (…, pairs).
    """
    scaled = unit_scaled(maps)
    shape = (*maps.shape[:-1], *sheet)
    raw = ssim(scaled.reshape(shape), pairs)
    shuffled = torch.zeros_like(raw)
    for order in torch.from_numpy(shuffles).to(maps.device):
        shuffled += ssim(scaled.index_select(-1, order).reshape(shape), pairs)
    return raw, raw - shuffled / len(shuffles)
