"""Effective dimensionality against performance and against smoothness, with R and P."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Kind:
    """Networks of one task.

    Attributes:
        task: as the names of the paper's panels begin.
        marks: their markers, by family.
        panel, theirs: end of the name of the panel over performance, and its abscissa.
        metric: our performance, from 0 to 1.
        label: of its axis.
    """

    task: str
    marks: Mapping[str, tuple[str, str]]
    panel: str
    theirs: str
    metric: str
    label: Callable[[Tables], str]

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Of each row the published panel, its abscissa, and ours."""
        return (
            (f"{self.task}_ed_vs_{self.panel}", self.theirs, self.metric),
            (f"{self.task}_ed_vs_smoothness", "smoothness", "smoothness"),
        )


VISION = Kind(
    task="vision",
    marks=paper.MARKS,
    panel="accuracy",
    theirs="imagenet_top1_pct",
    metric="accuracy",
    label=lambda tables: "Test accuracy (%)",
)


def draw(spec: Mapping[str, Any], tables: Tables, kind: Kind = VISION) -> Figure:
    """Left over performance, right over smoothness; the paper's points first, then each family."""
    style, known = style_of(spec), topographic(shown(spec))
    figure, grid = panels(len(kind.rows), rows=1 + len(known), width=4)
    taus: list[str] = []
    columns = zip(*grid, strict=True)
    for line, (panel, theirs, ours) in zip(columns, kind.rows, strict=True):
        performance = ours == kind.metric
        # Each row has the networks whose abscissa is known: not all have a performance.
        data = joined(tables.measures, (ours, ED))
        if performance:
            data = data.assign(**{ours: 100 * data[ours]})
        taus += paper.scatter(
            line[0], tables.published, ("dimensionality", panel), theirs, ED, style, kind.marks
        )
        if tables.published is not None:
            points = published_points(tables.published, panel, "dimensionality")
            line[0].set_title(f"{line[0].get_title('left')}\n{printed(points, theirs)}")
        for axes, (name, family) in zip(line[1:], known.items(), strict=True):
            rows = data[data.family == name]
            if not len(rows):
                axes.set_title(f"Ours: {family.label}")
                say(axes, f"no {ours} and {ED} of {name} (rule measure_model)")
                continue
            axes.set_title(f"Ours: {family.label}\n{printed(seed_means(rows, (ours, ED)), ours)}")
            taus += scatter_family(axes, rows, ours, ED, style)
            at_least(axes, rows[ED].mean() / 2, horizontal=False)
            if performance:
                at_least(axes, LEAST_SPAN, horizontal=True)
            label = kind.label(tables) if performance else "Smoothness (ours)"
            axes.set(xlabel=label, ylabel=paper.LABELS[ED])
    keys = [marker_key(label, marker) for label, marker in kind.marks.values()]
    legend_below(figure, tau_key(taus, style), keys)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables, kind: Kind = VISION) -> list[str]:
    """Data, n, R and P of each panel."""
    lines = [
        "R is Pearson's over the networks with τ > 0 (baselines and competitors left out), P "
        "two-sided and descriptive: networks of one family differ in τ alone."
    ]
    if tables.published is not None:
        found = [
            f"{panel.rpartition('_')[2]} "
            f"{printed(published_points(tables.published, panel, 'dimensionality'), theirs)}"
            for panel, theirs, _ in kind.rows
        ]
        lines.append(f"Published points: {'; '.join(found)}.")
    means = {x: seed_means(joined(tables.measures, (x, ED)), (x, ED)) for _, _, x in kind.rows}
    for name, family in topographic(shown(spec)).items():
        found = [
            f"{x.replace('_', ' ')} {printed(rows[rows.family == name], x)}"
            for x, rows in means.items()
        ]
        lines.append(f"{family.label}, means over seeds: {'; '.join(found)}.")
    return lines


def printed(points: pd.DataFrame, x: str) -> str:
    """R, P and n as the paper prints them, over the networks with τ > 0."""
    from toporepro.report.statistics import StatisticsError, pearson

    rows = topographic_points(points)
    try:
        found = pearson(rows[x], rows[ED])
    except StatisticsError:
        return f"R not defined (n = {len(rows)})"
    return f"R = {found.r:.2f}, P = {found.p:.2g}, n = {found.n}".replace("= -", "= −")
