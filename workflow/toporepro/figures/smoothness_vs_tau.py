"""Smoothness over shuffles against τ, with all controls: the manipulation check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.over_tau import draw_families, key
from toporepro.figures.style import panels, say, style_of
from toporepro.report.selection import final, networks, topographic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Smoothness over shuffles against τ"
ORDER = 2
TABLES = ("measures",)
SUFFIXES = ("png", "svg")
METRIC = "smoothness_minus_null"


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """One panel per family, on one scale: trained networks in τ's colours, controls in grey."""
    style, known = style_of(spec), shown(spec)
    mine = topographic(known)
    figure, (axes,) = panels(max(1, len(mine)))
    if not mine:
        say(axes[0], "no family but controls is shown")
    else:
        for panel in axes:
            panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        rows = networks(tables.measures, METRIC)
        draw_families(axes, known, rows, "Smoothness − shuffles", style)
        lows, highs = zip(*(panel.get_ylim() for panel in axes[: len(mine)]), strict=True)
        for panel in axes:
            panel.set_ylim(min(lows), max(highs))
    key(figure, len(mine), style)
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
