"""Down- and up-sampling of a sheet as sparse rows of fixed width, for kernels that gather.

The same operators as in :mod:`resample`, in the other form: each output unit is a short list of
source units with coefficients. Rows shorter than the longest end in coefficients of zero.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .resample import axis_operators


@dataclass(frozen=True)
class Rows:
    """``index`` (int32) and ``coefficient`` (float32), both (outputs × width)."""

    index: Tensor
    coefficient: Tensor

    @property
    def width(self) -> int:
        return self.index.shape[1]


@dataclass(frozen=True)
class Stencils:
    """Everything that forward and backward gather by, in units of an h×w sheet.

    ``down`` (small × units) and ``up`` (units × small), their transposes, and ``near`` (small ×
    width): the small units that share a unit of the sheet with each, where UᵀΓU is not zero. Its
    coefficients say which entries are real (1) and which fill up the row (0).
    """

    down: Rows
    up: Rows
    down_transposed: Rows
    up_transposed: Rows
    near: Rows


@lru_cache(maxsize=256)
def stencils(h: int, w: int, factor_h: float, factor_w: float, interpolation: str) -> Stencils:
    """Sparse rows of the operators that shrink an h×w sheet and bring it back, on the CPU."""
    down_h, up_h = axis_operators(h, factor_h, interpolation, torch.float32)
    down_w, up_w = axis_operators(w, factor_w, interpolation, torch.float32)
    return Stencils(
        down=_product(down_h, down_w),
        up=_product(up_h, up_w),
        down_transposed=_product(down_h.T, down_w.T),
        up_transposed=_product(up_h.T, up_w.T),
        near=_product(_shared(up_h), _shared(up_w)),
    )


def _shared(up: Tensor) -> Tensor:
    used = (up != 0).float()
    return (used.T @ used != 0).float()


def _product(along_h: Tensor, along_w: Tensor) -> Rows:
    """Rows of the Kronecker product, from the rows of its factors."""
    (index_h, value_h), (index_w, value_w) = _compressed(along_h), _compressed(along_w)
    index = index_h[:, None, :, None] * along_w.shape[1] + index_w[None, :, None, :]
    value = value_h[:, None, :, None] * value_w[None, :, None, :]
    outputs = along_h.shape[0] * along_w.shape[0]
    return Rows(index.reshape(outputs, -1).int(), value.reshape(outputs, -1).contiguous())


def _compressed(operator: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and values of the entries that are not zero, in order, filled up with zeros."""
    used = operator != 0
    width = max(int(used.sum(1).max()), 1)
    index = used.byte().argsort(dim=1, descending=True, stable=True)[:, :width]
    return index, operator.gather(1, index)
