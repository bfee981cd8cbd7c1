"""Accuracy against τ: the paper's networks on ImageNet, and each of our families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures import published as paper
from toporepro.figures.inputs import Tables, shown
from toporepro.figures.over_tau import AXIS, draw_families, key
from toporepro.figures.performance_vs_smoothness import LEAST_SPAN
from toporepro.figures.scatter import at_least
from toporepro.figures.style import (
    GREY,
    Style,
    marker_key,
    panels,
    room,
    say,
    style_of,
    tau_colour,
)
from toporepro.report.selection import final, networks, published_points, topographic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Accuracy against τ"
ORDER = 1.5
TASK = "classification"
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
METRIC = "accuracy"


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """The published panel on the ImageNet axis; each of our families on axes of its own."""
    style, known = style_of(spec), shown(spec)
    rows = networks(tables.measures, METRIC)
    rows = rows.assign(value=100 * rows.value)
    figure, (axes,) = panels(1 + len(topographic(known)))
    _published(axes[0], tables.published, style)
    draw_families(axes[1:], known, rows, "Test accuracy (%)", style)
    for panel in axes[1:]:
        panel.set_title(f"Ours: {panel.get_title(loc='left')}")
        at_least(panel, LEAST_SPAN, horizontal=False)
    key(figure, len(axes), style, [marker_key(*mark) for mark in paper.MARKS.values()])
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n, and the change from τ = 0 to the largest τ."""
    rows = final(networks(tables.measures, METRIC))
    lines = ["Published: points read off the paper's figure, accuracy on ImageNet-1k; one each."]
    if tables.published is None:
        lines = ["The paper's points were not given."]
    for name, family in topographic(shown(spec)).items():
        here = rows[rows.family == name]
        means = here.groupby("tau")["value"].mean()
        line = f"{family.label}: test accuracy on {family.dataset}, n = {len(here)} networks"
        first, last = family.taus[0], family.taus[-1]
        if first in means.index and last in means.index and first != last:
            line += f"; {100 * means[first]:.1f} → {100 * means[last]:.1f} % (τ {first} → {last})"
        lines.append(f"{line}.")
    lines.append("Lines join means over seeds; τ in order, not to scale.")
    return lines


def _published(axes: Axes, published: pd.DataFrame | None, style: Style) -> None:
    axes.set_title("Published (ImageNet)")
    if published is None:
        say(axes, paper.ABSENT)
        return
    points = published_points(published, "vision", "performance")
    points = points[points.family.isin(list(paper.MARKS))]
    taus = sorted(points.tau.unique(), key=float)
    places = {tau: place for place, tau in enumerate(taus)}
    for name, (_, marker) in paper.MARKS.items():
        rows = points[points.family == name].sort_values("tau_value")
        where = [places[tau] for tau in rows.tau]
        axes.plot(where, rows.imagenet_top1_pct, color=GREY, linewidth=0.8, zorder=1)
        axes.scatter(
            where, rows.imagenet_top1_pct, color=[tau_colour(tau, style) for tau in rows.tau],
            marker=marker, s=42, zorder=3, edgecolor="white", linewidth=0.5,
        )  # fmt: skip
    axes.set_xticks(list(places.values()), taus)
    axes.set(xlabel=AXIS, ylabel=paper.LABELS["imagenet_top1_pct"])
    room(axes)
