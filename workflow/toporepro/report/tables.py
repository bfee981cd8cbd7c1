"""The tidy tables: every model's rows in one file, in one order, checked line by line."""

from __future__ import annotations

import csv
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from toporepro.code import stage_modules
from toporepro.paths import ModelPaths
from toporepro.provenance import atomic, write_manifest
from toporepro.spec import SpecError, canonical_tau

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("preset", "family", "tau", "seed")
MEASURES = (*IDENTITY, "step", "layer", "sparsity", "stimuli", "metric", "value")
HISTORY = (
    "step", "epoch", "lr", "tau", "loss", "topo_loss", "train_accuracy", "test_loss",
    "test_accuracy",
)  # fmt: skip
# The history's own τ follows its schedule, so it stands beside the τ that names the model.
HISTORY_TABLE = (*IDENTITY, *("scheduled_tau" if name == "tau" else name for name in HISTORY))
MISSING = ("what", "why")
# Values of whole layers (of units.parquet, its rows without a unit).
CURVES = (*IDENTITY, "step", "layer", "quantity", "index", "value")
UNITS = (
    *("family", "tau", "seed", "step", "layer"),
    *("unit", "row", "col", "quantity", "index", "value"),
)

Row = tuple[str, ...]


class TableError(ValueError):
    """A row that cannot be right: names the file, the line, and what is wrong."""


def collect(models: Sequence[Path], out: Path, absent: Mapping[str, str] | None = None) -> None:
    """The verb ``toporepro tables``: ``measures``, ``curves``, ``history``, ``missing`` in ``out``.

    The history of a network that was not trained here is empty.

    Args:
        models: the models' folders; their order does not matter.
        out: folder of the tables.
        absent: what the preset cannot have, and why; listed as missing, before measures of whole
            networks that are not defined and sets of images that were not shown in full.

    Raises:
        TableError: on a malformed or a repeated row, and on two folders of the same model.
    """
    started = time.monotonic()
    folders = sorted((ModelPaths(path) for path in models), key=lambda model: str(model.folder))
    measures: list[Row] = []
    curves: list[Row] = []
    history: list[Row] = []
    owners: dict[Row, Path] = {}
    for model in folders:
        rows = _read(model.measures, MEASURES, _measure_problem)
        identity = _identity(rows, model.measures)
        if identity in owners:
            raise TableError(
                f"{model.measures}: the same model as {owners[identity]} ({_spoken(identity)})"
            )
        owners[identity] = model.measures
        measures += [row for _, row in rows]
        curves += _curves(identity, model.units)
        history += [(*identity, *row) for _, row in _read(model.history, HISTORY, _history_problem)]
    _write(out / "measures.csv", MEASURES, sorted(measures, key=_measure_key))
    _write(out / "curves.csv", CURVES, curves)
    _write(out / "history.csv", HISTORY_TABLE, sorted(history, key=_history_key))
    _write(out / "missing.csv", MISSING, _missing(measures, absent or {}))
    made = [path for model in folders for path in (model.measures, model.units, model.history)]
    inputs = [path for path in made if path.exists()]
    write_manifest(
        verb="tables",
        spec={
            "models": [_spoken(identity) for identity in sorted(owners)],
            "absent": dict(absent or {}),
        },
        modules=stage_modules("tables"),
        inputs=inputs,
        outputs=[out / f"{name}.csv" for name in ("measures", "curves", "history", "missing")],
        wall_seconds=time.monotonic() - started,
    )


def read_measures(path: Path) -> pd.DataFrame:
    """The table of measures; τ stays text, and ``tau_value`` is its number."""
    return _frame(path, MEASURES, ("preset", "family", "tau", "layer", "stimuli", "metric"))


def read_curves(path: Path) -> pd.DataFrame:
    """The table of curves; τ stays text, and ``tau_value`` is its number."""
    return _frame(path, CURVES, ("preset", "family", "tau", "layer", "quantity"))


def read_units(paths: Sequence[Path], quantities: Sequence[str]) -> pd.DataFrame:
    """Rows of some ``units.parquet`` that are of single units and of these quantities."""
    import pandas as pd

    chosen = [("quantity", "in", list(quantities)), ("unit", ">=", 0)]
    frames = [pd.read_parquet(path, filters=chosen) for path in paths]
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return pd.DataFrame(columns=list(UNITS))
    joined = pd.concat(frames, ignore_index=True)
    # Parquet may bring categories back, whose order is not ours.
    for name in ("family", "tau", "layer", "quantity"):
        joined[name] = joined[name].astype(str)
    return joined


def read_history(path: Path) -> pd.DataFrame:
    """The table of histories; τ stays text, and ``tau_value`` is its number."""
    return _frame(path, HISTORY_TABLE, ("preset", "family", "tau"))


def read_published(path: Path) -> pd.DataFrame:
    """The paper's plotted points (``config/paper/figures.csv``); τ is "" for competitors."""
    columns = ("figure", "panel", "family", "tau", "sparsity", "metric", "value", "reading_error")
    return _frame(path, columns, ("figure", "panel", "family", "tau", "metric"))


