"""Smoothness over shuffles against τ, with all controls: the manipulation check."""

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
)
from toporepro.report.selection import controls_of, final, networks, topographic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Smoothness over shuffles against τ"
ORDER = 2
TABLES = ("measures",)
SUFFIXES = ("png", "svg")
METRIC = "smoothness_minus_null"
CONTROLS = {"random_labels": ("random labels", "^"), "topoloss_only": ("TopoLoss alone", "s")}


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """One panel per family: trained networks in τ's colours, controls in grey."""
    style, known = style_of(spec), shown(spec)
    rows = networks(tables.measures, METRIC)
    mine = topographic(known)
    figure, (axes,) = panels(max(1, len(mine)))
    if not mine:
        say(axes[0], "no family but controls is shown")
    for panel, (name, family) in zip(axes, mine.items(), strict=False):
        panel.set_title(family.label)
        trained = final(rows[rows.family == name])
        if not len(trained):
            say(panel, f"no smoothness of {name} (rule measure_model)")
            continue
        places = {tau: place for place, tau in enumerate(family.taus)}
        panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        _untrained(panel, rows[(rows.family == name) & (rows.step == 0)], places)
        means = trained.groupby("tau")["value"].mean()
        drawn = [tau for tau in family.taus if tau in means.index]
        panel.plot(
            [places[tau] for tau in drawn], means[drawn], color=GREY, linewidth=0.8, zorder=1
        )
        for tau, value in zip(trained.tau, trained.value, strict=True):
            panel.scatter(
                places[tau], value, color=[tau_colour(tau, style)], s=42, zorder=3,
                edgecolor="white", linewidth=0.5,
            )  # fmt: skip
        for other, control in controls_of(known, name).items():
            if control.control not in CONTROLS:
                continue
            values = final(rows[rows.family == other])
            here = [places[tau] for tau in values.tau if tau in places]
            kept = values.value[values.tau.isin(list(places))]
            panel.scatter(
                here, kept, marker=CONTROLS[control.control][1], s=46, zorder=4,
                facecolor="none", edgecolor=BASELINE, linewidth=1.1,
            )  # fmt: skip
        panel.set_xticks(list(places.values()), list(places))
        panel.set(xlabel="τ (weight of TopoLoss)", ylabel="Smoothness − shuffles")
        room(panel)
    circles = [
        marker_key("trained (colour: τ)", "o", tau_colour("5", style)),
        marker_key("untrained", "o", hollow=True),
    ]
    others = [marker_key(label, mark, BASELINE, True) for label, mark in CONTROLS.values()]
    if len(mine) > 1:
        legend_below(figure, [*circles, *others])
    else:
        legend_below(figure, circles, others)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n and the exact trend test of each family."""
    import numpy as np

    from toporepro.report.statistics import page_trend

    rows = final(networks(tables.measures, METRIC))
    lines = ["Smoothness is the mean over topographic layers, less its mean over shuffled units."]
    for name, family in topographic(shown(spec)).items():
        table = rows[rows.family == name].pivot(index="seed", columns="tau", values="value")
        full = table.reindex(columns=list(family.taus)).dropna()
        line = f"{family.label}: n = {int(table.notna().sum().sum())} trained networks"
        if len(full) and len(family.taus) > 1:
            trend = page_trend(np.asarray(full, dtype=float))
            line += (
                f"; exact trend over {trend.treatments} τ, seeds as blocks ({trend.blocks}): "
                f"P = {trend.p:.2g}"
            )
        lines.append(f"{line}.")
    return lines


def _untrained(panel: Axes, rows: pd.DataFrame, places: Mapping[str, int]) -> None:
    panel.scatter(
        [places[tau] for tau in rows.tau], rows.value, s=36, facecolor="none", edgecolor=GREY,
        linewidth=1.0, zorder=2,
    )  # fmt: skip
