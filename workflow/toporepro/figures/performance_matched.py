"""Effective dimensionality at equal accuracy: TopoNets beside the τ = 0 training on its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.style import (
    BASELINE,
    GREY,
    legend_below,
    marker_key,
    panels,
    room,
    say,
    style_of,
    tau_colour,
    tau_key,
)
from toporepro.report.dimensionality import along_training, matches
from toporepro.report.selection import topographic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Effective dimensionality at equal accuracy"
ORDER = 4.5
TASK = "classification"
TABLES = ("measures",)
SUFFIXES = ("png", "svg")
PERFORMANCE = "accuracy"
WIDEST = 0.15  # accuracy between the snapshots that a match lies between, as in the claim


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """A panel per family: the path of τ = 0, the ends of the others, and lines to their matches."""
    style, known = style_of(spec), topographic(shown(spec))
    figure, (axes,) = panels(max(1, len(known)))
    if not known:
        say(axes[0], "no family but controls is shown")
    taus: list[str] = []
    for panel, (name, family) in zip(axes, known.items(), strict=False):
        panel.set_title(family.label)
        rows = along_training(tables.measures, name, PERFORMANCE)
        path = rows[rows.tau == "0"].sort_values("step")
        found = matches(tables.measures, name, PERFORMANCE, WIDEST)
        if not len(path) or not found:
            say(
                panel,
                f"no accuracy and effective_dimensionality of {name} at τ = 0 and above "
                "(rule measure_model)",
            )
            continue
        for _, steps in path.groupby("seed"):
            panel.plot(
                100 * steps.value, steps.value_ed, color=BASELINE, linewidth=0.9, marker="o",
                markersize=4, markerfacecolor="white", zorder=2,
            )  # fmt: skip
        for match in found:
            colour, where = tau_colour(match.tau, style), 100 * match.performance
            if match.reference is not None:
                panel.plot(
                    [where, where], [match.reference, match.dimensionality], color=colour,
                    linewidth=1.0, linestyle=":", zorder=1,
                )  # fmt: skip
            panel.scatter(
                where, match.dimensionality, s=42, zorder=3,
                facecolor=[colour] if match.reference is not None else "none",
                edgecolor="white" if match.reference is not None else [colour], linewidth=0.8,
            )  # fmt: skip
            taus.append(match.tau)
        panel.set(xlabel="Test accuracy (%)", ylabel="Effective dimensionality")
        room(panel)
    keys = [
        marker_key("snapshots of τ = 0", "o", BASELINE, hollow=True),
        marker_key("no match", "o", GREY, hollow=True),
    ]
    legend_below(figure, tau_key(taus, style), keys)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n and the mean change at equal accuracy."""
    import numpy as np

    lines = [
        "A network with τ > 0 is held against the τ = 0 training of its seed when that was as "
        f"accurate: between two snapshots no further apart than {100 * WIDEST:g} % accuracy. "
        "Dimensionality is the mean over topographic layers."
    ]
    for name, family in topographic(shown(spec)).items():
        found = matches(tables.measures, name, PERFORMANCE, WIDEST)
        changes = [match.change for match in found if match.change is not None]
        line = f"{family.label}: {len(changes)} of {len(found)} networks matched"
        if changes:
            line += f"; mean change of dimensionality {100 * np.mean(changes):+.1f} %"
        lines.append(f"{line.replace('-', '−') if changes else line}.")
    return lines
