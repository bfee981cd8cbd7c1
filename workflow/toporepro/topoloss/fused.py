"""Launches of the fused kernels: the loss of many weights at once, and its gradient."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from . import fused_kernels as kernels
from .errors import TopoLossError
from .plan import Plan, Sheet, plan

_WARPS = 4
_KEPT: list[Any] = []
"""Tables that a recorded CUDA graph reads: they must outlive every cache."""


def forward(
    weights: Sequence[Tensor], sheets: tuple[Sheet, ...], transposed: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses (one per weight), and what the backward needs.

    That is cosine, α, β, γ of each unit (4 × units of all layers) and the shrunk sheets. All are
    float32.

    Raises:
        TopoLossError: a CUDA graph is being recorded and these weights have not been met before.
    """
    first = weights[0]
    tables, pointers, options = _prepared(weights, sheets, transposed)
    losses = first.new_empty(len(sheets), dtype=torch.float32)
    stats = first.new_empty(4, tables.elements.units, dtype=torch.float32)
    small = first.new_empty(tables.elements.small, dtype=torch.float32)
    rows = tables.index, tables.coefficient
    with _on(first.device):
        kernels.shrink[(len(tables.small_work),)](
            first, pointers, tables.layers, tables.small_work, *rows, small, **options,
            BLOCK_TAPS=min(_power(tables.down_taps), tables.blocks.gathered_taps),
            BLOCK_IN=tables.blocks.gathered_incoming,
        )  # fmt: skip
        kernels.compare[(len(tables.unit_work),)](
            first, pointers, tables.layers, tables.unit_work, *rows, small, *stats, **options,
            UP_TAPS=tables.up_taps,
            BLOCK_UNITS=tables.blocks.units,
            BLOCK_IN=tables.blocks.incoming,
        )  # fmt: skip
        kernels.average[(len(sheets),)](
            tables.layers, stats[0], losses, BLOCK=1024, num_warps=_WARPS
        )
    return losses, stats, small


def backward(
    grads: Tensor,
    weights: Sequence[Tensor],
    stats: Tensor,
    small: Tensor,
    sheets: tuple[Sheet, ...],
    transposed: bool,
) -> Tensor:
    """Gradients of all weights in one flat buffer, of their type and in their layout."""
    first = weights[0]
    tables, pointers, options = _prepared(weights, sheets, transposed)
    _, alphas, betas, gammas = stats
    overlaps = stats.new_empty(tables.overlaps)
    small_slope = torch.empty_like(small)
    slope = first.new_empty(tables.elements.slope)
    rows = tables.index, tables.coefficient
    near = _power(tables.near_taps)
    blocks = tables.blocks
    with _on(first.device):
        kernels.overlap[(len(tables.overlap_work),)](
            tables.layers, tables.overlap_work, *rows, gammas, overlaps,
            UP_TAPS=tables.up_taps, BLOCK_TAPS=16, BLOCK_NEAR=near, num_warps=_WARPS,
        )  # fmt: skip
        kernels.collect[(len(tables.small_work),)](
            first, pointers, tables.layers, tables.small_work, *rows, small, alphas, overlaps,
            small_slope, **options,
            BLOCK_TAPS=blocks.gathered_taps,
            BLOCK_NEAR=min(near, blocks.gathered_taps),
            BLOCK_IN=blocks.gathered_incoming,
        )  # fmt: skip
        kernels.write[(len(tables.cell_work),)](
            first, pointers, tables.layers, tables.cell_work, *rows, grads.contiguous(), small,
            small_slope, alphas, betas, slope, **options,
            UP_TAPS=tables.up_taps, BLOCK_UNITS=blocks.units, BLOCK_IN=blocks.incoming,
        )  # fmt: skip
    return slope


def _prepared(
    weights: Sequence[Tensor], sheets: tuple[Sheet, ...], transposed: bool
) -> tuple[Plan, Tensor, dict[str, Any]]:
    device = weights[0].device
    addresses = tuple(weight.data_ptr() for weight in weights)
    tables, pointers = _tables(sheets, transposed, device), _pointers(addresses, device)
    if _is_recording(device):
        _KEPT.append((tables, pointers))
    aligned = tables.lines_aligned and all(address % 16 == 0 for address in addresses)
    return tables, pointers, {"TRANSPOSED": transposed, "ALIGNED": aligned, "num_warps": _WARPS}


@lru_cache(maxsize=64)
def _tables(sheets: tuple[Sheet, ...], transposed: bool, device: torch.device) -> Plan:
    _refuse_recording(device)
    return plan(sheets, transposed, device)


@lru_cache(maxsize=64)
def _pointers(addresses: tuple[int, ...], device: torch.device) -> Tensor:
    _refuse_recording(device)
    return torch.tensor(addresses, device=device)


def _refuse_recording(device: torch.device) -> None:
    if _is_recording(device):
        raise TopoLossError(
            "a CUDA graph is being recorded, and the topographic loss has not met these weights "
            "at these addresses before; run one step before the recording"
        )


def _is_recording(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _power(number: int) -> int:
    """The least power of two not below ``number``."""
    return 1 << (number - 1).bit_length()
