"""Effective dimensionality of language networks against minimal pairs and against smoothness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures import published as paper
from toporepro.figures.blimp_vs_smoothness import LEAST_SPAN
from toporepro.figures.dimensionality import printed
from toporepro.figures.inputs import Tables, shown
from toporepro.figures.scatter import at_least, scatter_family
from toporepro.figures.style import legend_below, marker_key, panels, say, style_of, tau_key
from toporepro.report.selection import (
    joined,
    published_points,
    seed_means,
    shown_pairs,
    topographic,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Effective dimensionality of language networks"
ORDER = 4.2
TASK = "language"
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
ED = "effective_dimensionality"
# The published panel, its abscissa, and ours with its axis label.
ROWS = (
    ("language_ed_vs_blimp", "blimp_accuracy", "pair_accuracy", "Minimal pairs right (%)"),
    ("language_ed_vs_smoothness", "smoothness", "smoothness", "Smoothness (ours)"),
)


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Above over minimal pairs, below over smoothness; the paper's points first."""
    style, known = style_of(spec), topographic(shown(spec))
    figure, grid = panels(1 + len(known), rows=2)
    taus: list[str] = []
    for line, (panel, theirs, ours, label) in zip(grid, ROWS, strict=True):
        data = joined(tables.measures, (ours, ED))
        if ours == "pair_accuracy":
            data = data.assign(pair_accuracy=100 * data.pair_accuracy)
        taus += paper.scatter(
            line[0], tables.published, ("dimensionality", panel), theirs, ED, style,
            paper.LANGUAGE_MARKS,
        )  # fmt: skip
        if tables.published is not None:
            points = published_points(tables.published, panel, "dimensionality")
            line[0].set_title(f"Published\n{printed(points, theirs)}")
        for axes, (name, family) in zip(line[1:], known.items(), strict=True):
            rows = data[data.family == name]
            if not len(rows):
                axes.set_title(f"Ours: {family.label}")
                say(axes, f"no {ours} and {ED} of {name} (rule measure_model)")
                continue
            axes.set_title(f"Ours: {family.label}\n{printed(seed_means(rows, (ours, ED)), ours)}")
            taus += scatter_family(axes, rows, ours, ED, style)
            at_least(axes, rows[ED].mean() / 2, horizontal=False)
            if ours == "pair_accuracy":
                at_least(axes, LEAST_SPAN, horizontal=True)
            axes.set(xlabel=label, ylabel=paper.LABELS[ED])
    keys = [marker_key(label, marker) for label, marker in paper.LANGUAGE_MARKS.values()]
    legend_below(figure, tau_key(taus, style), keys)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n, R and P of each panel."""
    lines = [
        "R is Pearson's over the networks with τ > 0 (baselines left out), P two-sided and "
        "descriptive: networks of one family differ in τ alone."
    ]
    if tables.published is not None:
        found = [
            f"{x.replace('_', ' ')} "
            f"{printed(published_points(tables.published, panel, 'dimensionality'), x)}"
            for panel, x, _, _ in ROWS
        ]
        lines.append(f"Published points: {'; '.join(found)}.")
    for name, family in topographic(shown(spec)).items():
        found = []
        for _, _, x, _ in ROWS:
            rows = joined(tables.measures, (x, ED))
            means = seed_means(rows[rows.family == name], (x, ED))
            found.append(f"{x.replace('_', ' ')} {printed(means, x)}")
        lines.append(f"{family.label}, means over seeds: {'; '.join(found)}.")
    if pairs := shown_pairs(tables.measures):
        lines.append(f"Minimal pairs of {pairs}.")
    return lines
