"""The losses of many weights at once: fused where a GPU and Triton are, else one by one.

Weights that lie in memory alike are one group, one autograd node, and one launch per phase. The
node is younger than those of the network, so that its gradients are there before those of the task
arrive, and what DistributedDataParallel sends goes out as early as without the loss.
"""

import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .function import sheet_loss
from .plan import Sheet, elements

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Triton interprets kernels on the CPU, so that they can be tested without a GPU."""

_HAS_TRITON = importlib.util.find_spec("triton") is not None
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class UnitWeights(NamedTuple):
    """A weight with its units along ``unit_dim``, and how its h×w sheet is to be smoothed."""

    weight: Tensor
    unit_dim: int
    shape: tuple[int, int]
    factor_h: float
    factor_w: float
    interpolation: str


def sheet_losses(entries: Sequence[UnitWeights | Tensor]) -> Tensor:
    """The loss of each entry, as one vector; entries that are scalars already stay as they are."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for at, entry in enumerate(entries):
        groups.setdefault(_group(entry, entries[:at]), []).append(at)
    values: list[Tensor] = [torch.empty(0)] * len(entries)
    for group, members in groups.items():
        if not group:
            for at in members:
                entry = entries[at]
                values[at] = entry if isinstance(entry, Tensor) else sheet_loss(*entry)
            continue
        chosen = [entry for at in members if isinstance(entry := entries[at], UnitWeights)]
        losses = _fused(chosen, transposed=group[0])
        if len(groups) == 1:
            return losses
        for at, value in zip(members, losses.unbind(), strict=True):
            values[at] = value
    return torch.stack(values)


def stored_transposed(weight: Tensor, unit_dim: int) -> bool | None:
    """Whether a weight lies in memory as (incoming × units) rather than (units × incoming).

    ``None`` if it is neither, without gaps and repetitions.
    """
    shape, strides = weight.shape, weight.stride()
    dims = [dim for dim in range(weight.ndim) if shape[dim] > 1]
    dims.sort(key=lambda dim: strides[dim])
    expected = 1
    for dim in dims:
        if strides[dim] != expected:
            return None
        expected *= shape[dim]
    # An axis of one lies anywhere.
    if unit_dim not in dims or dims[-1] == unit_dim:
        return False
    return True if dims[0] == unit_dim else None


def _group(entry: UnitWeights | Tensor, earlier: Sequence[UnitWeights | Tensor]) -> tuple[Any, ...]:
    """What weights of one launch have in common; empty if the kernels do not take this one."""
    if isinstance(entry, Tensor) or not _HAS_TRITON:
        return ()
    weight = entry.weight
    # Factors below one enlarge the sheet, and rows of the operators are no longer few.
    takes = weight.dtype in _DTYPES and min(entry.factor_h, entry.factor_w) >= 1
    if not takes or not (INTERPRETED or weight.is_cuda):
        return ()
    transposed = stored_transposed(weight, entry.unit_dim)
    if transposed is None:
        return ()
    # A compiled graph knows no node to which one tensor comes twice.
    repeats = [other for other in earlier if not isinstance(other, Tensor)]
    times = sum(1 for other in repeats if other.weight is weight)
    return transposed, weight.dtype, weight.device, times


def _fused(entries: list[UnitWeights], transposed: bool) -> Tensor:
    sheets = tuple(
        Sheet(
            *entry.shape,
            entry.weight.numel() // (entry.shape[0] * entry.shape[1]),
            float(entry.factor_h),
            float(entry.factor_w),
            entry.interpolation,
        )
        for entry in entries
    )
    apply: Callable[..., Tensor] = _SheetLosses.apply
    return apply(sheets, transposed, *(entry.weight for entry in entries))


def _losses(
    weights: Sequence[Tensor], sheets: tuple[Sheet, ...], transposed: bool
) -> tuple[Tensor, Tensor, Tensor]:
    # Here, because without a GPU there need not be a Triton.
    from . import fused

    return fused.forward(weights, sheets, transposed)


def _slope(
    grads: Tensor,
    weights: Sequence[Tensor],
    stats: Tensor,
    small: Tensor,
    sheets: tuple[Sheet, ...],
    transposed: bool,
) -> Tensor:
    from . import fused

    return fused.backward(grads, weights, stats, small, sheets, transposed)


