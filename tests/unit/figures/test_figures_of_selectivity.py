"""Maps of selectivity and the layout of sub-classes: what is drawn equals the tables."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from toporepro.figures import selectivity_maps, style, subclass_similarity
from toporepro.figures.inputs import Tables
from toporepro.report.tables import CURVES, MEASURES

LAYERS = ("layer1", "layer2", "layer3", "layer4")


def spec(taus: list[str]) -> dict[str, Any]:
    entry = {
        "label": "Net", "architecture": "resnet18", "dataset": "d", "taus": taus, "seeds": [0],
        "control": "none", "control_of": None,
    }  # fmt: skip
    return {"preset": "demo", "families": {"net": entry}}


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Two τ, four layers of 4×8 units; the value of a unit tells network, contrast and unit."""
    files, rows, curves = [], [], []
    for tau, steps in (("0", (0, 9)), ("5", (9,))):
        frames = []
        for step, layer, number in itertools.product(steps, LAYERS, (0, 1)):
            unit, contrast = np.arange(32), ("faces", "scenes")[number]
            frames.append(
                pd.DataFrame(
                    {
                        "family": "net", "tau": tau, "seed": 0, "step": step, "layer": layer,
                        "unit": unit, "row": unit // 8, "col": unit % 8,
                        "quantity": f"selectivity_t.{contrast}", "index": 0,
                        "value": (unit - 15.0) * (1 + number) * (LAYERS.index(layer) - 1.5),
                    }
                )
            )  # fmt: skip
            metric = f"selectivity_morans_i.{contrast}"
            rows.append(("p", "net", tau, 0, step, layer, 0, "localizer", metric, -0.001))
        for i, j in itertools.combinations(range(6), 2):
            for quantity in ("map", "response"):
                value = 0.1 * i * float(tau) if quantity == "map" else 0.1 * i - 0.01 * j
                row = ("p", "net", tau, 0, 9, "layer1", f"subclass_{quantity}_similarity")
                curves.append((*row, 1000 * i + j, value + 0.001 * j))
        for layer, c in itertools.product(("layer1",), range(6)):
            unit = np.arange(32)
            frames.append(
                pd.DataFrame(
                    {
                        "family": "net", "tau": tau, "seed": 0, "step": 9, "layer": layer,
                        "unit": unit, "row": unit // 8, "col": unit % 8, "quantity": "subclass_t",
                        "index": c, "value": np.cos(unit * (c + 1)),
                    }
                )
            )  # fmt: skip
        for name, classes in (("bodies", (0, 1, 2)), ("faces", (3, 4, 5))):
            row = ("p", "net", tau, 0, 9, "", f"subclass_category.{name}")
            curves += [(*row, c, 1.0) for c in classes]
        files.append(tmp_path / f"{tau}.parquet")
        pd.concat(frames).to_parquet(files[-1], index=False)
    pd.DataFrame(rows, columns=list(MEASURES)).to_csv(tmp_path / "measures.csv", index=False)
    pd.DataFrame(curves, columns=list(CURVES)).to_csv(tmp_path / "curves.csv", index=False)
    quantities = (*selectivity_maps.QUANTITIES, *subclass_similarity.QUANTITIES)
    return Tables(tmp_path, tuple(files), None, quantities)


def texts(picture: Figure) -> list[str]:
    return [item.get_text() for item in picture.findobj(matplotlib.text.Text)]


def test_maps_stand_side_by_side_on_one_scale(tables: Tables) -> None:
    with style.theme(style.Style()):
        picture = selectivity_maps.draw(spec(["0", "5"]), tables)
    images = [image for axes in picture.axes for image in axes.get_images()]
    assert len(images) == 2 * 3  # faces, scenes; untrained, τ = 0, τ = 5
    assert len({image.get_clim() for image in images}) == 1
    low, high = images[0].get_clim()
    assert low == -high
    expected = (np.arange(32) - 15.0).reshape(4, 8) * 0.5  # the third of four layers
    assert np.asarray(images[0].get_array()) == pytest.approx(expected)
    assert np.asarray(images[-1].get_array()) == pytest.approx(2 * expected)
    said = texts(picture)
    assert [t for t in said if t in ("untrained", "τ = 0", "τ = 5")] == [
        "untrained",
        "τ = 0",
        "τ = 5",
    ]
    assert "I = 0.00" in said
    assert "layer layer3, n = 32 units" in selectivity_maps.facts(spec(["0", "5"]), tables)[0]


def test_untrained_networks_of_their_own_family_stand_first(tables: Tables) -> None:
    known = spec(["0", "5"])
    apart = {**known["families"]["net"], "label": "Apart", "control": "untrained", "taus": ["0"]}
    known["families"]["apart"] = {**apart, "control_of": "net"}
    first = [("apart", "0", 0), ("net", "0", 0), ("net", "5", 0)]
    assert selectivity_maps.models(known) == first
    units = tables.units[(tables.units.tau == "0") & (tables.units.step == 0)]
    units.assign(family="apart").to_parquet(tables.folder / "apart.parquet", index=False)
    files = (*tables.unit_files, tables.folder / "apart.parquet")
    with style.theme(style.Style()):
        picture = selectivity_maps.draw(
            known, Tables(tables.folder, files, None, selectivity_maps.QUANTITIES)
        )
    assert picture.axes[0].get_title(loc="left") == "Apart\nuntrained"


def test_points_are_pairs_of_subclasses(tables: Tables) -> None:
    with style.theme(style.Style()):
        picture = subclass_similarity.draw(spec(["0", "5"]), tables)
    drawn = [axes for axes in picture.axes if axes.collections]
    assert len(drawn) == 2
    points = np.concatenate([item.get_offsets() for item in drawn[1].collections])
    expected = [(0.1 * i - 0.009 * j, 0.5 * i + 0.001 * j)
                for i, j in itertools.combinations(range(6), 2)]  # fmt: skip
    assert np.sort(np.asarray(points), axis=0) == pytest.approx(np.sort(expected, axis=0))
    # The layouts of the table are not those of the maps, whose units lie in no order.
    said = [text for text in texts(picture) if text.startswith("r = ")]
    assert len(said) == 2
    assert all("P = " in text for text in said)
    assert subclass_similarity.models(spec(["0", "5"])) == [("net", "0", 0), ("net", "5", 0)]
    assert any(
        "15 pairs of 6" in line for line in subclass_similarity.facts(spec(["0", "5"]), tables)
    )
