"""Figures of language networks: what is drawn equals the tables and the paper's points."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import synthetic_language as language
from matplotlib.figure import Figure

from toporepro.figures import style, word_regions
from toporepro.figures.inputs import Tables
from toporepro.figures.run import figure, needs
from toporepro.plugins import find
from toporepro.report import tables

PUBLISHED = Path(__file__).parents[3] / "config/paper/figures.csv"
SPEC: dict[str, Any] = {
    "preset": "demo", "families": language.families(), "style": {"dpi": 60},
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    tables.collect(language.write(folder, units=True), folder / "tables")
    return folder


def units_of(root: Path, name: str) -> tuple[Path, ...]:
    models = needs(name, SPEC).models
    return tuple(root / f"models/{f}/tau={t}/seed={s}/units.parquet" for f, t, s in models)


def data_of(root: Path, name: str) -> Tables:
    quantities = getattr(find("figures", name), "QUANTITIES", ())
    return Tables(root / "tables", units_of(root, name), PUBLISHED, quantities)


def drawn(root: Path, name: str) -> Figure:
    with style.theme(style.style_of(SPEC)):
        picture: Figure = find("figures", name).draw(SPEC, data_of(root, name))
    return picture


def panel(picture: Figure, title: str) -> Any:
    return next(axes for axes in picture.axes if axes.get_title("left").startswith(title))


def texts(picture: Figure) -> str:
    picture.draw_without_rendering()
    found = picture.findobj(matplotlib.text.Text)
    return " ".join(" ".join(item.get_text().split()) for item in found)


@pytest.mark.parametrize("name", ["compression", "word_regions"])
def test_the_same_tables_give_the_same_bytes(root: Path, tmp_path: Path, name: str) -> None:
    for folder in ("one", "two"):
        units = units_of(root, name)
        figure(name, SPEC, root / "tables", units, tmp_path / folder / name, PUBLISHED)
    for path in (tmp_path / "one").iterdir():
        if "manifest" not in path.name:
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "name",
    ["blimp_vs_smoothness", "language_dimensionality", "compression", "integration_windows",
     "word_regions"],
)  # fmt: skip
def test_a_preset_whose_text_is_absent_still_draws(root: Path, name: str) -> None:
    spec = {**SPEC, "families": {}}
    assert needs(name, spec).models == ()
    data = Tables(root / "tables", (), PUBLISHED, getattr(find("figures", name), "QUANTITIES", ()))
    with style.theme(style.style_of(spec)):
        module = find("figures", name)
        texts(module.draw(spec, data))
        assert module.facts(spec, data)


def test_minimal_pairs_over_smoothness(root: Path) -> None:
    picture = drawn(root, "blimp_vs_smoothness")
    axes = panel(picture, "Ours: NanoGPT")
    points = np.concatenate([np.asarray(item.get_offsets()) for item in axes.collections])
    smooth = [0.08 + 0.75 * np.log1p(tau) / np.log(6) for tau in (0, 0.05, 0.2, 1, 5)]
    pairs = [100 * (0.8 - 0.05 * np.log1p(tau) / np.log(6)) for tau in (0, 0.05, 0.2, 1, 5)]
    np.testing.assert_allclose(points, np.column_stack([smooth, pairs]), atol=1e-4)
    lines = [line.get_xdata()[0] for line in panel(picture, "Published").lines if
             line.get_linestyle() == "--"]  # fmt: skip
    assert sorted(lines) == [0.1054, 0.1557, 0.5981, 0.6182]
    assert "BLiMP" in texts(picture)
    assert "few units" not in texts(picture)


def test_printed_correlations_of_the_paper(root: Path) -> None:
    text = texts(drawn(root, "language_dimensionality"))
    assert "R = 0.37, P = 0.41, n = 7" in text
    assert "R = −0.96, P = 0.00052, n = 7" in text


def test_losses_over_sparsity(root: Path) -> None:
    picture = drawn(root, "compression")
    axes = panel(picture, "Ours: NanoGPT")
    solid = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert len(solid) == 5
    np.testing.assert_allclose(solid[0].get_xdata(), [0, 0.2, 0.5, 0.8, 0.9])
    np.testing.assert_allclose(solid[0].get_ydata(), 2 + 10 * np.array([0, 0.2, 0.5, 0.8, 0.9]))
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 1  # τ = 0 alone
    level = {round(float(line.get_ydata()[0]), 3) for line in axes.lines if len(set(
        line.get_ydata())) == 1}  # fmt: skip
    assert {3.6, 2.0} <= level  # silenced layers, and the small network
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["0\n1000k", "20\n950k", "50\n875k", "80\n800k"]
    published = panel(picture, "Published")
    assert "80\n101.5M" in [label.get_text() for label in published.get_xticklabels()]
    highest = max(float(max(line.get_ydata())) for line in published.lines)
    assert highest == pytest.approx(14.8343)


def test_exponents_are_shown_where_their_part_counts(root: Path) -> None:
    picture = drawn(root, "integration_windows")
    units = data_of(root, "integration_windows").units
    images = [axes.images[0] for axes in picture.axes if axes.images]
    assert len(images) == 4 * 2 * 4
    one = units[(units.family == "nanogpt") & (units.tau == "0")]
    one = one[one.layer == language.LAYERS[0]].pivot(
        index=["row", "col"], columns="quantity", values="value"
    )
    a = one.window_a.where(one.window_c >= 0.05).to_numpy().reshape(8, 16)
    b = one.window_b.where(one.window_c <= 0.95).to_numpy().reshape(8, 16)
    np.testing.assert_allclose(np.ma.filled(images[0].get_array(), np.nan), a, rtol=1e-6)
    np.testing.assert_allclose(np.ma.filled(images[4].get_array(), np.nan), b, rtol=1e-6)
    limits = {image.get_clim() for image in images}
    assert len(limits) == 2  # one scale for all red maps, one for all green ones


def test_the_film_runs_over_snapshots(root: Path) -> None:
    with style.theme(style.style_of(SPEC)):
        frames, _ = word_regions.film(SPEC, data_of(root, "word_regions"))
    assert len(frames) == len(language.STEPS)
    assert len({frame.tobytes() for frame in frames}) == len(frames)
    text = texts(drawn(root, "word_regions"))
    for word in ("animal", "food", "person", "none", "step 1,000", "layer 4"):
        assert word in text


def test_the_still_shows_what_trained_units_prefer(root: Path) -> None:
    picture = drawn(root, "word_regions")
    units = data_of(root, "word_regions").units
    one = units[(units.family == "gpt_neo") & (units.tau == "1") & (units.step == 1000)]
    one = one[one.layer == language.LAYERS[-1]]
    images = [axes.images[0] for axes in picture.axes if axes.images]
    expected = one.value.fillna(-1).to_numpy().reshape(8, 16)
    np.testing.assert_array_equal(images[-1].get_array(), expected)
