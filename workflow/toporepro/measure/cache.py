"""Results of single measures, kept while what they depend on stays the same."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toporepro.measure.result import Result, Row, UnitValues
from toporepro.provenance import atomic

_DIGEST = 64


@dataclass(frozen=True)
class Entry:
    """A kept result, the attempt that made it, and what it took: seconds and, if known, energy."""

    result: Result
    attempt: str
    seconds: float
    energy_kwh: float | None = None


def store(path: Path, key: str, entry: Entry) -> None:
    """Write an entry atomically, headed by its checksum."""
    arrays = {f"values{i}": unit.values for i, unit in enumerate(entry.result.units)}
    header = {
        "key": key,
        "attempt": entry.attempt,
        "seconds": entry.seconds,
        "energy_kwh": entry.energy_kwh,
        "rows": entry.result.rows,
        "units": [
            [unit.layer, unit.quantity, unit.indices, unit.per_unit] for unit in entry.result.units
        ],
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)
    body = buffer.getvalue()
    with atomic(path) as temporary:
        temporary.write_bytes(hashlib.sha256(body).hexdigest().encode() + body)


def load(path: Path, key: str) -> Entry | None:
    """The entry, or ``None`` if there is none for this key.

    Raises:
        ValueError: if the file's bytes are not those that were written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, body = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(f"{path}: its checksum is wrong")
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        header = json.loads(str(arrays["header"]))
        if header["key"] != key:
            return None
        units = tuple(
            UnitValues(layer, quantity, arrays[f"values{i}"], indices and tuple(indices), per_unit)
            for i, (layer, quantity, indices, per_unit) in enumerate(header["units"])
        )
    rows = tuple(Row(*row) for row in header["rows"])
    spent = header["energy_kwh"]
    return Entry(Result(rows, units), header["attempt"], header["seconds"], spent)
