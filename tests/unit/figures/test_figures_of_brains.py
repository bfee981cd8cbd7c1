"""Figures of brains: what is drawn equals the tables."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toporepro.figures import brain_layout, brain_prediction, style
from toporepro.figures.inputs import Tables
from toporepro.report.tables import CURVES, MEASURES

PEOPLE, REGIONS, TAUS = ("anna", "ben", "cleo"), ("FFA", "V1"), ("0", "5")


def spec() -> dict[str, Any]:
    entry = {
        "label": "Net", "architecture": "resnet18", "dataset": "d", "taus": list(TAUS),
        "seeds": [0], "control": "none", "control_of": None,
    }  # fmt: skip
    return {"preset": "demo", "families": {"net": entry}}


def value(tau: str, step: int, region: str, name: str) -> float:
    """Each cell of the table has a value of its own."""
    tells = (TAUS.index(tau), step // 9, REGIONS.index(region), PEOPLE.index(name))
    return float(np.dot(tells, (0.05, 0.3, 0.1, 0.02)))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    rows, curves = [], []
    for tau, step in (("0", 0), ("0", 9), ("5", 9)):
        head = ("p", "net", tau, 0, step)
        for region, name in itertools.product(REGIONS, PEOPLE):
            key, v = f"{region}.{name}", value(tau, step, region, name)
            for metric in ("brain_unit", "brain_match", "brain_ridge"):
                rows.append((*head, "", 0, "s/test", f"{metric}.{key}", v))
                rows.append((*head, "", 0, "s/test", f"{metric}_p.{key}", 0.2 * (region == "V1")))
                for number in (1, 2, 3):
                    rows.append((*head, f"l{number}", 0, "s/test", f"{metric}.{key}", v / number))
            for metric in brain_layout.COMPARISONS:
                rows.append((*head, "mean", 0, "s/test", f"{metric}.{key}", v))
            for place in range(5):
                bend = np.nan if (place, region) == (2, "FFA") else v - 0.1 * place
                curves.append((*head, "", f"brain_by_distance.{key}", place, bend))
        for layer, place in itertools.product(("l1", "l2"), range(5)):
            curves.append((*head, layer, "sheet_by_distance", place, float(tau) / (1 + place)))
    pd.DataFrame(rows, columns=list(MEASURES)).to_csv(tmp_path / "measures.csv", index=False)
    pd.DataFrame(curves, columns=list(CURVES)).to_csv(tmp_path / "curves.csv", index=False)
    return Tables(tmp_path)


def points(axes: Any) -> list[tuple[float, float]]:
    """Of single markers: x and y."""
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes.lines
        if line.get_marker() == "o" and len(line.get_xdata()) == 1
    ]


def means(tau: str, step: int, region: str) -> float:
    return float(np.mean([value(tau, step, region, name) for name in PEOPLE]))


def test_points_are_means_over_participants_by_region_and_tau(tables: Tables) -> None:
    figure = brain_prediction.draw(spec(), tables)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["V1", "FFA"]
    expected = [
        means(tau, step, region)
        for tau, step in (("0", 0), ("0", 9), ("5", 9))
        for region in ("V1", "FFA")
    ]
    assert [y for _, y in points(axes)] == pytest.approx(expected)
    for place, (x, _) in enumerate(points(axes)):
        assert abs(x - place % 2) < 0.45
    # The interval of the first point: Student's t over three participants.
    first = next(line for line in axes.lines if len(set(line.get_ydata())) == 2)
    spread = np.std([0.0, 0.02, 0.04], ddof=1) / np.sqrt(3) * 4.302653
    assert sorted(first.get_ydata()) == pytest.approx(
        [expected[0] - spread, expected[0] + spread], abs=1e-5
    )


def test_layers_are_drawn_at_the_ends_of_tau(tables: Tables) -> None:
    axes = brain_prediction.draw(spec(), tables).axes[3]
    lines = [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 3]
    expected = [
        [means(tau, 9, region) / number for number in (1, 2, 3)]
        for tau in TAUS
        for region in ("V1", "FFA")
    ]
    assert np.array(lines) == pytest.approx(np.array(expected))


def test_without_ceilings_plain_correlations_are_drawn(tables: Tables) -> None:
    rows = pd.read_csv(tables.folder / "measures.csv", dtype={"tau": str}, keep_default_na=False)
    plain = rows[~rows.metric.str.contains("_p")].copy()
    plain["metric"] = plain.metric.str.replace(r"^(brain_\w+?)\.", r"\1_raw.", regex=True)
    other = rows[rows.layer == ""].copy()
    other["value"] = np.nan
    pd.concat([plain, other]).to_csv(tables.folder / "measures.csv", index=False)
    figure = brain_prediction.draw(spec(), Tables(tables.folder))
    assert figure.axes[0].get_ylabel().endswith("Correlation")
    expected = [means("0", 0, region) for region in ("V1", "FFA")]
    assert [y for _, y in points(figure.axes[0])][:2] == pytest.approx(expected)
    lines = [line for line in figure.axes[3].lines if len(line.get_xdata()) == 3]
    assert lines[0].get_ydata()[0] == pytest.approx(means("0", 9, "V1"))


def test_facts_of_prediction(tables: Tables) -> None:
    text = " ".join(brain_prediction.facts(spec(), tables))
    assert "3 participants, 2 regions, held-out stimuli of s/test" in text
    assert "V1 0 of 3, FFA 3 of 3" in text


def test_curves_and_numbers_of_layout(tables: Tables) -> None:
    figure = brain_layout.draw(spec(), tables)
    regions, sheets, numbers = figure.axes[:3]
    drawn = [line for line in regions.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in drawn] == [5, 4]  # FFA's empty bin is left out
    networks = [("0", 0), ("0", 9), ("5", 9)]
    top = np.mean([[value(tau, step, "V1", name) for name in PEOPLE] for tau, step in networks])
    assert drawn[0].get_ydata()[0] == pytest.approx(top)
    curves = [list(line.get_ydata()) for line in sheets.lines if line.get_marker() == "."]
    assert curves[-1] == pytest.approx([5 / (1 + place) for place in range(5)])
    expected = [np.mean([means(tau, step, region) for region in REGIONS]) for tau, step in networks]
    assert [y for _, y in points(numbers)] == pytest.approx(expected * 3)
    assert "3 participants, 2 regions of s/test" in brain_layout.facts(spec(), tables)[0]


@pytest.mark.parametrize("module", [brain_prediction, brain_layout])
def test_without_brains_the_figure_says_so(module: Any, tables: Tables, tmp_path: Path) -> None:
    measures = pd.DataFrame([("p", "net", "0", 0, 9, "", 0, "test", "accuracy", 0.5)],
                            columns=list(MEASURES))  # fmt: skip
    folder = tmp_path / "empty"
    folder.mkdir()
    measures.to_csv(folder / "measures.csv", index=False)
    pd.DataFrame([], columns=list(CURVES)).to_csv(folder / "curves.csv", index=False)
    figure = module.draw(spec(), Tables(folder))
    assert len(figure.axes) == 1
    assert figure.axes[0].texts
    assert module.facts(spec(), Tables(folder))
    with style.theme(style.Style()):
        figure.savefig(tmp_path / "figure.png")
