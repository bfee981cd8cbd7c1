"""Down- and up-sampling of a sheet as sparse linear operators, stored as small dense blocks.

``interpolate`` acts on each axis separately, and every output row depends on a few adjacent input
rows only (one for nearest, two for bilinear). So an operator on the sheet is a short list of
blocks, each mapping a band of input rows to a band of output rows, and applying it is one matrix
product per block in whichever memory layout the weights have.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from .whole_sheet import WholeSheet

MANY, FEW = 10, 20
"""Where several blocks have at least so many columns, and the sheet at most so many units to one of
the shrunk sheet, interpolating it whole is faster: for factors up to 4."""


@dataclass(frozen=True)
class Block:
    """``matrix`` (stop−start units × source units) maps units ``source`` to ``start:stop``."""

    start: int
    stop: int
    source_start: int
    source_stop: int
    matrix: Tensor

    def expand(self, small: Tensor) -> Tensor:
        """Units ``start:stop`` of U ``small``, in the memory layout of ``small``."""
        source = small[self.source_start : self.source_stop]
        if rows_are_contiguous(small):
            return self.matrix @ source
        return (source.T @ self.matrix.T).T

    def backward(
        self,
        units: Tensor,
        small: Tensor,
        factors: tuple[Tensor, Tensor, Tensor],
        slope: Tensor,
        small_slope: Tensor,
    ) -> None:
        """Write β C + α C' of these units and add Uᵀ (α C + γ C') of theirs to ``small_slope``.

        C are ``units``, the rows ``start:stop`` of the sheet, C' = U ``small``; α, β, γ are the
        ``factors``, a column each.
        """
        alpha, beta, gamma = factors
        source = slice(self.source_start, self.source_stop)
        scaled = self.matrix * alpha
        torch.mul(units, beta, out=slope)
        slope.addmm_(scaled, small[source])
        small_slope[source].addmm_(scaled.T, units)
        small_slope[source].addmm_(self.matrix.T @ (self.matrix * gamma), small[source])


@dataclass(frozen=True)
class Pyramid:
    """The operators of one level: ``down`` (h×w → small) and ``up`` (small → h×w), in units.

    ``picks`` are the units that ``down`` copies if it does nothing but copy, as for nearest and for
    bilinear with odd whole factors, which sample points without averaging; otherwise ``None``.
    ``whole`` is ``up`` by torch's interpolation, where that is bilinear and deterministic.
    """

    down: tuple[Block, ...]
    up: tuple[Block, ...]
    picks: Tensor | None
    whole: WholeSheet | None
    units: int
    small_units: int

    def bands(self, small: Tensor) -> tuple[Block | WholeSheet, ...]:
        """``up`` in the form that is fastest for a shrunk sheet in this memory layout."""
        many = len(self.up) > 1 and self.up[0].matrix.shape[1] >= MANY
        faster = many and self.units <= FEW * self.small_units
        if self.whole is None or not faster or not rows_are_contiguous(small):
            return self.up
        return (self.whole,)


def rows_are_contiguous(units: Tensor) -> bool:
    return units.stride(1) == 1


@lru_cache(maxsize=256)
def pyramid(
    h: int,
    w: int,
    factor_h: float,
    factor_w: float,
    interpolation: str,
    dtype: torch.dtype,
    device: torch.device,
) -> Pyramid:
    """Operators that shrink an h×w sheet by the factors and bring it back to its size."""
    down_h, up_h = axis_operators(h, factor_h, interpolation, dtype)
    down_w, up_w = axis_operators(w, factor_w, interpolation, dtype)
    native = interpolation == "bilinear" and device.type == "cpu"  # atomic additions on a GPU
    return Pyramid(
        down=_blocks(down_h, down_w, device),
        picks=_picks(down_h, down_w, device),
        up=_blocks(up_h, up_w, device),
        whole=WholeSheet(up_h, up_w) if native else None,
        units=h * w,
        small_units=down_h.shape[0] * down_w.shape[0],
    )


def axis_operators(
    size: int, factor: float, interpolation: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """``down`` (small × size) and ``up`` (size × small) of one axis.

    They are ``interpolate`` applied to unit vectors, so its conventions hold by construction:
    half-pixel centres, no anti-aliasing, source coordinates from the given factor going down and
    from the ratio of sizes going up, coefficients rounded in ``dtype``.
    """
    basis = torch.eye(size, dtype=dtype, device="cpu").reshape(size, 1, size, 1)
    down = functional.interpolate(basis, scale_factor=(1 / factor, 1.0), mode=interpolation)
    small = down.shape[2]
    basis = torch.eye(small, dtype=dtype, device="cpu").reshape(small, 1, small, 1)
    up = functional.interpolate(basis, size=(size, 1), mode=interpolation)
    return _tidied(down.reshape(size, small).T), _tidied(up.reshape(small, size).T)


def _tidied(operator: Tensor) -> Tensor:
    """Coefficients that differ from 0 or 1 by rounding alone are set to 0 or 1.

    Where coordinates fall on a sample, rounding leaves a neighbour a coefficient of some 1e-8: were
    the sample zero, the direction of C' would be that of the neighbour.
    """
    rounding = torch.finfo(operator.dtype).eps * max(operator.shape)
    whole = operator.round()
    return torch.where((operator - whole).abs() <= rounding, whole, operator).contiguous()


def _picks(along_h: Tensor, along_w: Tensor, device: torch.device) -> Tensor | None:
    for operator in (along_h, along_w):
        if not torch.equal(operator, functional.one_hot(operator.argmax(1), operator.shape[1])):
            return None
    rows, columns = along_h.argmax(1), along_w.argmax(1)
    return (rows[:, None] * along_w.shape[1] + columns).flatten().to(device)


def _blocks(along_h: Tensor, along_w: Tensor, device: torch.device) -> tuple[Block, ...]:
    width_out, width_in = along_w.shape
    return tuple(
        Block(
            start=start * width_out,
            stop=stop * width_out,
            source_start=first * width_in,
            source_stop=last * width_in,
            matrix=_product(along_h[start:stop, first:last], along_w).to(device),
        )
        for start, stop, first, last in _bands(along_h)
    )


def _product(along_h: Tensor, along_w: Tensor) -> Tensor:
    """Kronecker product (``torch.kron`` rejects some inputs that are not contiguous)."""
    (rows, columns), (width_out, width_in) = along_h.shape, along_w.shape
    product = along_h[:, None, :, None] * along_w[:, None, :]
    return product.reshape(rows * width_out, columns * width_in)


def _bands(operator: Tensor) -> list[tuple[int, int, int, int]]:
    """Consecutive rows grouped so that each group reads no wider a band than one row may."""
    spans = []
    for row in operator:
        used = row.nonzero().flatten().tolist()
        spans.append((used[0], used[-1] + 1))
    widest = max(last - first for first, last in spans)
    bands: list[tuple[int, int, int, int]] = []
    for index, (first, last) in enumerate(spans):
        if bands:
            start, _, lowest, highest = bands[-1]
            lowest, highest = min(lowest, first), max(highest, last)
            if highest - lowest <= widest:
                bands[-1] = (start, index + 1, lowest, highest)
                continue
        bands.append((index, index + 1, first, last))
    return bands
