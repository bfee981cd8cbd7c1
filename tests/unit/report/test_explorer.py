"""The explorer up to its script: values unpacked again, sizes kept to, words for readers."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toporepro.measure.result import Result, UnitValues
from toporepro.measure.tables import Measured, write_units
from toporepro.plugins import find, names
from toporepro.report.explorer import PALETTES, palettes, quantities
from toporepro.report.packing import EXACT, SHORT, pack, unpack
from toporepro.report.pieces import MANY, Piece, fitting, pieces
from toporepro.report.showing import picture
from toporepro.spec import MeasureSpec

FLOATS = arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32, allow_nan=True))


@given(values=FLOATS)
def test_exact_values_come_back_bit_by_bit(values: np.ndarray) -> None:
    assert unpack(pack(values)).tobytes() == values.tobytes()


@given(values=FLOATS)
def test_short_values_are_the_nearest_of_16_bits(values: np.ndarray) -> None:
    found = unpack(pack(values, SHORT), SHORT)
    finite = np.isfinite(values) & (np.abs(values) < 1e38) & (np.abs(values) > 1e-30)
    np.testing.assert_allclose(found[finite], values[finite], rtol=2**-16)
    assert (found.view(np.uint32) & 0xFF == 0).all()
    special = ~np.isfinite(values)
    np.testing.assert_array_equal(np.isnan(found[special]), np.isnan(values[special]))


def test_the_format_is_planes_of_big_endian_bytes() -> None:
    values = [1.5, -2.25, 3e-5]
    planes = zlib.decompress(base64.b64decode(pack(np.array(values))))
    words = [bytes(planes[3 * plane + i] for plane in range(4)) for i in range(3)]
    assert [struct.unpack(">f", word)[0] for word in words] == np.float32(values).tolist()
    with pytest.raises(ValueError, match="kept=2"):
        pack(np.zeros(1), 2)


def units_file(path: Path) -> Path:
    generator = np.random.default_rng(0)
    sheets = {"a": (2, 3), "b": (2, 2)}
    spec = MeasureSpec(preset="p", family="f", tau="1", seed=0, threads=1, measures={})

    def found(step: int, *units: UnitValues) -> Measured:
        return Measured(step, sheets, Result(units=units))

    write_units(
        path,
        spec,
        [
            found(0, UnitValues("a", "x", generator.normal(size=6))),
            found(
                9,
                UnitValues("a", "x", generator.normal(size=6)),
                UnitValues("b", "x", generator.normal(size=4)),
                UnitValues("a", "film", generator.normal(size=(6, MANY + 1)), tuple(range(5, 38))),
                UnitValues("b", "curve", generator.normal(size=7), per_unit=False),
            ),
        ],
    )
    return path


def test_pieces_hold_the_file_s_values(tmp_path: Path) -> None:
    path = units_file(tmp_path / "units.parquet")
    found, sheets = pieces(3, 1, path)
    assert sheets == {"a": (2, 3), "b": (2, 2)}
    assert [(p.quantity, p.trained, p.kept, len(p.index)) for p in found] == [
        ("x", False, EXACT, 1),
        ("x", True, EXACT, 1),
        ("film", True, SHORT, 33),
    ]
    table = pd.read_parquet(path)
    for piece in found:
        assert (piece.model, piece.rank) == (3, 1)
        values, at = piece.values(), 0
        for layer, step, units in piece.parts:
            rows = table[
                (table.quantity == piece.quantity) & (table.layer == layer) & (table.step == step)
            ]
            assert len(rows) == units * len(piece.index)
            here = values[at : at + len(rows)]
            np.testing.assert_allclose(here, rows.value, rtol=2**-16 if piece.kept == SHORT else 0)
            assert list(piece.index) == rows["index"].unique().tolist()
            at += len(rows)
        assert at == len(values)


def test_a_map_that_lacks_units_is_refused(tmp_path: Path) -> None:
    path = units_file(tmp_path / "units.parquet")
    table = pd.read_parquet(path)
    table[~((table.layer == "b") & (table.unit == 1))].to_parquet(path)
    with pytest.raises(ValueError, match=r"units\.parquet: x of b at step 9: units are missing"):
        pieces(0, 0, path)


def test_a_network_without_maps_has_no_pieces(tmp_path: Path) -> None:
    spec = MeasureSpec(preset="p", family="f", tau="1", seed=0, threads=1, measures={})
    write_units(tmp_path / "units.parquet", spec, [])
    assert pieces(0, 0, tmp_path / "units.parquet") == ([], {})


def piece(size: int, *, trained: bool = True, rank: int = 0, index: int = 1) -> Piece:
    return Piece(
        model=0, rank=rank, quantity="x", trained=trained, parts=(("a", 1, 1),),
        index=tuple(range(index)), text="t" * size, kept=EXACT,
    )  # fmt: skip


@given(
    made=st.lists(
        st.builds(
            piece, st.integers(1, 50), trained=st.booleans(), rank=st.integers(0, 2),
            index=st.sampled_from([1, MANY + 1]),
        )
    ),
    room=st.integers(-5, 400),
)  # fmt: skip
def test_what_fits_is_kept_and_the_rest_named(made: list[Piece], room: int) -> None:
    kept, left_out = fitting(made, room)
    assert sum(len(one.text) for one in kept) <= max(0, room)
    assert sorted(map(id, kept + left_out)) == sorted(map(id, made))
    for one in left_out:
        # What comes before it would not leave it room.
        before = sum(len(other.text) for other in kept if other.order <= one.order)
        assert before + len(one.text) > room


def test_dense_maps_go_first_then_early_steps_then_later_seeds() -> None:
    dense, early = piece(9, index=MANY + 1), piece(9, trained=False)
    second, first = piece(9, rank=1), piece(9)
    for room, expected in ((9, [first]), (18, [second, first]), (27, [early, second, first])):
        assert fitting([dense, early, second, first], room)[0] == expected


def test_quantities_are_described_by_the_measures_that_make_them() -> None:
    found = quantities(["selectivity_t.big_things", "orientation_t", "a_new_one", "weight"])
    assert list(found) == ["orientation_t", "selectivity_t.big_things", "weight", "a_new_one"]
    selectivity = found["selectivity_t.big_things"]
    assert (selectivity["label"], selectivity["unit"]) == ("Category selectivity", "t")
    assert (selectivity["group"], selectivity["member"]) == ("selectivity_t", "Big things")
    assert found["a_new_one"]["label"] == "A new one"
    assert found["weight"]["index"] == "pixel"
    words = quantities(["word_preferred", "word_t.time", "word_t.food", "weight"])
    assert words["word_preferred"]["members"] == ["Food", "Time"]
    assert words["weight"]["members"] == []


@pytest.mark.parametrize("measure", names("measure"))
def test_what_a_measure_describes_is_well_described(measure: str) -> None:
    for name, quantity in getattr(find("measure", measure), "QUANTITIES", {}).items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert quantity.label
        assert quantity.scale in ("size", "category", *PALETTES)
        assert (quantity.scale == "category") == bool(quantity.members)
        assert not quantity.about or quantity.about.endswith(".")


def test_palettes_are_the_figures_own_and_even_at_their_ends() -> None:
    found = {name: base64.b64decode(text) for name, text in palettes("cividis").items()}
    lengths = dict.fromkeys(("size", "signed", "angle"), 768)
    assert {name: len(colours) for name, colours in found.items()} == {**lengths, "category": 24}
    cyclic = np.frombuffer(found["angle"], np.uint8).reshape(256, 3).astype(int)
    assert np.abs(cyclic[0] - cyclic[-1]).max() <= 2, "0° and 180° look alike"


@pytest.mark.parametrize(("channels", "kind"), [(1, "png"), (3, "jpeg")])
def test_pictures_are_small_and_show_the_image(channels: int, kind: str) -> None:
    import io

    from PIL import Image

    pixels = np.zeros((90, 30, channels), np.uint8)
    pixels[:45] = 200
    uri = picture(pixels)
    assert uri.startswith(f"data:image/{kind};base64,")
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert image.size == (21, 64)
    found: Any = np.asarray(image.convert("L"))
    assert abs(int(found[5, 5]) - 200) < 4
    assert found[60, 5] < 4


def test_json_cannot_end_its_element() -> None:
    from toporepro.report.explorer import _json

    text = _json({"a": "</script><b>", "b": [1, None]})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><b>", "b": [1, None]}
