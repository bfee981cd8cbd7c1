"""What the fused kernels must know about the layers, as tables on their device.

A plan depends on shapes alone and is made once; with the addresses of the weights it is all that
a launch needs, so that a step copies nothing to the device and can be recorded as a CUDA graph.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from toporepro.sheet import down_size

from .stencil import Rows, Stencils, stencils

FIELDS = (
    "units",
    "small",
    "incoming",
    "first_unit",
    "first_small",
    "first_slope",
    "first_overlap",
    "down",
    "down_taps",
    "up",
    "down_transposed",
    "down_transposed_taps",
    "up_transposed",
    "up_transposed_taps",
    "near",
    "near_taps",
)
"""Columns of the table of layers: sizes, where the parts of a layer begin in the buffers that all
layers share, and where its stencils begin in the tables of rows."""

PADDING = 16
"""Parts of shared buffers begin at multiples of so many elements, which allows wide loads."""


class Sheet(NamedTuple):
    """One weight as the kernels see it: ``units`` rows of ``incoming`` numbers on an h×w sheet."""

    h: int
    w: int
    incoming: int
    factor_h: float
    factor_w: float
    interpolation: str

    @property
    def units(self) -> int:
        return self.h * self.w

    @property
    def small(self) -> int:
        h, w = down_size(self.h, self.w, self.factor_h, self.factor_w)
        return h * w

    @property
    def stencils(self) -> Stencils:
        return stencils(self.h, self.w, self.factor_h, self.factor_w, self.interpolation)


@dataclass(frozen=True)
class Blocks:
    """How many units, incoming weights and taps a program handles at once (powers of two)."""

    units: int
    incoming: int
    gathered_incoming: int
    gathered_taps: int

    @classmethod
    def of(cls, transposed: bool) -> "Blocks":
        # The longer side lies along memory: units if the weights are stored transposed.
        return cls(32, 32, 32, 32) if transposed else cls(4, 256, 256, 16)


@dataclass(frozen=True)
class Plan:
    """Tables of some layers on a device; work lists hold (layer, unit or block, block)."""

    layers: Tensor
    index: Tensor
    coefficient: Tensor
    small_work: Tensor
    overlap_work: Tensor
    unit_work: Tensor
    cell_work: Tensor
    blocks: Blocks
    up_taps: int
    down_taps: int
    near_taps: int
    overlaps: int
    elements: "Elements"
    lines_aligned: bool


def starts(sizes: list[int]) -> tuple[list[int], int]:
    """Where parts of these sizes begin in a shared buffer, and the size of the buffer."""
    begins, end = [], 0
    for size in sizes:
        begins.append(end)
        end += -(-size // PADDING) * PADDING
    return begins, end


class Elements(NamedTuple):
    """Sizes of the buffers that all layers share, and where the part of each begins in them."""

    units: int
    small: int
    slope: int
    unit_begins: list[int]
    small_begins: list[int]
    slope_begins: list[int]


def elements(sheets: tuple[Sheet, ...]) -> Elements:
    unit_begins, units = starts([sheet.units for sheet in sheets])
    small_begins, small = starts([sheet.small * sheet.incoming for sheet in sheets])
    slope_begins, slope = starts([sheet.units * sheet.incoming for sheet in sheets])
    return Elements(units, small, slope, unit_begins, small_begins, slope_begins)


def plan(sheets: tuple[Sheet, ...], transposed: bool, device: torch.device) -> Plan:
    """Tables for launches over ``sheets``, in their order."""
    count, all_stencils = elements(sheets), [sheet.stencils for sheet in sheets]
    up_taps = max(stencil.up.width for stencil in all_stencils)
    table = _RowTable()
    columns: dict[str, list[int]] = {
        "units": [sheet.units for sheet in sheets],
        "small": [sheet.small for sheet in sheets],
        "incoming": [sheet.incoming for sheet in sheets],
        "first_unit": count.unit_begins,
        "first_small": count.small_begins,
        "first_slope": count.slope_begins,
        "up": [table.add(stencil.up, up_taps) for stencil in all_stencils],
    }
    for name in ("down", "down_transposed", "up_transposed", "near"):
        rows = [getattr(stencil, name) for stencil in all_stencils]
        columns[name] = [table.add(each, each.width) for each in rows]
        columns[f"{name}_taps"] = [each.width for each in rows]
    columns["first_overlap"], overlaps = starts(
        [sheet.small * taps for sheet, taps in zip(sheets, columns["near_taps"], strict=True)]
    )
    blocks = Blocks.of(transposed)
    layers = torch.tensor([columns[name] for name in FIELDS]).T.contiguous()
    lines = columns["units" if transposed else "incoming"]

    def work(each: Callable[[Sheet], Iterator[tuple[int, int]]]) -> Tensor:
        # The longest rows first: short ones fill the gaps at the end.
        order = sorted(range(len(sheets)), key=lambda i: -sheets[i].incoming)
        jobs = [(i, *job) for i in order for job in each(sheets[i])]
        return torch.tensor(jobs, dtype=torch.int32).to(device)

    def parts(size: int, block: int) -> range:
        return range(-(-size // block))

    return Plan(
        layers=layers.to(device),
        index=torch.cat(table.index).to(device),
        coefficient=torch.cat(table.coefficient).to(device),
        # Neighbours on the sheet one after the other: what they share is still in the cache.
        small_work=work(
            lambda s: (
                (unit, part)
                for part, unit in product(
                    parts(s.incoming, blocks.gathered_incoming), range(s.small)
                )
            )
        ),
        overlap_work=work(lambda s: ((unit, 0) for unit in range(s.small))),
        unit_work=work(lambda s: ((part, 0) for part in parts(s.units, blocks.units))),
        cell_work=work(
            lambda s: product(parts(s.units, blocks.units), parts(s.incoming, blocks.incoming))
        ),
        blocks=blocks,
        up_taps=up_taps,
        down_taps=max(columns["down_taps"]),
        near_taps=max(columns["near_taps"]),
        overlaps=overlaps,
        elements=count,
        lines_aligned=all(line % PADDING == 0 for line in lines),
    )


class _RowTable:
    """Rows of all operators one after the other, those of equal sheets once."""

    def __init__(self) -> None:
        self.index: list[Tensor] = []
        self.coefficient: list[Tensor] = []
        self._end = 0
        self._known: dict[tuple[int, int], int] = {}

    def add(self, rows: Rows, width: int) -> int:
        """Where ``rows``, filled up to ``width``, begin."""
        key = id(rows), width
        if key not in self._known:
            filling = (0, width - rows.width)
            self.index.append(torch.nn.functional.pad(rows.index, filling).flatten())
            self.coefficient.append(torch.nn.functional.pad(rows.coefficient, filling).flatten())
            self._known[key] = self._end
            self._end += rows.index.shape[0] * width
        return self._known[key]
