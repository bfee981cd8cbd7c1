"""How the Triton kernels of the topographic loss find layers in the tables, and what they combine.

The columns of the table of layers (:mod:`plan`) are constants here, since a kernel may read no
other globals.
"""

import triton
import triton.language as tl

from .plan import FIELDS

EPS = tl.constexpr(1e-8)
WIDTH = tl.constexpr(len(FIELDS))
UNITS = tl.constexpr(FIELDS.index("units"))
SMALL = tl.constexpr(FIELDS.index("small"))
INCOMING = tl.constexpr(FIELDS.index("incoming"))
FIRST_UNIT = tl.constexpr(FIELDS.index("first_unit"))
FIRST_SMALL = tl.constexpr(FIELDS.index("first_small"))
FIRST_SLOPE = tl.constexpr(FIELDS.index("first_slope"))
DOWN = tl.constexpr(FIELDS.index("down"))
DOWN_TAPS = tl.constexpr(FIELDS.index("down_taps"))
UP = tl.constexpr(FIELDS.index("up"))
DOWN_T = tl.constexpr(FIELDS.index("down_transposed"))
DOWN_T_TAPS = tl.constexpr(FIELDS.index("down_transposed_taps"))
UP_T = tl.constexpr(FIELDS.index("up_transposed"))
UP_T_TAPS = tl.constexpr(FIELDS.index("up_transposed_taps"))
NEAR = tl.constexpr(FIELDS.index("near"))
NEAR_TAPS = tl.constexpr(FIELDS.index("near_taps"))
FIRST_OVERLAP = tl.constexpr(FIELDS.index("first_overlap"))


@triton.jit
def cells_of(pointer, unit, incoming, across, TRANSPOSED: tl.constexpr):
    """Addresses of the incoming weights of units; ``across`` is the length of a line in memory."""
    return pointer + (incoming * across + unit if TRANSPOSED else unit * across + incoming)


@triton.jit
def size_of(layer, field: tl.constexpr, ALIGNED: tl.constexpr):
    """A size of a layer; if ``ALIGNED``, the compiler may count on a multiple of 16."""
    size = tl.load(layer + field)
    if ALIGNED:
        size = tl.multiple_of(size, 16)
    return size


@triton.jit
def line_of(layer, rows: tl.constexpr, TRANSPOSED: tl.constexpr, ALIGNED: tl.constexpr):
    """Length of a line in memory of a matrix with ``rows`` (a field) units."""
    return size_of(layer, rows if TRANSPOSED else INCOMING, ALIGNED)


@triton.jit
def weights_of(sample, pointers, which, ALIGNED: tl.constexpr):
    """Where the weights of a layer begin; ``sample`` says of which type they are."""
    pointer = tl.load(pointers + which).to(sample.dtype)
    if ALIGNED:
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def part_of(buffer, layer, first: tl.constexpr):
    """Where the part of a layer in a buffer begins; ``first`` is the field that says so."""
    return tl.multiple_of(buffer + tl.load(layer + first), 16)


@triton.jit
def combine(
    source,
    across,
    index,
    coefficient,
    scale,
    taps,
    incoming,
    inside,
    SCALED: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    BLOCK_TAPS: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """Σ_k coefficient_k · scale[index_k] · source[index_k, incoming], by blocks of taps."""
    tap = tl.arange(0, BLOCK_TAPS)
    if TRANSPOSED:
        total = tl.zeros([BLOCK_IN, BLOCK_TAPS], tl.float32)
    else:
        total = tl.zeros([BLOCK_TAPS, BLOCK_IN], tl.float32)
    for first in range(0, taps, BLOCK_TAPS):
        real = first + tap < taps
        unit = tl.load(index + first + tap, mask=real, other=0).to(tl.int64)
        factor = tl.load(coefficient + first + tap, mask=real, other=0.0)
        used = factor != 0.0
        if SCALED:
            factor *= tl.load(scale + unit, mask=used, other=0.0)
        if TRANSPOSED:
            cells = cells_of(source, unit[None, :], incoming[:, None], across, TRANSPOSED)
            read = tl.load(cells, mask=used[None, :] & inside[:, None], other=0.0)
            total += factor[None, :] * read.to(tl.float32)
        else:
            cells = cells_of(source, unit[:, None], incoming[None, :], across, TRANSPOSED)
            read = tl.load(cells, mask=used[:, None] & inside[None, :], other=0.0)
            total += factor[:, None] * read.to(tl.float32)
    return tl.sum(total, 1 if TRANSPOSED else 0)


@triton.jit
def brought_back(
    small,
    across,
    index,
    coefficient,
    unit,
    incoming,
    known,
    inside,
    UP_TAPS: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """C' of a block of units."""
    total = tl.zeros([BLOCK_UNITS, BLOCK_IN], tl.float32)
    for tap in tl.static_range(UP_TAPS):
        at = tl.load(index + unit * UP_TAPS + tap, mask=known, other=0).to(tl.int64)
        factor = tl.load(coefficient + unit * UP_TAPS + tap, mask=known, other=0.0)
        cells = cells_of(small, at[:, None], incoming[None, :], across, TRANSPOSED)
        mask = (factor != 0.0)[:, None] & inside[None, :]
        total += factor[:, None] * tl.load(cells, mask=mask, other=0.0)
    return total
