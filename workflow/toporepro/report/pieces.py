"""What the explorer shows of one network: its maps, in pieces that can be taken or left out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toporepro.report.packing import EXACT, SHORT, pack, unpack

if TYPE_CHECKING:
    import pyarrow as pa

MANY = 32  # values of a unit; more are rounded and count as dense


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Maps of one quantity of one network: of its training's end, or of the steps before.

    Attributes:
        model: the network's number.
        rank: of its seed among those of its family; the first seed is the last to be left out.
        parts: layer, step and number of units of each map, in the order of the values.
        index: what the values of a unit are called.
        text: the values, packed: part after part, unit after unit.
        kept: bytes kept of each value.
    """

    model: int
    rank: int
    quantity: str
    trained: bool
    parts: tuple[tuple[str, int, int], ...]
    index: tuple[int, ...]
    text: str
    kept: int

    @property
    def order(self) -> tuple[bool, bool, int]:
        """What is left out last comes first."""
        return (len(self.index) > MANY, not self.trained, self.rank)

    def values(self) -> Any:
        """The values, flat, as float32."""
        return unpack(self.text, self.kept)

    def described(self) -> dict[str, Any]:
        """The piece for the page's script, but for the values."""
        return {
            "model": self.model,
            "quantity": self.quantity,
            "parts": [{"layer": a, "step": b, "units": c} for a, b, c in self.parts],
            "index": list(self.index),
            "kept": self.kept,
        }


def pieces(model: int, rank: int, units: Path) -> tuple[list[Piece], dict[str, tuple[int, int]]]:
    """All pieces of a network, and height and width of its layers' sheets.

    Args:
        model, rank: as in :class:`Piece`.
        units: its ``units.parquet``. Rows of whole layers are passed over.

    Raises:
        ValueError: if a map lacks units.
    """
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["step", "layer", "unit", "row", "col", "quantity", "index", "value"]
    table = pq.read_table(units, columns=columns, filters=[("unit", ">=", 0)])
    if not table.num_rows:
        return [], {}
    last = pc.max(table["step"]).as_py()
    sheets: dict[str, tuple[int, int]] = {}
    maps: dict[tuple[str, bool, tuple[int, ...]], list[tuple[str, int, Any]]] = {}
    for quantity, layer, step, rows in _groups(table):
        unit, index = (rows[name].to_numpy() for name in ("unit", "index"))
        called = tuple(dict.fromkeys(index.tolist()))
        values = rows["value"].to_numpy().reshape(-1, len(called))
        if (unit.reshape(values.shape) != np.arange(len(values))[:, None]).any():
            raise ValueError(f"{units}: {quantity} of {layer} at step {step}: units are missing")
        row, column = (int(rows[name].to_numpy().max()) for name in ("row", "col"))
        sheets[layer] = (row + 1, column + 1)
        maps.setdefault((quantity, step == last, called), []).append((layer, step, values))
    found = []
    for (quantity, trained, called), parts in maps.items():
        kept = SHORT if len(called) > MANY else EXACT
        found.append(
            Piece(
                model=model,
                rank=rank,
                quantity=quantity,
                trained=trained,
                parts=tuple((layer, step, len(values)) for layer, step, values in parts),
                index=called,
                text=pack(np.concatenate([values.ravel() for *_, values in parts]), kept),
                kept=kept,
            )
        )
    return found, sheets


def fitting(found: list[Piece], room: int) -> tuple[list[Piece], list[Piece]]:
    """The pieces that fit into so many bytes, and those left out; both in their first order.

    Dense maps are left out before others, then those of steps before the last, then later seeds.
    """
    taken: set[int] = set()
    for place in sorted(range(len(found)), key=lambda place: found[place].order):
        if len(found[place].text) <= room:
            room -= len(found[place].text)
            taken.add(place)
    return (
        [piece for place, piece in enumerate(found) if place in taken],
        [piece for place, piece in enumerate(found) if place not in taken],
    )


def _groups(table: pa.Table) -> Any:
    """Runs of rows of one quantity, layer and step, in the file's order."""
    import numpy as np
    import pyarrow.compute as pc

    # Their codes count in order of first appearance; a measure writes each map in one go.
    names = ("quantity", "layer", "step")
    codes = [
        pc.dictionary_encode(table[name]).combine_chunks().indices.to_numpy() for name in names
    ]
    change = np.flatnonzero(np.any([np.diff(code) != 0 for code in codes], axis=0)) + 1
    bounds = [0, *change.tolist(), table.num_rows]
    for start, stop in itertools.pairwise(bounds):
        rows = table.slice(start, stop - start)
        quantity, layer, step = (rows[name][0].as_py() for name in names)
        yield quantity, layer, step, rows
