"""Networks that differ in φ, or in the layers under TopoLoss."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.style import legend_below, panels, room, say, style_of, tau_colour, tau_key
from toporepro.report.selection import final, networks, topographic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Ablations of φ and of the layers under TopoLoss"
ORDER = 2.5
TABLES = ("measures",)
SUFFIXES = ("png", "svg")
METRICS = {
    "accuracy": "Test accuracy (%)",
    "smoothness_minus_null": "Smoothness − shuffles",
    "effective_dimensionality": "Effective dimensionality",
}
_SIDE = 0.12  # between τ beside each other at one family


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Families down, in the order of the preset, metrics across; a colour per τ."""
    style, known = style_of(spec), topographic(shown(spec))
    found = {metric: final(networks(tables.measures, metric)) for metric in METRICS}
    found = {metric: rows[rows.family.isin(list(known))] for metric, rows in found.items()}
    if not any(len(rows) for rows in found.values()):
        figure, ((empty,),) = panels(1)
        say(empty, "no measures of the families shown (rule measure_model)")
        return figure
    labels = [textwrap.fill(family.label, 20) for family in known.values()]
    figure, (axes,) = panels(len(METRICS), height=1.1 + 0.42 * len(known))
    taus = sorted({tau for rows in found.values() for tau in rows.tau}, key=float)
    places = {name: place for place, name in enumerate(known)}
    for panel, (metric, label) in zip(axes, METRICS.items(), strict=True):
        rows = found[metric]
        if not len(rows):
            say(panel, f"no {metric} of the families shown (rule measure_model)")
            continue
        for number, tau in enumerate(taus):
            here = rows[rows.tau == tau]
            aside = _SIDE * (number - (len(taus) - 1) / 2)
            panel.scatter(
                (100 if metric == "accuracy" else 1) * here.value,
                [places[name] + aside for name in here.family],
                color=[tau_colour(tau, style)], s=34, edgecolor="white", linewidth=0.5, zorder=3,
            )  # fmt: skip
        for place in range(1, len(places)):
            panel.axhline(place - 0.5, color="0.9", linewidth=0.8, zorder=0)
        panel.set_yticks(list(places.values()), labels if panel is axes[0] else [])
        panel.set(xlabel=label, ylim=(len(places) - 0.5, -0.5))
        room(panel)
        panel.set_ylim(len(places) - 0.5, -0.5)
    legend_below(figure, tau_key(taus, style))
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    known = topographic(shown(spec))
    lines = ["Each point is a trained network; τ of one family one below the other."]
    rows = final(networks(tables.measures, "smoothness_minus_null"))
    for name, family in known.items():
        here = rows[rows.family == name]
        values = "; ".join(
            f"{value:.2f} (τ {tau})"
            for tau in family.taus
            if (value := here[here.tau == tau].value.mean()) == value
        )
        lines.append(f"{family.label}: n = {len(here)} networks; smoothness − shuffles {values}.")
    lines.append(
        "Means over the layers under TopoLoss, which are others where the layers were chosen: "
        "between those, compare accuracies."
    )
    return lines
