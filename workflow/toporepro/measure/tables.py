"""The two tables of one model: rows as CSV, values of units as Parquet, byte by byte repeatable."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toporepro.measure.result import Result, UnitValues
from toporepro.provenance import atomic, write_text
from toporepro.spec import MeasureSpec

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "preset",
    "family",
    "tau",
    "seed",
    "step",
    "layer",
    "sparsity",
    "stimuli",
    "metric",
    "value",
)
# Columns of units.parquet, by their type in numpy; None is text.
_KINDS: dict[str, np.dtype[Any] | None] = {
    "family": None,
    "tau": None,
    "seed": np.dtype(np.int32),
    "step": np.dtype(np.int64),
    "layer": None,
    "unit": np.dtype(np.int32),
    "row": np.dtype(np.int32),
    "col": np.dtype(np.int32),
    "quantity": None,
    "index": np.dtype(np.int32),
    "value": np.dtype(np.float32),
}


class Measured(NamedTuple):
    """What was found in a checkpoint: its step, and the layers' sheets as (height, width)."""

    step: int
    sheets: dict[str, tuple[int, int]]
    result: Result


def write_rows(path: Path, spec: MeasureSpec, found: Iterable[Measured]) -> None:
    """``measures.csv``: one line per value, nine significant digits, in the order of ``found``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for step, _, result in found:
        head = (spec.preset, spec.family, spec.tau, spec.seed, step)
        for row in result.rows:
            tail = (row.layer, f"{row.sparsity:g}", row.stimuli, row.metric, f"{row.value:.9g}")
            writer.writerow((*head, *tail))
    write_text(path, text.getvalue())


def units_schema() -> pa.Schema:
    """Columns of ``units.parquet``; a curve of a whole layer has unit, row and column −1."""
    import pyarrow as pa

    return pa.schema(
        [
            (name, pa.from_numpy_dtype(kind) if kind else pa.string())
            for name, kind in _KINDS.items()
        ]
    )


def write_units(path: Path, spec: MeasureSpec, found: Iterable[Measured]) -> None:
    """``units.parquet``: one row per unit and index; without any, an empty table of its columns."""
    import pyarrow.parquet as pq

    schema = units_schema()
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        for step, sheets, result in found:
            for values in result.units:
                file.write_table(_unit_table(spec, step, sheets, values, schema))


def _unit_table(
    spec: MeasureSpec,
    step: int,
    sheets: dict[str, tuple[int, int]],
    found: UnitValues,
    schema: pa.Schema,
) -> pa.Table:
    import pyarrow as pa

    if found.per_unit:
        values = found.values.reshape(len(found.values), -1)
        unit = np.arange(len(values))
        row, column = np.divmod(unit, sheets[found.layer][1])
    else:
        values = found.values.reshape(1, -1)
        unit = row = column = np.array([-1])
    repeats = values.shape[1]
    index = np.arange(repeats) if found.indices is None else np.array(found.indices)
    content: dict[str, Any] = {
        "family": spec.family,
        "tau": spec.tau,
        "seed": spec.seed,
        "step": step,
        "layer": found.layer,
        "unit": np.repeat(unit, repeats),
        "row": np.repeat(row, repeats),
        "col": np.repeat(column, repeats),
        "quantity": found.quantity,
        "index": np.tile(index, len(values)),
        "value": values.ravel(),
    }
    columns = [_column(content[name], kind, values.size) for name, kind in _KINDS.items()]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(value: Any, kind: np.dtype[Any] | None, rows: int) -> pa.Array:
    """A column from its buffers: other ways of making one import pandas, which takes a second."""
    import pyarrow as pa

    if kind is None:
        text = str(value).encode()
        offsets = np.arange(rows + 1, dtype=np.int32) * len(text)
        return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text * rows))
    raw = np.ascontiguousarray(np.broadcast_to(value, (rows,)), kind)
    return pa.Array.from_buffers(pa.from_numpy_dtype(kind), rows, [None, pa.py_buffer(raw)])
