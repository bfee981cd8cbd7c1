"""The kernel as one differentiable function of a weight tensor.

Under ``torch.compile`` forward and backward are opaque operators, so that compiled training
computes exactly what eager training does; in eager mode they are called directly, which saves the
dispatch.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import kernel
from .resample import Pyramid, pyramid


def sheet_loss(
    weight: Tensor,
    unit_dim: int,
    shape: tuple[int, int],
    factor_h: float,
    factor_w: float,
    interpolation: str,
) -> Tensor:
    """1 − mean cosine of each unit's incoming weights and their down-and-up-sampled version.

    Args:
        weight: any shape with the units along ``unit_dim`` (0, or 1 of 2); floating point.
        shape: height and width of the sheet; their product is the number of units.

    Returns:
        A scalar of type float32 (float64 for float64 weights), differentiable once.
    """
    # Integers and floats of the same value would otherwise count as different operators.
    factors = float(factor_h), float(factor_w)
    apply: Callable[..., Tensor] = _SheetLoss.apply
    return apply(weight, unit_dim, *shape, *factors, interpolation)


def _levels(
    weight: Tensor, h: int, w: int, factor_h: float, factor_w: float, interpolation: str
) -> Pyramid:
    dtype = kernel.compute_dtype(weight.dtype)
    return pyramid(h, w, factor_h, factor_w, interpolation, dtype, weight.device)


def _loss(
    weight: Tensor,
    unit_dim: int,
    h: int,
    w: int,
    factor_h: float,
    factor_w: float,
    interpolation: str,
) -> tuple[Tensor, Tensor]:
    with kernel.full_precision(weight.device):
        levels = _levels(weight, h, w, factor_h, factor_w, interpolation)
        return kernel.forward(weight, unit_dim, levels)


def _slope(
    grad: Tensor,
    weight: Tensor,
    stats: Tensor,
    unit_dim: int,
    h: int,
    w: int,
    factor_h: float,
    factor_w: float,
    interpolation: str,
) -> Tensor:
    with kernel.full_precision(weight.device):
        levels = _levels(weight, h, w, factor_h, factor_w, interpolation)
        return kernel.backward(grad, weight, stats, unit_dim, levels)


_opaque_loss = torch.library.custom_op("toporepro::sheet_loss", _loss, mutates_args=())
_opaque_slope = torch.library.custom_op("toporepro::sheet_loss_slope", _slope, mutates_args=())


@_opaque_loss.register_fake
def _(weight: Tensor, unit_dim: int, h: int, w: int, *_rest: Any) -> tuple[Tensor, Tensor]:
    dtype = kernel.compute_dtype(weight.dtype)
    return weight.new_empty((), dtype=dtype), weight.new_empty((3, h * w), dtype=dtype)


@_opaque_slope.register_fake
def _(_grad: Tensor, weight: Tensor, *_rest: Any) -> Tensor:
    return torch.empty_like(weight)


class _SheetLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, *sheet: Any) -> Tensor:
        evaluate = _opaque_loss if torch.compiler.is_compiling() else _loss
        loss, stats = evaluate(weight, *sheet)
        ctx.save_for_backward(weight, stats)
        ctx.sheet = sheet
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, stats = ctx.saved_tensors
        if torch.is_grad_enabled():
            apply: Callable[..., Tensor] = _SheetSlope.apply
            slope = apply(grad, weight, stats, ctx.sheet)
        else:
            evaluate = _opaque_slope if torch.compiler.is_compiling() else _slope
            slope = evaluate(grad, weight, stats, *ctx.sheet)
        return slope, *[None] * len(ctx.sheet)


class _SheetSlope(torch.autograd.Function):
    """The gradient as a node of its own (``create_graph=True``), to refuse a second derivative."""

    @staticmethod
    def forward(_ctx: Any, grad: Tensor, weight: Tensor, stats: Tensor, sheet: Any) -> Tensor:
        return _slope(grad, weight, stats, *sheet)

    @staticmethod
    def backward(_ctx: Any, *_grads: Any) -> Any:
        raise NotImplementedError("the topographic loss can be differentiated once only")
