"""Sheet down-sampling: a layer's units as an image, shrunk and brought back to its size.

What is left of an h×w sheet at sparsity s are ⌊h√(1−s)⌋×⌊w√(1−s)⌋ vectors of incoming weights, from
which all h·w are interpolated again (Deb, Deb & Ratan Murty, ICLR 2025, the figure on sparsity;
sizes derived from its parameter counts).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from toporepro.sheet import sheet_shape
from toporepro.spec import SpecError
from toporepro.topoloss.resample import axis_operators

By = Literal["factor", "size"]


@dataclass(frozen=True)
class Sampling:
    """The operators of one sheet, float64: small × size and back, along rows and along columns."""

    down_h: Tensor
    down_w: Tensor
    up_h: Tensor
    up_w: Tensor

    @property
    def small(self) -> tuple[int, int]:
        """Height and width of what is kept."""
        return self.down_h.shape[0], self.down_w.shape[0]

    @property
    def kept(self) -> int:
        """Vectors that are kept."""
        return math.prod(self.small)

    def shrink(self, vectors: Tensor) -> Tensor:
        """(units, weights) → (kept, weights), in the type of ``vectors``."""
        return _resampled(vectors, self.down_h, self.down_w)

    def expand(self, vectors: Tensor) -> Tensor:
        """(kept, weights) → (units, weights), in the type of ``vectors``."""
        return _resampled(vectors, self.up_h, self.up_w)


def small_shape(height: int, width: int, sparsity: float) -> tuple[int, int]:
    """Size of what is left of a sheet: 48×64 → 42×57, 33×45, 21×28 at 0.2, 0.5, 0.8.

    Raises:
        SpecError: if the sparsity is not in [0, 1), or leaves nothing of the sheet.
    """
    if not 0 <= sparsity < 1:
        raise SpecError(f"sparsity={sparsity}: in [0, 1)")
    if sparsity == 0:
        return height, width
    # The double rounding is that of ``interpolate``, which is given the factor 1/√(1−s) below.
    share = 1 / (1 / math.sqrt(1 - sparsity))
    small = math.floor(height * share), math.floor(width * share)
    if min(small) < 1:
        raise SpecError(f"sparsity={sparsity}: leaves nothing of a sheet of {height}×{width} units")
    return small


@functools.lru_cache(maxsize=64)
def sampling(units: int, sparsity: float, by: By = "factor") -> Sampling:
    """The operators for a layer of so many units.

    Args:
        units: laid out by ``sheet_shape``.
        sparsity: share of the units that is taken away, about: both sides are rounded down.
        by: whether coordinates going down follow the given ``factor``, or the ratio of ``size``.

    Raises:
        SpecError: as ``small_shape`` does.
    """
    height, width = sheet_shape(units)
    small_h, small_w = small_shape(height, width, sparsity)
    (down_h, up_h), (down_w, up_w) = (
        _axis(size, small, sparsity, by) for size, small in ((height, small_h), (width, small_w))
    )
    return Sampling(down_h, down_w, up_h, up_w)


def _axis(size: int, small: int, sparsity: float, by: By) -> tuple[Tensor, Tensor]:
    if small == size:
        whole = torch.eye(size, dtype=torch.float64)
        return whole, whole
    factor = 1 / math.sqrt(1 - sparsity)
    down, up = axis_operators(size, factor, "bilinear", torch.float64)
    if by == "size":
        basis = torch.eye(size, dtype=torch.float64).reshape(size, 1, size, 1)
        down = functional.interpolate(basis, size=(small, 1), mode="bilinear")
        down = down.reshape(size, small).T.contiguous()
    return down, up


def _resampled(vectors: Tensor, along_h: Tensor, along_w: Tensor) -> Tensor:
    sheet = vectors.reshape(along_h.shape[1], along_w.shape[1], -1).double()
    rows = torch.tensordot(along_h.to(sheet), sheet, dims=1)
    both = torch.einsum("wv,hvn->hwn", along_w.to(sheet), rows)
    return both.reshape(-1, sheet.shape[2]).to(vectors.dtype)