# Operators know no tuples: a sheet travels as three integers, two factors and a name.
def _packed(sheets: tuple[Sheet, ...]) -> tuple[list[int], list[float], str]:
    sizes = [size for sheet in sheets for size in (sheet.h, sheet.w, sheet.incoming)]
    factors = [factor for sheet in sheets for factor in (sheet.factor_h, sheet.factor_w)]
    return sizes, factors, ",".join([sheet.interpolation for sheet in sheets])


def _unpacked(sizes: Sequence[int], factors: Sequence[float], modes: str) -> tuple[Sheet, ...]:
    return _sheets(tuple(sizes), tuple(factors), modes)


@lru_cache(maxsize=64)
def _sheets(sizes: tuple[int, ...], factors: tuple[float, ...], modes: str) -> tuple[Sheet, ...]:
    numbers, pairs = iter(sizes), iter(factors)
    return tuple(
        Sheet(next(numbers), next(numbers), next(numbers), next(pairs), next(pairs), mode)
        for mode in modes.split(",")
    )


@torch.library.custom_op("toporepro::sheet_losses", mutates_args=())
def _opaque_losses(
    weights: Sequence[Tensor],
    sizes: Sequence[int],
    factors: Sequence[float],
    modes: str,
    transposed: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _losses(weights, _unpacked(sizes, factors, modes), transposed)


@torch.library.custom_op("toporepro::sheet_losses_slope", mutates_args=())
def _opaque_slope(
    grads: Tensor,
    weights: Sequence[Tensor],
    stats: Tensor,
    small: Tensor,
    sizes: Sequence[int],
    factors: Sequence[float],
    modes: str,
    transposed: bool,
) -> Tensor:
    sheets = _unpacked(sizes, factors, modes)
    return _slope(grads, weights, stats, small, sheets, transposed)


@_opaque_losses.register_fake
def _(weights: Sequence[Tensor], *packed: Any) -> tuple[Tensor, Tensor, Tensor]:
    *sheets, _transposed = packed
    count = elements(_unpacked(*sheets))
    shapes = (len(weights),), (4, count.units), (count.small,)
    losses, stats, small = (weights[0].new_empty(s, dtype=torch.float32) for s in shapes)
    return losses, stats, small


@_opaque_slope.register_fake
def _(_grads: Tensor, weights: Sequence[Tensor], *rest: Any) -> Tensor:
    _stats, _small, *sheets, _transposed = rest
    return weights[0].new_empty(elements(_unpacked(*sheets)).slope)


class _SheetLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sheets: tuple[Sheet, ...], transposed: bool, *weights: Tensor) -> Tensor:
        losses: Tensor
        if torch.compiler.is_compiling():
            losses, stats, small = _opaque_losses(weights, *_packed(sheets), transposed)
        else:
            losses, stats, small = _losses(weights, sheets, transposed)
        ctx.save_for_backward(stats, small, *weights)
        ctx.sheets, ctx.transposed = sheets, transposed
        return losses

    @staticmethod
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, ...]:
        stats, small, *weights = ctx.saved_tensors
        if torch.is_grad_enabled():
            apply: Callable[..., Tensor] = _SheetsSlope.apply
            slope = apply(ctx.sheets, ctx.transposed, grads, stats, small, *weights)
        elif torch.compiler.is_compiling():
            packed = _packed(ctx.sheets)
            slope = _opaque_slope(grads, weights, stats, small, *packed, ctx.transposed)
        else:
            slope = _slope(grads, weights, stats, small, ctx.sheets, ctx.transposed)
        slopes: list[Tensor | None] = []
        begins = elements(ctx.sheets).slope_begins
        for needed, weight, begin in zip(ctx.needs_input_grad[2:], weights, begins, strict=True):
            part = slope.as_strided(weight.shape, weight.stride(), begin) if needed else None
            slopes.append(part)
        return None, None, *slopes


class _SheetsSlope(torch.autograd.Function):
    """The gradient as a node of its own (``create_graph=True``), to refuse a second derivative."""

    @staticmethod
    def forward(
        _ctx: Any,
        sheets: tuple[Sheet, ...],
        transposed: bool,
        grads: Tensor,
        stats: Tensor,
        small: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        return _slope(grads, weights, stats, small, sheets, transposed)

    @staticmethod
    def backward(_ctx: Any, *_grads: Any) -> Any:
        raise NotImplementedError("the topographic loss can be differentiated once only")
