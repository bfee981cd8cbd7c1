"""Accuracy over τ, ablations, the control at equal accuracy: what is drawn equals the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import synthetic
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from toporepro.figures import style
from toporepro.figures.inputs import Tables
from toporepro.plugins import find
from toporepro.report import tables

PUBLISHED = Path(__file__).parents[3] / "config/paper/figures.csv"
FAMILIES = {
    "resnet18": synthetic.family("ResNet-18", "resnet18", "image_world", ["0", "5", "50"], [0, 1]),
    "resnet18_noise": synthetic.family(
        "Noise", "resnet18", "image_world", ["5"], [0], "random_labels", "resnet18"
    ),
    "resnet18_phi4": synthetic.family("ResNet-18 (φ 4)", "resnet18", "image_world", ["5"]),
}
# Accuracy and dimensionality of τ = 0 along its training; those of τ = 5 and 50 at the end.
PATH = {0: (0.1, 5.0), 3: (0.5, 8.0), 12: (0.6, 10.0), 50: (0.7, 20.0), 200: (0.8, 30.0)}
ENDS = {"5": (0.65, 12.0), "50": (0.3, 4.0)}


def value_of(name: str, entry: Any, tau: str, seed: int, step: int) -> dict[str, float]:
    values = synthetic.values(name, entry, tau, seed, step)
    accuracy, dimension = PATH[step] if tau == "0" or step < 200 else ENDS[tau]
    return {**values, "accuracy": accuracy, "effective_dimensionality": dimension}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vision")
    tables.collect(synthetic.write(root, FAMILIES, value_of=value_of), root / "tables")
    return root


def drawn(root: Path, name: str) -> tuple[Figure, list[str]]:
    spec, data = {"preset": "demo", "families": FAMILIES}, Tables(root / "tables", (), PUBLISHED)
    module = find("figures", name)
    with style.theme(style.Style()):
        picture: Figure = module.draw(spec, data)
        return picture, module.facts(spec, data)


def points(axes: Any) -> list[tuple[float, float]]:
    found = [tuple(point) for item in axes.collections for point in np.asarray(item.get_offsets())]
    return sorted((round(float(x), 6), round(float(y), 6)) for x, y in found)


def texts(picture: Figure) -> list[str]:
    return [item.get_text() for item in picture.findobj(matplotlib.text.Text)]


def test_accuracies_over_tau_equal_the_tables(root: Path) -> None:
    picture, facts = drawn(root, "accuracy_vs_tau")
    published, ours, other = picture.axes
    assert [label.get_text() for label in published.get_xticklabels()] == [
        "0", "0.5", "1", "5", "10", "20", "30", "50",
    ]  # fmt: skip
    rows = tables.read_published(PUBLISHED)
    rows = rows[(rows.panel == "vision") & (rows.metric == "imagenet_top1_pct")]
    shown = rows[rows.family.isin(["resnet18", "resnet50", "vit_b_32"])].value
    assert sorted(y for _, y in points(published)) == pytest.approx(sorted(shown))
    trained = [(place, y) for place, y in ((0, 80), (1, 65), (2, 30)) for _ in range(2)]
    untrained = [(place, 10) for place in range(3) for _ in range(2)]
    assert points(ours) == sorted([*trained, *untrained, (1, 65)])  # and the control
    assert other.get_title(loc="left") == "Ours: ResNet-18 (φ 4)"
    assert "80.0 → 30.0 % (τ 0 → 50)" in facts[1]


def test_ablations_stand_below_each_other(root: Path) -> None:
    picture, facts = drawn(root, "ablations")
    accuracy, smoothness, dimension = picture.axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == [
        "ResNet-18", "ResNet-18 (φ 4)",
    ]  # fmt: skip
    assert sorted(x for x, _ in points(accuracy)) == [30, 30, 65, 65, 65, 80, 80]
    assert [x for x, y in points(accuracy) if round(y) == 1] == [65]
    assert accuracy.get_ylim()[0] > accuracy.get_ylim()[1]  # the first family on top
    assert sorted(x for x, _ in points(dimension)) == [4, 4, 12, 12, 12, 30, 30]
    assert len(points(smoothness)) == 7
    assert "ResNet-18 (φ 4): n = 1 networks" in facts[2]


def test_dimensionality_is_held_against_the_equally_accurate_snapshot(root: Path) -> None:
    picture, facts = drawn(root, "performance_matched")
    axes = picture.axes[0]
    lines = [np.asarray(line.get_xydata()) for line in axes.lines]
    paths = [line for line in lines if len(line) == 5]
    assert len(paths) == 2  # a seed each
    np.testing.assert_allclose(paths[0], [(100 * a, d) for a, d in PATH.values()])
    # τ = 5 at 65 % lies between the snapshots of 60 and 70 %; at 30 % the nearest are too far.
    matched = [line for line in lines if len(line) == 2]
    assert len(matched) == 2
    np.testing.assert_allclose(matched[0], [(65, 15), (65, 12)])
    hollow = [item for item in axes.collections if not len(item.get_facecolor())]
    assert [points_of.tolist() for points_of in (h.get_offsets() for h in hollow)] == [
        [[30, 4]], [[30, 4]],
    ]  # fmt: skip
    assert to_rgb(hollow[0].get_edgecolor()[0]) == pytest.approx(
        style.tau_colour("50", style.Style())
    )
    assert "2 of 4 networks matched; mean change of dimensionality −20.0 %" in facts[1]
    assert "no accuracy and effective_dimensionality" in " ".join(" ".join(texts(picture)).split())
