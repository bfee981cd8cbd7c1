"""Figures: what is drawn equals the tables, the bytes repeat, and gaps are said, not raised."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic
from matplotlib.figure import Figure
from PIL import Image

from toporepro.figures import inputs, style, weight_sheets
from toporepro.figures.inputs import Tables
from toporepro.figures.run import figure, needs
from toporepro.plugins import find, names
from toporepro.report import tables
from toporepro.spec import SpecError

PUBLISHED = Path(__file__).parents[3] / "config/paper/figures.csv"
MAPS = ("orientation_maps", "orientation_film")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("figures")
    folders = synthetic.write(root, synthetic.demo_families(), units=True)
    tables.collect(folders, root / "tables")
    return root


def spec_of(name: str, **more: Any) -> dict[str, Any]:
    families = synthetic.demo_families()
    if name in MAPS:
        families = {"mlp": families["mlp"]}
    return {"preset": "demo", "families": families, "style": {"dpi": 60}, **more}


def units_of(root: Path, name: str, spec: dict[str, Any]) -> list[Path]:
    models = needs(name, spec).models
    return [root / f"models/{f}/tau={t}/seed={s}/units.parquet" for f, t, s in models]


def drawn(root: Path, name: str, spec: dict[str, Any] | None = None) -> Figure:
    spec = spec or spec_of(name)
    module = find("figures", name)
    units = tuple(units_of(root, name, spec))
    data = Tables(root / "tables", units, PUBLISHED, getattr(module, "QUANTITIES", ()))
    with style.theme(style.style_of(spec)):
        picture: Figure = module.draw(spec, data)
    return picture


def points(axes: Any) -> np.ndarray:
    found = [np.asarray(item.get_offsets()) for item in axes.collections]
    return np.concatenate([each for each in found if len(each)])


def texts(picture: Figure) -> str:
    picture.draw_without_rendering()
    return " ".join(
        " ".join(item.get_text().split()) for item in picture.findobj(matplotlib.text.Text)
    )


# Every figure


@pytest.mark.parametrize("name", names("figures"))
def test_the_same_tables_give_the_same_bytes(
    demo: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toporepro.figures.orientation_film.STEP", 20)  # few frames: time
    spec = spec_of(name)
    units = units_of(demo, name, spec)
    for folder in ("one", "two"):
        figure(name, spec, demo / "tables", units, tmp_path / folder / name, PUBLISHED)
    made = sorted(path.name for path in (tmp_path / "one").iterdir())
    expected = [f"{name}.{suffix}" for suffix in (*needs(name, spec).suffixes, "manifest.json")]
    assert made == sorted(expected)
    for file in made:
        if not file.endswith("manifest.json"):
            first, second = ((tmp_path / folder / file).read_bytes() for folder in ("one", "two"))
            assert first == second, file
    svg = (tmp_path / "one" / f"{name}.svg").read_text()
    assert "<dc:date>" not in svg
    assert "http://www.w3.org" in svg
    assert 'href="http' not in svg
    note = json.loads((tmp_path / "one" / f"{name}.json").read_text())
    assert note["name"] == name
    assert note["facts"]
    manifest = json.loads((tmp_path / "one" / f"{name}.manifest.json").read_text())
    assert f"toporepro.figures.{name}" in manifest["modules"]


@pytest.mark.parametrize("name", names("figures"))
def test_missing_data_are_said(demo: Path, tmp_path: Path, name: str) -> None:
    families = {"other": synthetic.family("Other", "mlp", "digits", ["0", "3"])}
    spec = {"preset": "demo", "families": families}
    figure(name, spec, demo / "tables", [], tmp_path / name)
    module = find("figures", name)
    with style.theme(style.Style()):
        said = texts(module.draw(spec, Tables(demo / "tables", (), None, ("weight",))))
    assert "(rule " in said


@pytest.mark.parametrize("name", names("figures"))
def test_only_controls_or_nothing_at_all(demo: Path, tmp_path: Path, name: str) -> None:
    figure(name, {"preset": "demo", "families": {}}, demo / "tables", [], tmp_path / name)
    assert (tmp_path / f"{name}.png").stat().st_size > 0


def test_the_paper_s_order_is_strict() -> None:
    orders = [find("figures", name).ORDER for name in names("figures")]
    assert len(set(orders)) == len(orders)


def test_needs_loads_no_drawing_library() -> None:
    code = (
        "from toporepro.figures.run import needs; from toporepro.plugins import names; import sys\n"
        "spec = {'families': {'mlp': dict(label='M', architecture='mlp', dataset='digits',"
        " taus=['0', '3', '10'], seeds=[1, 0])}}\n"
        "for name in names('figures'): print(name, needs(name, spec).models)\n"
        "heavy = {'matplotlib', 'seaborn', 'pandas', 'scipy', 'torch'}\n"
        "assert not heavy & {name.split('.')[0] for name in sys.modules}"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "orientation_maps (('mlp', '0', 0), ('mlp', '3', 0), ('mlp', '10', 0))" in answer
    assert "weight_sheets (('mlp', '0', 0), ('mlp', '10', 0))" in answer
    assert "training_curves ()" in answer


def test_an_unknown_figure_or_style() -> None:
    with pytest.raises(SpecError, match="orientation_maps"):
        needs("orientation_map", {"families": {}})
    with pytest.raises(SpecError, match="did you mean font_scale"):
        style.style_of({"style": {"fontscale": 1}})
    with pytest.raises(SpecError, match="colour map"):
        style.style_of({"style": {"palette": "virdis"}})


# Looks


def test_a_tau_has_its_colour_everywhere_and_in_order() -> None:
    look = style.Style()
    taus = ["0.05", "0.2", "0.5", "1", "3", "5", "10", "20", "30", "50"]
    colours = [style.tau_colour(tau, look) for tau in taus]
    lightness = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in colours]
    assert lightness == sorted(lightness)  # a sequential palette: readable without hue
    assert max(lightness) < 0.85
    assert style.tau_colour("0", look) == style.BASELINE
    key = style.tau_key(["10", "0", "3", "10"], look)
    assert [item.get_label() for item in key] == ["τ = 0", "3", "10"]


def test_the_theme_leaves_no_trace() -> None:
    before = dict(matplotlib.rcParams)
    with style.theme(style.Style(font_scale=2.0)):
        assert dict(matplotlib.rcParams) != before
    assert dict(matplotlib.rcParams) == before


# What is drawn


def test_performance_points_equal_the_tables(demo: Path) -> None:
    axes = drawn(demo, "performance_vs_smoothness").axes
    assert [panel.get_title(loc="left") for panel in axes] == [
        "Published (ImageNet)", "Ours: MLP (digits)", "Ours: ResNet-18 (world A)",
    ]  # fmt: skip
    published = tables.read_published(PUBLISHED)
    rows = published[(published.figure == "performance") & (published.panel == "vision")]
    smooth = rows[rows.metric == "smoothness"].value.tolist()
    assert sorted(points(axes[0])[:, 0]) == pytest.approx(sorted(smooth))
    measures = tables.read_measures(demo / "tables/measures.csv")
    mine = measures[(measures.family == "mlp") & (measures.step == 200)]
    accuracy = mine[(mine.metric == "accuracy") & (mine.stimuli == "test")].value
    means = (
        100
        * mine[(mine.metric == "accuracy") & (mine.stimuli == "test")].groupby("tau").value.mean()
    )
    assert sorted(points(axes[1])[:, 1]) == pytest.approx(sorted([*(100 * accuracy), *means]))


def test_demo_accuracies_are_never_on_the_imagenet_axis(demo: Path) -> None:
    for name in ("performance_vs_smoothness", "dimensionality"):
        for panel in drawn(demo, name).axes:
            labels = f"{panel.get_xlabel()} {panel.get_ylabel()}"
            assert ("Published" in panel.get_title(loc="left")) != ("ours" in labels) or (
                "Test accuracy" in labels
            )
            if "ImageNet" in labels:
                assert panel.get_title(loc="left").startswith("Published")


def test_competitors_are_grey_and_named(demo: Path) -> None:
    panel = drawn(demo, "performance_vs_smoothness").axes[0]
    grey = [item for item in panel.collections if tuple(item.get_facecolor()[0][:3]) == style.GREY]
    assert [tuple(np.round(item.get_offsets()[0], 4)) for item in grey] == [
        (0.7931, 53.0), (0.8161, 43.9),
    ]  # fmt: skip
    assert {item.get_text() for item in panel.texts} == {"LLCNN-G", "TDANN"}


def test_noise_does_not_fill_the_accuracy_axis(tmp_path: Path) -> None:
    def alike(name: str, entry: Any, tau: str, seed: int, step: int) -> dict[str, float]:
        values = synthetic.values(name, entry, tau, seed, step)
        return {**values, "accuracy": 0.7 + 0.001 * float(tau)}

    families = {"mlp": synthetic.family("MLP", "mlp", "digits", ["0", "1", "3"])}
    folders = synthetic.write(tmp_path, families, value_of=alike)
    tables.collect(folders, tmp_path / "tables")
    spec = {"preset": "demo", "families": families}
    panel = drawn(tmp_path, "performance_vs_smoothness", spec).axes[1]
    low, high = panel.get_ylim()
    assert high - low == pytest.approx(10)
    assert low < 70 < high


def test_calibrated_smoothness_loses_its_warning(demo: Path) -> None:
    name = "performance_vs_smoothness"
    assert "not calibrated" in texts(drawn(demo, name))
    assert "not calibrated" not in texts(drawn(demo, name, spec_of(name, calibrated=True)))


def test_printed_correlations_stand_over_the_published_panels(demo: Path) -> None:
    titles = [panel.get_title(loc="left") for panel in drawn(demo, "dimensionality").axes]
    assert "R = 0.63, P = 0.067, n = 9" in titles[0]
    assert "R = −0.85, P = 0.0034, n = 9" in titles[1]
    assert "n = 4" in titles[2]


def test_without_accuracy_dimensionality_still_stands_over_smoothness(tmp_path: Path) -> None:
    families = {"mlp": synthetic.family("MLP", "mlp", "digits", ["0", "1", "3"])}
    folders = synthetic.write(tmp_path, families)
    for path in (folder / "measures.csv" for folder in folders):
        lines = [line for line in path.read_text().splitlines() if ",accuracy," not in line]
        path.write_text("\n".join(lines) + "\n")
    tables.collect(folders, tmp_path / "tables", {"accuracy": "never measured"})
    spec = {"preset": "demo", "families": families, "absent": {"accuracy": "never measured"}}
    panels = drawn(tmp_path, "dimensionality", spec).axes
    assert "no accuracy and effective_dimensionality of mlp" in texts(panels[1].figure)
    assert len(points(panels[3])) >= 3
    figure("dimensionality", spec, tmp_path / "tables", (), tmp_path / "d", PUBLISHED)
    facts = json.loads((tmp_path / "d.json").read_text())["facts"]
    assert "Not to be had: accuracy (never measured)." in facts


def test_smoothness_has_tau_in_numerical_order_and_all_controls(demo: Path) -> None:
    panel, *others = drawn(demo, "smoothness_vs_tau").axes
    assert {axes.get_ylim() for axes in others} == {panel.get_ylim()}
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "0.5", "1", "3", "10"]
    # 10 untrained, 10 trained, one of either control
    assert len(points(panel)) == 22


def test_curves_end_where_training_does(demo: Path) -> None:
    axes = drawn(demo, "training_curves").axes
    assert len(axes) == 6
    assert len(axes[0].lines) == 10
    assert axes[2].lines[0].get_ydata()[-1] == pytest.approx(80)
    assert all(len(line.get_xdata()) <= 120 for panel in axes for line in panel.lines)


def test_orientation_maps_share_a_symmetric_scale(demo: Path) -> None:
    axes = [panel for panel in drawn(demo, "orientation_maps").axes if panel.images]
    assert len(axes) == 20
    limits = {panel.images[0].get_clim() for panel in axes}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high
    units = pd.read_parquet(demo / "models/mlp/tau=3/seed=0/units.parquet")
    here = units[(units.quantity == "orientation_t") & (units["index"] == 45)]
    expected = here.sort_values(["row", "col"]).value.to_numpy().reshape(16, 16)
    shown = axes[1 * 5 + 3].images[0].get_array()  # second angle, fourth τ
    np.testing.assert_allclose(shown, expected)


def test_the_film_turns_the_stimulus(demo: Path) -> None:
    name = "orientation_film"
    module, spec = find("figures", name), spec_of(name)
    data = Tables(demo / "tables", tuple(units_of(demo, name, spec)), None, module.QUANTITIES)
    with style.theme(style.Style()):
        frames, milliseconds = module.film(spec, data)
    assert 20 <= milliseconds <= 200
    assert len({frame.size for frame in frames}) == 1
    assert len(frames) == 45
    differ = [(np.asarray(a) != np.asarray(b)).mean() for a, b in itertools.pairwise(frames[:10])]
    assert min(differ) > 0.001
    # Nothing but maps, stimulus and its angle moves: the colour bar stays.
    height = frames[0].size[1]
    bars = [np.asarray(frame)[int(0.75 * height) :] for frame in (frames[0], frames[20])]
    assert np.array_equal(*bars)


def test_the_gif_plays_for_ever(demo: Path, tmp_path: Path) -> None:
    name = "orientation_film"
    spec = spec_of(name)
    figure(name, spec, demo / "tables", units_of(demo, name, spec), tmp_path / name)
    with Image.open(tmp_path / f"{name}.gif") as film:
        assert film.info["loop"] == 0
        assert film.n_frames > 40
        assert film.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        ("transformer.h.11.mlp.c_fc", "… h.11.mlp.c_fc"),
        ("transformer.h.1.mlp.c_fc", "… h.1.mlp.c_fc"),
        ("layer4.1.conv2", "layer4.1.conv2"),
        ("encoder.layers.encoder_layer_11.mlp.0", "… encoder_layer_11.mlp.0"),
        ("a" * 40, "a" * 40),
    ],
)
def test_long_names_of_layers_are_cut_at_their_parts(layer: str, shown: str) -> None:
    assert weight_sheets.short(layer) == shown


def test_tiles_lie_where_their_units_do() -> None:
    rows = pd.DataFrame(
        [
            {"row": r, "col": c, "index": i, "value": 100 * r + 10 * c + i}
            for r, c, i in itertools.product(range(2), range(3), range(4))
        ]
    )
    tiles = weight_sheets.mosaic(rows.sample(frac=1, random_state=0))
    assert tiles.shape == (5, 8)
    np.testing.assert_array_equal(tiles[3:5, 6:8], [[120, 121], [122, 123]])
    assert np.isnan(tiles[2]).all()
    assert np.isnan(tiles[:, 2]).all()


def test_tiles_average_the_channels_of_an_image() -> None:
    rows = pd.DataFrame({"row": 0, "col": 0, "index": range(12), "value": range(12)})
    np.testing.assert_array_equal(weight_sheets.mosaic(rows), [[4, 5], [6, 7]])
    with pytest.raises(ValueError, match="no square image"):
        weight_sheets.mosaic(rows[:5])


def test_weights_show_both_families(demo: Path) -> None:
    said = texts(drawn(demo, "weight_sheets"))
    for word in ("fc1", "layer1.0.conv1", "layer4.1.conv2", "τ = 0", "τ = 3", "τ = 10"):
        assert word in said


def test_a_deep_network_shows_layers_over_its_depth() -> None:
    layers = [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3, 10) for block in (0, 1)]
    rows = pd.DataFrame({"layer": layers[::-1]})
    assert weight_sheets._layers(rows) == [layers[0], layers[2], layers[5], layers[7]]


def test_a_sheet_with_holes() -> None:
    rows = pd.DataFrame({"row": [0, 1], "col": [1, 0], "value": [5.0, 7.0]})
    np.testing.assert_array_equal(inputs.sheet(rows), [[np.nan, 5], [7, np.nan]])


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    path = tmp_path / "units.parquet"
    synthetic.write_units(path, "mlp", "mlp", "3", 0)
    frame = pd.read_parquet(path)
    extra = frame[frame.quantity == "orientation_t"].head(1).assign(unit=-1, row=-1, col=-1)
    pd.concat([frame, extra]).to_parquet(path)
    return path


def test_curves_of_whole_layers_are_no_units(curves: Path) -> None:
    units = Tables(curves.parent, (curves,), None, ("orientation_t",)).units
    assert units.unit.min() == 0
    assert set(units.quantity) == {"orientation_t"}


def test_maps_are_those_of_trained_networks(curves: Path) -> None:
    made = pd.read_parquet(curves)
    earlier = made.assign(step=made.step - 1, value=made.value + 9)
    pd.concat([made, earlier], ignore_index=True).to_parquet(curves)
    data = Tables(curves.parent, (curves,), None, ("orientation_t",))
    assert len(data.units) == 2 * len(data.trained_units)
    assert data.trained_units.step.unique().tolist() == [made.step.max()]
