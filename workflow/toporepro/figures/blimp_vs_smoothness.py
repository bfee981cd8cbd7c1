"""Accuracy on minimal pairs against smoothness: the paper's language networks, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures import published as paper
from toporepro.figures.inputs import Tables, shown
from toporepro.figures.scatter import at_least, scatter_family
from toporepro.figures.style import GREY, legend_below, marker_key, panels, say, style_of, tau_key
from toporepro.report.selection import joined, shown_pairs, topographic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Minimal pairs against smoothness"
ORDER = 1.2
TASK = "language"
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
X, Y = "smoothness", "pair_accuracy"
LEAST_SPAN = 10.0  # per cent


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """The published panel with Topoformer's lines; each of our families on axes of its own."""
    from matplotlib.lines import Line2D

    style, known = style_of(spec), topographic(shown(spec))
    data = joined(tables.measures, (X, Y))
    figure, (axes,) = panels(1 + len(known))
    label = "Smoothness (ours)"
    if not spec.get("calibrated", False):
        label = "Smoothness (ours, not calibrated)"
    taus = paper.scatter(
        axes[0], tables.published, ("performance", "language"), "smoothness", "blimp_accuracy",
        style, paper.LANGUAGE_MARKS,
    )  # fmt: skip
    paper.topoformer(axes[0], tables.published)
    for panel, (name, family) in zip(axes[1:], known.items(), strict=True):
        rows = data[data.family == name]
        panel.set_title(f"Ours: {family.label}")
        if not len(rows):
            say(panel, f"no minimal pairs and smoothness of {name} (rule measure_model)")
            continue
        rows = rows.assign(pair_accuracy=100 * rows.pair_accuracy)
        taus += scatter_family(panel, rows, X, Y, style)
        at_least(panel, LEAST_SPAN, horizontal=False)
        panel.set(xlabel=label, ylabel=pairs_label(tables))
    keys = [marker_key(text, marker) for text, marker in paper.LANGUAGE_MARKS.values()]
    keys.append(Line2D([], [], color=GREY, linewidth=1, linestyle="--", label="Topoformer"))
    legend_below(figure, tau_key(taus, style), keys)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    data = joined(tables.measures, (X, Y))
    lines = [
        "Published: points read off the paper's figure, accuracy on BLiMP; of Topoformer only the "
        "smoothness of its layers is plotted."
    ]
    if tables.published is None:
        lines = ["The paper's points were not given."]
    for name, family in topographic(shown(spec)).items():
        rows = data[data.family == name]
        lines.append(
            f"{family.label}: n = {len(rows)} networks ({rows.tau.nunique()} τ, seeds "
            f"{', '.join(map(str, family.seeds))}), minimal pairs of "
            f"{shown_pairs(tables.measures) or 'no set'}; chance is 50 %."
        )
    if not spec.get("calibrated", False):
        lines.append(
            "Our smoothness is not on the published scale until it is calibrated on the published "
            "checkpoints: compare shapes, not values."
        )
    return lines


def pairs_label(tables: Tables) -> str:
    """What an axis of right answers is called."""
    pairs = shown_pairs(tables.measures)
    return f"{pairs} accuracy (%)" if pairs == "BLiMP" else f"Minimal pairs of “{pairs}” right (%)"
