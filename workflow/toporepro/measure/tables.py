"""The two tables of one model: rows as CSV, values of units as Parquet, byte by byte repeatable."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
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

    kinds = {
        "family": pa.string(),
        "tau": pa.string(),
        "seed": pa.int32(),
        "step": pa.int64(),
        "layer": pa.string(),
        "unit": pa.int32(),
        "row": pa.int32(),
        "col": pa.int32(),
        "quantity": pa.string(),
        "index": pa.int32(),
        "value": pa.float32(),
    }
    return pa.schema(list(kinds.items()))


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
    return pa.table(list(_columns(content, schema, values.size)), schema=schema)


def _columns(content: dict[str, Any], schema: pa.Schema, rows: int) -> Iterator[pa.Array]:
    import pyarrow as pa

    for field in schema:
        value = content[field.name]
        if isinstance(value, np.ndarray):
            yield pa.array(value.astype(field.type.to_pandas_dtype()), field.type)
        else:
            yield pa.repeat(pa.scalar(value, field.type), rows)
