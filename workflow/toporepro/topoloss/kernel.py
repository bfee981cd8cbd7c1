"""Forward and analytic backward of the topographic loss on a matrix of units.

Notation: C (units × incoming) are the weights, L = D C the shrunk sheet, C' = U L the sheet
brought back. With ĉ = C_i/|C_i| and ĉ' = C'_i/|C'_i|, the loss is 1 − mean_i ĉ·ĉ', and
its gradient is β C + α C' + Dᵀ Uᵀ (α C + γ C') with one α, β, γ per unit. C' itself is only
ever held for one band of the sheet, or for one sheet in memory that is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .resample import Pyramid, rows_are_contiguous

EPS = 1e-8
"""Vectors shorter than this have no direction (the epsilon of ``cosine_similarity``)."""


def unit_matrix(weight: Tensor, unit_dim: int) -> Tensor:
    """``weight`` as (units × incoming) without a copy if its memory is dense.

    Incoming weights are taken in the order in which they lie in memory: the loss sums over them,
    so their order does not matter, and channels-last weights need no rearranging.
    """
    rest = [dim for dim in range(weight.ndim) if dim != unit_dim]
    rest.sort(key=weight.stride, reverse=True)
    return weight.permute(unit_dim, *rest).flatten(1)


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keep autocast and reduced-precision (TF32, bfloat16) matrix products out of the loss."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    precision = backend.matmul.fp32_precision
    backend.matmul.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        backend.matmul.fp32_precision = precision


def shrink(units: Tensor, levels: Pyramid) -> Tensor:
    """L = D C, in the memory layout of ``units``."""
    if levels.picks is not None:
        if rows_are_contiguous(units):
            return units.index_select(0, levels.picks)
        return units.T.index_select(1, levels.picks).T
    small = like(units, levels.small_units)
    for block in levels.down:
        torch.mm(
            block.matrix,
            units[block.source_start : block.source_stop],
            out=small[block.start : block.stop],
        )
    return small


def spread(small_slope: Tensor, slope: Tensor, levels: Pyramid) -> None:
    """Add Dᵀ ``small_slope`` to ``slope``."""
    if levels.picks is not None:
        slope.index_add_(0, levels.picks, small_slope)
        return
    for block in levels.down:
        slope[block.source_start : block.source_stop].addmm_(
            block.matrix.T, small_slope[block.start : block.stop]
        )


def like(units: Tensor, rows: int) -> Tensor:
    """Empty (rows × incoming) matrix in the memory layout of ``units``."""
    if rows_are_contiguous(units):
        return units.new_empty(rows, units.shape[1])
    return units.new_empty(units.shape[1], rows).T


def forward(weight: Tensor, unit_dim: int, levels: Pyramid) -> tuple[Tensor, Tensor]:
    """Loss (scalar) and the per-unit numbers that the backward needs: |C|, |C'|, C·C' (3 × n)."""
    units = unit_matrix(weight, unit_dim).to(compute_dtype(weight.dtype))
    norm, norm_up, dot = stats = units.new_empty(3, levels.units)
    small = shrink(units, levels)
    for part in levels.bands(small):
        band = slice(part.start, part.stop)
        up = part.expand(small)
        norm_up[band] = row_norms(up)
        norm[band] = row_norms(units[band])
        dot[band] = up.mul_(units[band]).sum(1)
    cosine = dot / (norm.clamp_min(EPS) * norm_up.clamp_min(EPS))
    return cosine.mean().neg_().add_(1), stats


def row_norms(matrix: Tensor) -> Tensor:
    """Euclidean norm of each row; ``vector_norm`` is slow across rows that are not contiguous."""
    if rows_are_contiguous(matrix):
        norms: Tensor = torch.linalg.vector_norm(matrix, dim=1)
        return norms
    return matrix.square().sum(1).sqrt_()


def backward(grad: Tensor, weight: Tensor, stats: Tensor, unit_dim: int, levels: Pyramid) -> Tensor:
    """Gradient of the loss, times ``grad``, in the shape, type and layout of ``weight``."""
    dtype = compute_dtype(weight.dtype)
    out = torch.empty_like(weight, dtype=dtype)
    if out.stride() != weight.stride():
        weight = weight.contiguous()
        out = torch.empty_like(weight, dtype=dtype)
    units, slope = unit_matrix(weight, unit_dim).to(dtype), unit_matrix(out, unit_dim)
    norm, norm_up, dot = stats
    # A vector without direction has no subgradient that points anywhere in particular.
    directed = (norm > EPS) & (norm_up > EPS)
    each = torch.where(directed, -grad / levels.units, 0.0)
    norm, norm_up = norm.clamp_min(EPS), norm_up.clamp_min(EPS)
    alpha = (each / (norm * norm_up))[:, None]
    beta = -alpha * (dot / norm.square())[:, None]
    gamma = -alpha * (dot / norm_up.square())[:, None]
    small = shrink(units, levels)
    small_slope = torch.zeros_like(small)
    for part in levels.bands(small):
        band = slice(part.start, part.stop)
        factors = alpha[band], beta[band], gamma[band]
        part.backward(units[band], small, factors, slope[band], small_slope)
    spread(small_slope, slope, levels)
    return out.to(weight.dtype)
