"""Calibration on invented tables with a planted best definition."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from toporepro.report import calibration
from toporepro.report.calibration import calibrate_definitions
from toporepro.report.tables import read_published

PAPER = Path(__file__).parents[3] / "config" / "paper" / "figures.csv"
PANELS = {
    "smoothness": ("performance", ("vision", "language")),
    "effective_dimensionality": (
        "dimensionality",
        ("vision_ed_vs_smoothness", "language_ed_vs_smoothness"),
    ),
}
# The error each definition makes: none but reading noise for the planted one.
ERRORS = {
    "bins=10": lambda value, generator: value * 1.3,
    "bins=20": lambda value, generator: value + generator.normal(0, 0.002 * value),
    "bins=40": lambda value, generator: value - 0.2 * value.mean(),
    "bins=80": lambda value, generator: generator.permutation(value),
}
PLANTED = "bins=20,stimuli=test"


def points(quantity: str) -> pd.DataFrame:
    paper = read_published(PAPER)
    figure, panels = PANELS[quantity]
    rows = paper[(paper.figure == figure) & paper.panel.isin(panels) & (paper.metric == quantity)]
    return rows[rows.tau != ""]


def tables(folder: Path, families: list[str], drop: tuple[str, str] | None = None) -> Path:
    generator = np.random.default_rng(3)
    lines = []
    for quantity in PANELS:
        for family, rows in points(quantity).groupby("family"):
            if family not in families:
                continue
            for definition, error in ERRORS.items():
                values = error(rows.value.to_numpy(), generator)
                for tau, value in zip(rows.tau, values, strict=True):
                    if (definition, tau) == drop:
                        continue
                    for step, layer, found in (
                        (0, "mean", 9.0),
                        (1, "layer1", 9.0),
                        (1, "mean", value),
                    ):
                        metric = f"{quantity}[{definition}]"
                        lines.append(
                            ["p", family, tau, 0, step, layer, 0, "test", metric, f"{found:.9g}"]
                        )
                lines.append(["p", family, "1", 0, 1, "mean", 0, "test", quantity, "0.5"])
    folder.mkdir(exist_ok=True)
    with (folder / "measures.csv").open("w", newline="") as file:
        csv.writer(file).writerows([synthetic.MEASURES, *lines])
    return folder


def run(folder: Path, **options: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    calibrate_definitions(folder, PAPER, folder, **options)
    return (
        pd.read_csv(folder / "calibration.csv"),
        pd.read_csv(folder / "calibration_residuals.csv"),
    )


VISION = ["resnet18", "resnet50", "vit_b_32"]


def test_the_planted_definition_is_chosen_and_validated(tmp_path: Path) -> None:
    summary, _ = run(tables(tmp_path / "t", [*VISION, "nanogpt"]))
    for quantity in PANELS:
        chosen = summary[(summary.quantity == quantity) & summary.chosen]
        assert set(chosen.definition) == {PLANTED}
        assert list(chosen.role) == ["chosen_on", *["validated_on"] * 3]
        assert set(chosen.family) == {*VISION, "nanogpt"}
        assert chosen.relative_rmse.max() < 0.01
        first = summary[(summary.quantity == quantity) & (summary.family == "resnet18")]
        assert list(first["rank"]) == [1, 2, 3, 4]
        assert first.rmse.is_monotonic_increasing
        assert set(first.n) == {6}  # τ = 0 decides nothing


def test_residuals_are_kept_and_add_up(tmp_path: Path) -> None:
    summary, residuals = run(tables(tmp_path / "t", VISION))
    assert len(residuals) == 2 * len(ERRORS) * (6 + 2 + 1)
    assert set(residuals.definition[residuals.chosen]) == {PLANTED}
    np.testing.assert_allclose(residuals.residual, residuals.ours - residuals.published, atol=1e-8)
    mine = residuals[
        (residuals.quantity == "smoothness")
        & (residuals.definition == "bins=10,stimuli=test")
        & (residuals.family == "resnet18")
    ]
    np.testing.assert_allclose(mine.residual, 0.3 * mine.published)
    row = summary[
        (summary.quantity == "smoothness")
        & (summary.definition == "bins=10,stimuli=test")
        & (summary.family == "resnet18")
    ].iloc[0]
    assert row.relative_rmse == pytest.approx(0.3)
    assert row.bias == pytest.approx(0.3 * mine.published.mean())
    assert row.worst == pytest.approx(0.3 * mine.published.max())
    assert row.within_reading_error == 0


def test_a_definition_that_lacks_a_network_is_not_ranked(tmp_path: Path) -> None:
    summary, _ = run(tables(tmp_path / "t", VISION, drop=("bins=20", "50")))
    lacking = summary[(summary.definition == PLANTED) & (summary.quantity == "smoothness")]
    assert lacking["rank"].isna().all()
    assert not lacking.chosen.any()
    others = summary[summary.chosen & (summary.quantity == "smoothness")]
    assert set(others.definition) == {"bins=40,stimuli=test"}


def test_without_the_deciding_family_nothing_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, residuals = run(tables(tmp_path / "t", ["vit_b_32"]))
    assert not summary.chosen.any()
    assert len(residuals) == 2 * len(ERRORS)
    assert "smoothness: not calibrated" in capsys.readouterr().err


def test_without_any_definitions_the_tables_are_empty(tmp_path: Path) -> None:
    summary, residuals = run(tables(tmp_path / "t", []))
    assert (len(summary), len(residuals)) == (0, 0)
    assert tuple(summary.columns) == calibration.SUMMARY
    content = json.loads((tmp_path / "t" / "calibration.manifest.json").read_text())
    assert set(content["outputs"]) == {"calibration.csv", "calibration_residuals.csv"}


def test_another_family_may_decide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary, _ = run(tables(tmp_path / "t", VISION), chosen_on="resnet50")
    assert set(summary[summary.role == "chosen_on"].family) == {"resnet50"}
    told = capsys.readouterr().err
    assert "of 4 definitions; on resnet50 (n = 2)" in told
    assert "validated on resnet18 (n = 6)" in told


def test_the_grid_is_the_one_of_lowest_contrast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tables(tmp_path / "t", VISION)
    found = {"phi=2": 0.01, "phi=3": -0.8, "phi=4": -0.1}
    with (folder / "measures.csv").open("a", newline="") as file:
        for (definition, value), tau in itertools.product(found.items(), ("1", "10")):
            metric = f"anchor_contrast[{definition}]"
            for family, change in (("resnet18", 0.0), ("vit_b_32", 0.1)):
                row = ["p", family, tau, 0, 1, "mean", 0, "", metric, value + change]
                csv.writer(file).writerow(row)
    summary, residuals = run(folder)
    chosen = summary[summary.chosen & (summary.quantity == "anchor_contrast")]
    assert set(chosen.definition) == {"phi=3"}
    assert list(chosen["mean"]) == pytest.approx([-0.8, -0.7])
    assert chosen.rmse.isna().all()
    assert residuals[residuals.quantity == "anchor_contrast"].published.isna().all()
    assert "anchor_contrast of vit_b_32: phi=3 of 3: -0.7" in capsys.readouterr().err
    assert set(summary[summary.chosen & (summary.quantity == "smoothness")].definition) == {PLANTED}
