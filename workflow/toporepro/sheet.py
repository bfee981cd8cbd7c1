"""Arithmetic of cortical sheets: how units are laid out, and which factors suit a sheet.

Alone on its floor, without torch, so that a configuration can be checked before torch is loaded.
"""

import math
from dataclasses import dataclass
from typing import Literal


def sheet_shape(n: int) -> tuple[int, int]:
    """Height and width of the sheet that holds ``n`` units.

    The height is the largest divisor of ``n`` not above √n, so the sheet is as square as ``n``
    allows and never taller than wide: 64 → (8, 8), 512 → (16, 32), 3072 → (48, 64).
    Unit ``i`` lies in row ``i // width`` and column ``i % width``.

    Source: Deb, Deb & Ratan Murty (ICLR 2025), section 3.1; ``find_cortical_sheet_size`` of the
    published package.

    Raises:
        ValueError: ``n`` is not positive.
    """
    if n < 1:
        raise ValueError(f"a cortical sheet needs at least one unit, got {n}")
    height = math.isqrt(n)
    while n % height:
        height -= 1
    return height, n // height


def down_size(h: int, w: int, factor_h: float, factor_w: float | None = None) -> tuple[int, int]:
    """Size of an h×w sheet shrunk by ``factor_h`` and ``factor_w`` (default: the same factor).

    Each axis is ⌊size · (1/φ)⌋, with the reciprocal rounded to double precision first, as
    ``torch.nn.functional.interpolate`` computes it from ``scale_factor=1/φ``. That differs from
    ⌊size/φ⌋ where the reciprocal rounds down: 49 shrunk by 49 gives 0.
    """
    factor_w = factor_h if factor_w is None else factor_w
    return math.floor(h * (1 / factor_h)), math.floor(w * (1 / factor_w))


@dataclass(frozen=True)
class SheetProblem:
    """One reason why a factor does not suit a sheet.

    ``fatal`` problems leave the loss undefined; the others leave it defined, but it pulls all
    units along an axis to one vector (``collapse``) or has only one axis to work on (``one_row``).
    """

    kind: Literal["factor", "one_row", "collapse"]
    fatal: bool
    message: str


def check_sheet(n: int, factor_h: float, factor_w: float | None = None) -> list[SheetProblem]:
    """Everything that speaks against shrinking the sheet of ``n`` units by these factors.

    Pure arithmetic, so that a configuration can be validated before any model is built. An empty
    list means the sheet and the factors suit each other.
    """
    h, w = sheet_shape(n)
    return check_factors(h, w, factor_h, factor_h if factor_w is None else factor_w)


def check_factors(h: int, w: int, factor_h: float, factor_w: float) -> list[SheetProblem]:
    """As :func:`check_sheet`, for a sheet of known height and width."""
    problems = [
        SheetProblem("factor", True, message)
        for axis, size, factor in (("h", h, factor_h), ("w", w, factor_w))
        if (message := _factor_error(axis, size, factor))
    ]
    if problems:
        return problems
    if h == 1:
        problems.append(
            SheetProblem(
                "one_row",
                False,
                f"{w} units have no divisor near their square root, so the sheet is one row of "
                f"{w}: topography can only form along a line; choose a width with more divisors",
            )
        )
    small_h, small_w = down_size(h, w, factor_h, factor_w)
    for axis, size, small, factor in (
        ("h", h, small_h, factor_h),
        ("w", w, small_w, factor_w),
    ):
        if size > 1 and small < 2:
            problems.append(
                SheetProblem(
                    "collapse",
                    False,
                    f"factor_{axis} = {factor:g} shrinks the {size} units along {axis} to one, so "
                    f"all of them are pulled to one vector; allowed without collapse: "
                    f"factor_{axis} ≤ {size / 2:g}",
                )
            )
    return problems


def _factor_error(axis: str, size: int, factor: float) -> str:
    if not (math.isfinite(factor) and factor > 0):
        return f"factor_{axis} = {factor} is not a positive finite number"
    if math.floor(size * (1 / factor)) < 1:
        return (
            f"factor_{axis} = {factor:g} is larger than the sheet, which has {size} units along "
            f"{axis}; allowed: 0 < factor_{axis} ≤ {size}"
        )
    return ""