def _frame(path: Path, columns: Sequence[str], text: Iterable[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        # Only numbers may be missing: a layer "" or a family "nan" is text.
        frame = pd.read_csv(
            path,
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in columns if name not in set(text)},
        )
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise TableError(f"{path}: {error}") from None
    if list(frame.columns) != list(columns):
        raise TableError(f"{path}: columns {', '.join(frame.columns)}; {', '.join(columns)} needed")
    frame["tau_value"] = pd.to_numeric(frame["tau"])
    return frame


def _read(path: Path, header: Row, problem: Callable[[Row], str | None]) -> list[tuple[int, Row]]:
    """Rows with their line numbers."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            first = next(reader, None)
            if first is None or tuple(first) != header:
                raise TableError(f"{path}, line 1: the header must be {','.join(header)}")
            rows: list[tuple[int, Row]] = []
            seen: dict[Row, int] = {}
            for fields in reader:
                row, line = tuple(fields), reader.line_num
                wrong = (
                    f"{len(row)} fields, not {len(header)}"
                    if len(row) != len(header)
                    else problem(row)
                )
                if wrong:
                    raise TableError(f"{path}, line {line}: {wrong}")
                key = row[:-1] if header == MEASURES else row[:1]
                if key in seen:
                    raise TableError(f"{path}, line {line}: repeats line {seen[key]}")
                seen[key] = line
                rows.append((line, row))
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableError(f"{path}: not a table: {error}") from None
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None
    if not rows and header == MEASURES:
        raise TableError(f"{path}: no rows")
    return rows


def _measure_problem(row: Row) -> str | None:
    preset, family, tau, seed, step, _, sparsity, _, metric, value = row
    for name, text in (("preset", preset), ("family", family), ("metric", metric)):
        if not text:
            return f"{name} is empty"
    try:
        if canonical_tau(tau) != tau:
            return f"tau={tau!r}: written {canonical_tau(tau)!r} everywhere"
    except SpecError as error:
        return str(error)
    for name, text in (("seed", seed), ("step", step)):
        if not (text.isascii() and text.isdigit()):
            return f"{name}={text!r}: a whole number of at least 0"
    share = _number(sparsity)
    if share is None or not 0 <= share <= 1:
        return f"sparsity={sparsity!r}: a number in [0, 1]"
    number = _number(value)
    if number is None or math.isinf(number):
        return f"value={value!r}: a finite number, or nan where the measure is not defined"
    return None


def _history_problem(row: Row) -> str | None:
    if not (row[0].isascii() and row[0].isdigit()):
        return f"step={row[0]!r}: a whole number of at least 0"
    for name, text in zip(HISTORY[1:], row[1:], strict=True):
        # Accuracies are taken at some steps only, and stand empty at the others.
        if text and _number(text) is None:
            return f"{name}={text!r}: a number, or nothing"
    return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _curves(identity: Row, units: Path) -> list[Row]:
    """Values of whole layers, in the order of the file; none where no unit was measured."""
    if not units.exists():
        return []
    import pyarrow.parquet as pq

    names = CURVES[len(IDENTITY) :]
    found = pq.read_table(units, columns=list(names), filters=[("unit", "==", -1)]).to_pydict()
    return [
        (*identity, *(str(field) for field in fields), f"{value:.9g}")
        for *fields, value in zip(*(found[name] for name in names), strict=True)
    ]


def _identity(rows: Sequence[tuple[int, Row]], path: Path) -> Row:
    first = rows[0][1][: len(IDENTITY)]
    for line, row in rows:
        if row[: len(IDENTITY)] != first:
            raise TableError(f"{path}, line {line}: another model than the lines above")
    return first


def _missing(measures: Iterable[Row], absent: Mapping[str, str]) -> Iterator[Row]:
    yield from absent.items()
    for row in sorted(measures, key=_measure_key):
        _, family, tau, seed, step, layer, _, stimuli, metric, value = row
        network = f"{family} τ={tau} seed={seed}"
        if layer in ("", "mean") and math.isnan(float(value)):
            shown = f" on {stimuli}" if stimuli else ""
            yield f"{metric} of {network}, step {step}{shown}", "not defined for what was shown"
        elif metric in ("images", "windows"):
            yield f"the rest of {stimuli} for {network}", f"{value} {metric} were shown of it"


def _spoken(identity: Row) -> str:
    preset, family, tau, seed = identity
    return f"{preset}/{family} tau={tau} seed={seed}"


def _measure_key(row: Row) -> tuple[object, ...]:
    preset, family, tau, seed, step, layer, sparsity, stimuli, metric, _ = row
    return (
        preset, family, Decimal(tau), int(seed), int(step),
        natural(layer), float(sparsity), stimuli, metric,
    )  # fmt: skip


def _history_key(row: Row) -> tuple[object, ...]:
    return (row[0], row[1], Decimal(row[2]), int(row[3]), int(row[4]))


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """``layer10`` after ``layer2``: runs of digits compare as numbers."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", text)
    return tuple((0, int(number), "") if number else (1, 0, word) for number, word in parts)


def _write(path: Path, header: Row, rows: Iterable[Row]) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
