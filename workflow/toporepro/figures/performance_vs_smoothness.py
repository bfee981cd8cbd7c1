"""Accuracy against smoothness: the paper's networks and competitors, and ours beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures import published as paper
from toporepro.figures.inputs import Tables, shown
from toporepro.figures.scatter import at_least, scatter_family
from toporepro.figures.style import legend_below, marker_key, panels, say, style_of, tau_key
from toporepro.report.selection import joined, topographic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Performance against smoothness"
ORDER = 1
TASK = "classification"
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
X, Y = "smoothness", "accuracy"
LEAST_SPAN = 10.0  # per cent


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """The published panel on the ImageNet axis; each of our families on axes of its own."""
    style, known = style_of(spec), topographic(shown(spec))
    data = joined(tables.measures, (X, Y))
    figure, (axes,) = panels(1 + len(known))
    label = "Smoothness (ours)"
    if not spec.get("calibrated", False):
        label = "Smoothness (ours, not calibrated)"
    taus = paper.performance(axes[0], tables.published, style)
    for panel, (name, family) in zip(axes[1:], known.items(), strict=True):
        rows = data[data.family == name]
        panel.set_title(f"Ours: {family.label}")
        if not len(rows):
            say(panel, f"no accuracy and smoothness of {name} (rule measure_model)")
            continue
        rows = rows.assign(accuracy=100 * rows.accuracy)
        taus += scatter_family(panel, rows, X, Y, style)
        at_least(panel, LEAST_SPAN, horizontal=False)
        panel.set(xlabel=label, ylabel="Test accuracy (%)")
    keys = [marker_key(label, marker) for label, marker in paper.MARKS.values()]
    legend_below(figure, tau_key(taus, style), keys)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    known = topographic(shown(spec))
    data = joined(tables.measures, (X, Y))
    lines = ["Published: points read off the paper's figure, accuracy on ImageNet-1k; one each."]
    if tables.published is None:
        lines = ["The paper's points were not given."]
    for name, family in known.items():
        rows = data[data.family == name]
        seeds = rows.seed.nunique()
        drawn = f" × {seeds} seeds; large: means over seeds" if seeds > 1 else ", one seed"
        lines.append(
            f"{family.label}: test accuracy on {family.dataset}, n = {len(rows)} networks "
            f"({rows.tau.nunique()} τ{drawn})."
        )
    lines.append("Smoothness is the mean over topographic layers; shuffles are not taken off here.")
    if not spec.get("calibrated", False):
        lines.append(
            "Our smoothness is not on the published scale until it is calibrated on the published "
            "checkpoints: compare shapes, not values."
        )
    return lines
