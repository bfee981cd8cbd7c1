"""Integration windows on the sheets of all layers: how units forget a swapped word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, sheet, shown
from toporepro.figures.style import GREY, panels, say
from toporepro.report.selection import topographic
from toporepro.report.tables import natural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Temporal integration windows"
ORDER = 11
TASK = "language"
TABLES = ()
SUFFIXES = ("png", "svg")
QUANTITIES = ("window_a", "window_b", "window_c")
PURE = 0.05  # as in measure.integration_windows: an exponent without a part of its own
WIDTH = 1.05  # inches of a map
HIGH = 98  # percentile at which colours end
MAPS = (
    ("window_a", "Reds", "Exponent a of the power law\n(grey: units without that part)"),
    ("window_b", "Greens", "Exponent b of the exponential\n(grey: units without that part)"),
)


def models(spec: Mapping[str, Any]) -> list[Model]:
    """Of each family τ = 0 and its largest τ, at its first seed."""
    found = []
    for name, family in topographic(shown(spec)).items():
        ends = dict.fromkeys((family.taus[0], family.taus[-1]))
        found += [(name, tau, min(family.seeds)) for tau in ends]
    return found


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Layers across; a red and a green row for each network, one scale for each colour."""
    import numpy as np

    units = tables.units
    found = [model for model in models(spec) if len(_of(units, model))]
    if not found:
        figure, ((axes,),) = panels(1)
        say(axes, "no integration windows of the families shown (rule measure_model)")
        return figure
    layers = sorted(units.layer.unique(), key=natural)
    height, width = sheet(_of(units[units.layer == layers[0]], found[0])).shape
    figure, grid = panels(
        len(layers), rows=2 * len(found), width=WIDTH, height=WIDTH * height / width, beside=1.1
    )
    figure.set_figheight(figure.get_figheight() + 0.9)  # of the two scales
    kept = {quantity: _kept(units, quantity) for quantity, _, _ in MAPS}
    scales = []
    for number, (quantity, colours, label) in enumerate(MAPS):
        values = kept[quantity].value
        limit = float(np.percentile(values, HIGH)) if len(values) else 1.0
        image = None
        for place, model in enumerate(found):
            line = grid[2 * place + number]
            for axes, layer in zip(line, layers, strict=True):
                image = _map(axes, kept[quantity], units, model, layer, colours, limit) or image
            line[0].set_ylabel(_name(spec, model, quantity), rotation=0, ha="right", va="center")
        scales.append((image, label))
    every = [axes for line in grid for axes in line]
    for image, label in reversed(scales):  # each goes above those that are there
        if image is not None:
            figure.colorbar(
                image, ax=every, label=label, shrink=0.6, aspect=40, extend="max",
                location="bottom",
            )  # fmt: skip
    for place, axes in enumerate(grid[0], start=1):
        axes.set_title(f"layer {place}", loc="center", fontsize="small")
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n and medians."""
    units = tables.units
    lines = [
        f"Red: exponent a of the power law, of units with c ≥ {PURE:g}; green: exponent b of the "
        f"exponential, of units with c ≤ {1 - PURE:g}; grey: others. c is the power law's weight."
    ]
    for model in models(spec):
        rows = _of(units, model)
        weight = rows[rows.quantity == "window_c"].value
        if len(weight):
            name, tau, _ = model
            lines.append(
                f"{shown(spec)[name].label}, τ = {tau}: n = {weight.notna().sum()} of "
                f"{len(weight)} units with a window, c = {weight.mean():.2f} on average."
            )
    return lines if len(lines) > 1 else [*lines, "None of the families shown was measured."]


def _of(units: pd.DataFrame, model: Model) -> pd.DataFrame:
    name, tau, seed = model
    return units[(units.family == name) & (units.tau == tau) & (units.seed == seed)]


def _kept(units: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Values of an exponent where its part of the window counts."""
    key = ["family", "tau", "seed", "layer", "unit"]
    weight = units[units.quantity == "window_c"].set_index(key).value
    rows = units[units.quantity == quantity].set_index(key)
    own = weight.reindex(rows.index)
    counts = own >= PURE if quantity == "window_a" else own <= 1 - PURE
    return rows[counts & rows.value.notna()].reset_index()


def _map(
    axes: Axes,
    kept: pd.DataFrame,
    units: pd.DataFrame,
    model: Model,
    layer: str,
    colours: str,
    limit: float,
) -> Any:
    import matplotlib
    import numpy as np

    every = _of(units, model)
    every = every[(every.layer == layer) & (every.quantity == "window_c")]
    rows = _of(kept, model)
    rows = rows[rows.layer == layer]
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if not len(every):
        return None
    laid = np.full(sheet(every).shape, np.nan)
    laid[rows.row.to_numpy(int), rows.col.to_numpy(int)] = rows.value.to_numpy(float)
    palette = matplotlib.colormaps[colours].with_extremes(bad=(*GREY, 0.45))
    return axes.imshow(np.ma.masked_invalid(laid), cmap=palette, vmin=0, vmax=limit)


def _name(spec: Mapping[str, Any], model: Model, quantity: str) -> str:
    name, tau, _ = model
    label = shown(spec)[name].label.replace(" (", "\n(") if quantity == "window_a" else ""
    return f"{label}\nτ = {tau}" if label else ""
