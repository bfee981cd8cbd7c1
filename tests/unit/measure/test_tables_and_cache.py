"""The two tables of a model, and the results kept between attempts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toporepro.measure import cache
from toporepro.measure.result import Result, Row, UnitValues, per_layer
from toporepro.measure.tables import COLUMNS, Measured, write_rows, write_units
from toporepro.spec import MeasureSpec

SPEC = MeasureSpec(preset="p", family="f", tau="0.5", seed=3, threads=1, measures={})
RESULT = Result(
    rows=(*per_layer("m", "test", {"a": 0.1, "b": 1 / 3}), Row("", "", "n", float("nan"), 0.8)),
    units=(
        UnitValues("a", "map", np.arange(6.0)),
        UnitValues("a", "angles", np.arange(12.0).reshape(6, 2) / 7, (0, 45)),
        UnitValues("b", "curve", np.array([1.0, np.nan, 2.0]), per_unit=False),
    ),
)
FOUND = [Measured(7, {"a": (2, 3), "b": (1, 5)}, RESULT)]


def test_rows_are_tidy(tmp_path: Path) -> None:
    write_rows(tmp_path / "m.csv", SPEC, FOUND)
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines == [
        ",".join(COLUMNS),
        "p,f,0.5,3,7,a,0,test,m,0.1",
        "p,f,0.5,3,7,b,0,test,m,0.333333333",
        "p,f,0.5,3,7,mean,0,test,m,0.216666667",
        "p,f,0.5,3,7,,0.8,,n,nan",
    ]


def test_the_mean_over_layers_is_undefined_if_one_layers_value_is() -> None:
    assert np.isnan(per_layer("m", "test", {"a": 1.0, "b": float("nan")})[-1].value)


def test_unit_rows_know_their_place_on_the_sheet(tmp_path: Path) -> None:
    write_units(tmp_path / "u.parquet", SPEC, FOUND)
    table = pd.read_parquet(tmp_path / "u.parquet")
    assert list(table.columns) == [
        *("family", "tau", "seed", "step", "layer", "unit", "row", "col"),
        *("quantity", "index", "value"),
    ]
    assert (table.family == "f").all()
    assert (table.tau == "0.5").all()
    assert (table.seed == 3).all()
    assert (table.step == 7).all()
    assert table.value.dtype == np.float32
    plain = table[table.quantity == "map"]
    assert (plain.unit == plain.row * 3 + plain.col).all()
    assert plain.row.max() == 1
    assert plain.value.tolist() == [0, 1, 2, 3, 4, 5]
    angles = table[(table.quantity == "angles") & (table["index"] == 45)].set_index("unit")
    np.testing.assert_allclose(angles.value, np.arange(1, 12, 2) / 7, rtol=1e-6)
    curve = table[table.quantity == "curve"]
    assert (curve[["unit", "row", "col"]] == -1).all(axis=None)
    assert curve["index"].tolist() == [0, 1, 2]


def test_without_units_the_table_is_empty_and_readable(tmp_path: Path) -> None:
    write_units(tmp_path / "u.parquet", SPEC, [Measured(0, {}, Result())])
    table = pd.read_parquet(tmp_path / "u.parquet")
    assert len(table) == 0
    assert "quantity" in table.columns


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_units(tmp_path / f"{name}.parquet", SPEC, FOUND)
        write_rows(tmp_path / f"{name}.csv", SPEC, FOUND)
    for kind in ("parquet", "csv"):
        first, second = ((tmp_path / f"{n}.{kind}").read_bytes() for n in ("one", "two"))
        assert first == second


def test_a_kept_result_comes_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "state" / "m.result"
    cache.store(path, "key", cache.Entry(RESULT, "attempt", 1.5, 0.25))
    entry = cache.load(path, "key")
    assert entry is not None
    assert (entry.attempt, entry.seconds, entry.energy_kwh) == ("attempt", 1.5, 0.25)
    assert repr(entry.result.rows) == repr(RESULT.rows)
    for found, expected in zip(entry.result.units, RESULT.units, strict=True):
        np.testing.assert_array_equal(found.values, expected.values)
        assert (found.layer, found.quantity, found.indices, found.per_unit) == (
            *(expected.layer, expected.quantity),
            *(expected.indices, expected.per_unit),
        )


def test_another_key_or_no_file_is_no_result(tmp_path: Path) -> None:
    assert cache.load(tmp_path / "m.result", "key") is None
    cache.store(tmp_path / "m.result", "key", cache.Entry(RESULT, "attempt", 1.5))
    assert cache.load(tmp_path / "m.result", "other") is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damage_is_noticed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.result"
    cache.store(path, "key", cache.Entry(RESULT, "attempt", 1.5))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-9], "flip": content, "empty": b""}[damage])
    with pytest.raises(ValueError, match="checksum"):
        cache.load(path, "key")
