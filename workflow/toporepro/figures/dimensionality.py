"""Effective dimensionality against performance and against smoothness, with R and P."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures import published as paper
from toporepro.figures.inputs import Tables, shown
from toporepro.figures.performance_vs_smoothness import LEAST_SPAN
from toporepro.figures.scatter import at_least, scatter_family
from toporepro.figures.style import legend_below, marker_key, panels, say, style_of, tau_key
from toporepro.report.selection import (
    joined,
    published_points,
    seed_means,
    topographic,
    topographic_points,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Effective dimensionality against performance and smoothness"
ORDER = 4
TASK = "classification"
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
ED = "effective_dimensionality"
# The published panel, its abscissa, and ours with its axis label.
ROWS = (
    ("vision_ed_vs_accuracy", "imagenet_top1_pct", "accuracy", "Test accuracy (%)"),
    ("vision_ed_vs_smoothness", "smoothness", "smoothness", "Smoothness (ours)"),
)


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Above over accuracy, below over smoothness; the paper's points first, then each family."""
    style, known = style_of(spec), topographic(shown(spec))
    figure, grid = panels(1 + len(known), rows=2)
    taus: list[str] = []
    for line, (panel, theirs, ours, label) in zip(grid, ROWS, strict=True):
        # Each row has the networks whose abscissa is known: not all have an accuracy.
        data = joined(tables.measures, (ours, ED))
        if ours == "accuracy":
            data = data.assign(accuracy=100 * data.accuracy)
        taus += paper.scatter(
            line[0], tables.published, ("dimensionality", panel), theirs, ED, style
        )
        if tables.published is not None:
            points = published_points(tables.published, panel, "dimensionality")
            line[0].set_title(f"Published (ImageNet)\n{printed(points, theirs)}")
        for axes, (name, family) in zip(line[1:], known.items(), strict=True):
            rows = data[data.family == name]
            axes.set_title(f"Ours: {family.label}\n{printed(_means(rows, ours), ours)}")
            if not len(rows):
                axes.set_title(f"Ours: {family.label}")
                say(axes, f"no {ours} and {ED} of {name} (rule measure_model)")
                continue
            taus += scatter_family(axes, rows, ours, ED, style)
            at_least(axes, rows[ED].mean() / 2, horizontal=False)
            if ours == "accuracy":
                at_least(axes, LEAST_SPAN, horizontal=True)
            axes.set(xlabel=label, ylabel=paper.LABELS[ED])
    keys = [marker_key(label, marker) for label, marker in paper.MARKS.values()]
    legend_below(figure, tau_key(taus, style), keys)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n, R and P of each panel."""
    lines = [
        "R is Pearson's over the networks with τ > 0 (baselines and competitors left out), P "
        "two-sided and descriptive: networks of one family differ in τ alone."
    ]
    if tables.published is not None:
        found = [
            f"{what} {printed(published_points(tables.published, panel, 'dimensionality'), x)}"
            for what, (panel, x, _, _) in zip(("accuracy", "smoothness"), ROWS, strict=True)
        ]
        lines.append(f"Published points: {'; '.join(found)}.")
    means = {x: _means(joined(tables.measures, (x, ED)), x) for _, _, x, _ in ROWS}
    for name, family in topographic(shown(spec)).items():
        found = [f"{x} {printed(rows[rows.family == name], x)}" for x, rows in means.items()]
        lines.append(f"{family.label}, means over seeds: {'; '.join(found)}.")
    return lines


def _means(rows: pd.DataFrame, x: str) -> pd.DataFrame:
    return seed_means(rows, (x, ED))


def printed(points: pd.DataFrame, x: str) -> str:
    """R, P and n as the paper prints them, over the networks with τ > 0."""
    from toporepro.report.statistics import StatisticsError, pearson

    rows = topographic_points(points)
    try:
        found = pearson(rows[x], rows[ED])
    except StatisticsError:
        return f"R not defined (n = {len(rows)})"
    return f"R = {found.r:.2f}, P = {found.p:.2g}, n = {found.n}".replace("= -", "= −")
