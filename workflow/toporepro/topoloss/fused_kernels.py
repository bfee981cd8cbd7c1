"""The topographic loss of many layers at once, as Triton kernels.

Each kernel is launched once for all layers. A program reads from ``work`` which layer and which
part of it is its own, and from the tables of :mod:`plan` where that layer lies. Notation as in
:mod:`kernel`: C are the weights, L = D C, C' = U L; α, β, γ are those there divided by the
gradient that comes in, so that the forward can store them. Nothing is added up atomically: the
same weights give the same bytes.

Weights are read as they lie in memory: units × incoming, or incoming × units (``TRANSPOSED``).
"""

import triton
import triton.language as tl

from .fused_access import (
    DOWN,
    DOWN_T,
    DOWN_T_TAPS,
    DOWN_TAPS,
    EPS,
    FIRST_OVERLAP,
    FIRST_SLOPE,
    FIRST_SMALL,
    FIRST_UNIT,
    INCOMING,
    NEAR,
    NEAR_TAPS,
    SMALL,
    UNITS,
    UP,
    UP_T,
    UP_T_TAPS,
    WIDTH,
    brought_back,
    cells_of,
    combine,
    line_of,
    part_of,
    size_of,
    weights_of,
)


@triton.jit
def shrink(
    sample,
    pointers,
    layers,
    work,
    index,
    coefficient,
    small,
    TRANSPOSED: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK_TAPS: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """L = D C, one small unit and one block of its incoming weights per program."""
    job = work + 3 * tl.program_id(0).to(tl.int64)
    which = tl.load(job)
    unit = tl.load(job + 1).to(tl.int64)
    incoming = tl.load(job + 2) * BLOCK_IN + tl.arange(0, BLOCK_IN).to(tl.int64)
    layer = layers + which * WIDTH
    inside = incoming < size_of(layer, INCOMING, ALIGNED and not TRANSPOSED)
    taps = tl.load(layer + DOWN_TAPS)
    row = tl.load(layer + DOWN) + unit * taps
    value = combine(
        weights_of(sample, pointers, which, ALIGNED),
        line_of(layer, UNITS, TRANSPOSED, ALIGNED),
        index + row,
        coefficient + row,
        coefficient,
        taps,
        incoming,
        inside,
        False,
        TRANSPOSED,
        BLOCK_TAPS,
        BLOCK_IN,
    )
    own = part_of(small, layer, FIRST_SMALL)
    across = line_of(layer, SMALL, TRANSPOSED, ALIGNED and not TRANSPOSED)
    tl.store(cells_of(own, unit, incoming, across, TRANSPOSED), value, mask=inside)


@triton.jit
def compare(
    sample,
    pointers,
    layers,
    work,
    index,
    coefficient,
    small,
    cosines,
    alphas,
    betas,
    gammas,
    UP_TAPS: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """cos(C_i, C'_i) and α, β, γ of a block of units per program."""
    job = work + 3 * tl.program_id(0).to(tl.int64)
    which = tl.load(job)
    layer = layers + which * WIDTH
    units = size_of(layer, UNITS, ALIGNED and TRANSPOSED)
    unit = tl.load(job + 1) * BLOCK_UNITS + tl.arange(0, BLOCK_UNITS).to(tl.int64)
    known = unit < units
    size = size_of(layer, INCOMING, ALIGNED and not TRANSPOSED)
    weights = weights_of(sample, pointers, which, ALIGNED)
    across = line_of(layer, UNITS, TRANSPOSED, ALIGNED)
    own = part_of(small, layer, FIRST_SMALL)
    small_across = line_of(layer, SMALL, TRANSPOSED, ALIGNED and not TRANSPOSED)
    row = tl.load(layer + UP)
    length = tl.zeros([BLOCK_UNITS, BLOCK_IN], tl.float32)
    length_up = tl.zeros([BLOCK_UNITS, BLOCK_IN], tl.float32)
    product = tl.zeros([BLOCK_UNITS, BLOCK_IN], tl.float32)
    for first in range(0, size, BLOCK_IN):
        incoming = first + tl.arange(0, BLOCK_IN).to(tl.int64)
        inside = incoming < size
        cells = cells_of(weights, unit[:, None], incoming[None, :], across, TRANSPOSED)
        read = tl.load(cells, mask=known[:, None] & inside[None, :], other=0.0).to(tl.float32)
        smooth = brought_back(
            own,
            small_across,
            index + row,
            coefficient + row,
            unit,
            incoming,
            known,
            inside,
            UP_TAPS,
            TRANSPOSED,
            BLOCK_UNITS,
            BLOCK_IN,
        )
        length += read * read
        length_up += smooth * smooth
        product += read * smooth
    norm = tl.sqrt(tl.sum(length, 1))
    norm_up = tl.sqrt(tl.sum(length_up, 1))
    dot = tl.sum(product, 1)
    # A vector without direction has no subgradient that points anywhere in particular.
    directed = (norm > EPS) & (norm_up > EPS)
    norm = tl.where(norm > EPS, norm, EPS)
    norm_up = tl.where(norm_up > EPS, norm_up, EPS)
    cosine = dot / norm / norm_up
    alpha = tl.where(directed, 1.0 / norm / norm_up / units.to(tl.float32), 0.0)
    at = tl.load(layer + FIRST_UNIT) + unit
    tl.store(cosines + at, cosine, mask=known)
    tl.store(alphas + at, alpha, mask=known)
    tl.store(betas + at, -alpha * dot / norm / norm, mask=known)
    tl.store(gammas + at, -alpha * dot / norm_up / norm_up, mask=known)


@triton.jit
def average(layers, cosines, losses, BLOCK: tl.constexpr):
    """1 − mean cosine, one layer per program."""
    which = tl.program_id(0)
    layer = layers + which * WIDTH
    units = tl.load(layer + UNITS)
    own = cosines + tl.load(layer + FIRST_UNIT)
    total = tl.zeros([BLOCK], tl.float32)
    for first in range(0, units, BLOCK):
        unit = first + tl.arange(0, BLOCK)
        total += tl.load(own + unit, mask=unit < units, other=0.0)
    tl.store(losses + which, 1.0 - tl.sum(total, 0) / units.to(tl.float32))


@triton.jit
def overlap(
    layers,
    work,
    index,
    coefficient,
    gammas,
    overlaps,
    UP_TAPS: tl.constexpr,
    BLOCK_TAPS: tl.constexpr,
    BLOCK_NEAR: tl.constexpr,
):
    """The row of UᵀΓU of one small unit per program, at the places of ``near``."""
    job = work + 3 * tl.program_id(0).to(tl.int64)
    layer = layers + tl.load(job) * WIDTH
    small_unit = tl.load(job + 1).to(tl.int64)
    gamma = gammas + tl.load(layer + FIRST_UNIT)
    up = tl.load(layer + UP)
    taps = tl.load(layer + UP_T_TAPS)
    row = tl.load(layer + UP_T) + small_unit * taps
    near_taps = tl.load(layer + NEAR_TAPS)
    near_row = tl.load(layer + NEAR) + small_unit * near_taps
    near = tl.arange(0, BLOCK_NEAR)
    place = near_row + near
    filled = near < near_taps
    real = filled & (tl.load(coefficient + place, mask=filled, other=0.0) != 0.0)
    beside = tl.load(index + place, mask=real, other=-1)
    tap = tl.arange(0, BLOCK_TAPS)
    total = tl.zeros([BLOCK_TAPS, BLOCK_NEAR], tl.float32)
    for first in range(0, taps, BLOCK_TAPS):
        inside = first + tap < taps
        unit = tl.load(index + row + first + tap, mask=inside, other=0).to(tl.int64)
        factor = tl.load(coefficient + row + first + tap, mask=inside, other=0.0)
        used = factor != 0.0
        factor *= tl.load(gamma + unit, mask=used, other=0.0)
        for other in tl.static_range(UP_TAPS):
            at = up + unit * UP_TAPS + other
            target = tl.load(index + at, mask=used, other=-2)
            share = factor * tl.load(coefficient + at, mask=used, other=0.0)
            total += tl.where(target[:, None] == beside[None, :], share[:, None], 0.0)
    own = overlaps + tl.load(layer + FIRST_OVERLAP) + small_unit * near_taps
    tl.store(own + near, tl.sum(total, 0), mask=filled)


@triton.jit
def collect(
    sample,
    pointers,
    layers,
    work,
    index,
    coefficient,
    small,
    alphas,
    overlaps,
    small_slope,
    TRANSPOSED: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK_TAPS: tl.constexpr,
    BLOCK_NEAR: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """Uᵀ(α C + γ C'), one small unit and one block of its incoming weights per program."""
    job = work + 3 * tl.program_id(0).to(tl.int64)
    which = tl.load(job)
    unit = tl.load(job + 1).to(tl.int64)
    incoming = tl.load(job + 2) * BLOCK_IN + tl.arange(0, BLOCK_IN).to(tl.int64)
    layer = layers + which * WIDTH
    inside = incoming < size_of(layer, INCOMING, ALIGNED and not TRANSPOSED)
    taps = tl.load(layer + UP_T_TAPS)
    row = tl.load(layer + UP_T) + unit * taps
    value = combine(
        weights_of(sample, pointers, which, ALIGNED),
        line_of(layer, UNITS, TRANSPOSED, ALIGNED),
        index + row,
        coefficient + row,
        alphas + tl.load(layer + FIRST_UNIT),
        taps,
        incoming,
        inside,
        True,
        TRANSPOSED,
        BLOCK_TAPS,
        BLOCK_IN,
    )
    across = line_of(layer, SMALL, TRANSPOSED, ALIGNED and not TRANSPOSED)
    near_taps = tl.load(layer + NEAR_TAPS)
    value += combine(
        part_of(small, layer, FIRST_SMALL),
        across,
        index + tl.load(layer + NEAR) + unit * near_taps,
        overlaps + tl.load(layer + FIRST_OVERLAP) + unit * near_taps,
        alphas,
        near_taps,
        incoming,
        inside,
        False,
        TRANSPOSED,
        BLOCK_NEAR,
        BLOCK_IN,
    )
    own = part_of(small_slope, layer, FIRST_SMALL)
    tl.store(cells_of(own, unit, incoming, across, TRANSPOSED), value, mask=inside)


@triton.jit
def write(
    sample,
    pointers,
    layers,
    work,
    index,
    coefficient,
    grads,
    small,
    small_slope,
    alphas,
    betas,
    slope,
    UP_TAPS: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """−grad · (β C + α C' + Dᵀ small_slope), a block of units and incoming weights per program."""
    job = work + 3 * tl.program_id(0).to(tl.int64)
    which = tl.load(job)
    layer = layers + which * WIDTH
    unit = tl.load(job + 1) * BLOCK_UNITS + tl.arange(0, BLOCK_UNITS).to(tl.int64)
    incoming = tl.load(job + 2) * BLOCK_IN + tl.arange(0, BLOCK_IN).to(tl.int64)
    known = unit < size_of(layer, UNITS, ALIGNED and TRANSPOSED)
    inside = incoming < size_of(layer, INCOMING, ALIGNED and not TRANSPOSED)
    mask = known[:, None] & inside[None, :]
    at = tl.load(layer + FIRST_UNIT) + unit
    alpha = tl.load(alphas + at, mask=known, other=0.0)
    beta = tl.load(betas + at, mask=known, other=0.0)
    across = line_of(layer, UNITS, TRANSPOSED, ALIGNED)
    weights = weights_of(sample, pointers, which, ALIGNED)
    cells = cells_of(weights, unit[:, None], incoming[None, :], across, TRANSPOSED)
    read = tl.load(cells, mask=mask, other=0.0).to(tl.float32)
    small_across = line_of(layer, SMALL, TRANSPOSED, ALIGNED and not TRANSPOSED)
    row = tl.load(layer + UP)
    smooth = brought_back(
        part_of(small, layer, FIRST_SMALL),
        small_across,
        index + row,
        coefficient + row,
        unit,
        incoming,
        known,
        inside,
        UP_TAPS,
        TRANSPOSED,
        BLOCK_UNITS,
        BLOCK_IN,
    )
    value = beta[:, None] * read + alpha[:, None] * smooth
    source = part_of(small_slope, layer, FIRST_SMALL)
    taps = tl.load(layer + DOWN_T_TAPS)
    back = tl.load(layer + DOWN_T) + unit * taps
    for tap in range(0, taps):
        target = tl.load(index + back + tap, mask=known, other=0).to(tl.int64)
        factor = tl.load(coefficient + back + tap, mask=known, other=0.0)
        back_cells = cells_of(source, target[:, None], incoming[None, :], small_across, TRANSPOSED)
        used = (factor != 0.0)[:, None] & inside[None, :]
        value += factor[:, None] * tl.load(back_cells, mask=used, other=0.0)
    value *= -tl.load(grads + which)
    own = part_of(slope, layer, FIRST_SLOPE)
    cells = cells_of(own, unit[:, None], incoming[None, :], across, TRANSPOSED)
    tl.store(cells, value.to(slope.dtype.element_ty), mask=mask)
