"""Category selectivity on the sheet: untrained, τ = 0 and every other τ on one colour scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, first_seeds, sheet, shown
from toporepro.figures.style import DIVERGING, panels, say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Category selectivity"
ORDER = 5
TASK = "classification"
TABLES = ("measures",)
SUFFIXES = ("png", "svg")
CONTRASTS = {
    "faces": "Faces",
    "bodies": "Bodies",
    "scenes": "Scenes",
    "objects": "Objects",
    "characters": "Characters",
    "size": "Small – big",
    "animacy": "Animate –\ninanimate",
}
QUANTITIES = tuple(f"selectivity_t.{name}" for name in CONTRASTS)
# The paper shows a layer of 256 units of ResNet-18: its third stage, three quarters of the way.
DEPTH = 0.75
Column = tuple[str, str, int]  # family, τ, step


def models(spec: Mapping[str, Any]) -> list[Model]:
    """Models whose units are drawn: untrained ones, where they are families of their own, first."""
    apart = [
        (name, tau, min(family.seeds))
        for name, family in shown(spec).items()
        if family.control == "untrained"
        for tau in family.taus
    ]
    return [*apart, *first_seeds(spec)]


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Contrasts down, networks across."""
    import numpy as np

    units = _one_layer(tables.units)
    columns = _columns(spec, units)
    if not columns:
        figure, ((axes,),) = panels(1)
        say(axes, "no selectivity_t in the units of the families shown (rule measure_model)")
        return figure
    rows = [name for name in CONTRASTS if (units.quantity == f"selectivity_t.{name}").any()]
    limit = scale(units)
    tall = (units.row.max() + 1) / (units.col.max() + 1)
    figure, grid = panels(len(columns), rows=len(rows), width=1.5, height=1.25 * tall + 0.2)
    families = {family for family, _, _ in columns}
    labels = {name: family.label for name, family in shown(spec).items()}
    image = None
    for place, (family, tau, step) in enumerate(columns):
        here = units[(units.family == family) & (units.tau == tau) & (units.step == step)]
        for line, contrast in zip(grid, rows, strict=True):
            axes = line[place]
            part = here[here.quantity == f"selectivity_t.{contrast}"]
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if place == 0:
                axes.set_ylabel(CONTRASTS[contrast], rotation=0, ha="right", va="center")
            if not len(part):
                say(axes, "not measured")
                continue
            laid = np.asarray(sheet(part))
            image = axes.imshow(laid, cmap=DIVERGING, vmin=-limit, vmax=limit)
            order = _order(tables.measures, part, contrast)
            if order is not None:
                text = f"I = {round(order, 2) + 0.0:.2f}".replace("-", "−")  # no −0.00
                axes.set_xlabel(text, fontsize=7, labelpad=1.5)
        title = "untrained" if step == 0 else f"τ = {tau}"
        new = len(families) > 1 and (place == 0 or columns[place - 1][0] != family)
        head = f"{labels[family]}\n" if new else "\n" * (len(families) > 1)
        grid[0][place].set_title(head + title, loc="left" if new else "center")
    if image is not None:
        figure.colorbar(
            image, ax=[axes for line in grid for axes in line], label="Selectivity (Welch's t)",
            shrink=0.7, aspect=30, extend="both",
        )  # fmt: skip
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    units = _one_layer(tables.units)
    labels = {name: family.label for name, family in shown(spec).items()}
    lines = []
    for name in dict.fromkeys(family for family, _, _ in _columns(spec, units)):
        rows = units[units.family == name]
        lines.append(
            f"{labels[name]}: seed {rows.seed.iloc[0]}, layer {rows.layer.iloc[0]}, "
            f"n = {rows.unit.nunique()} units; untrained is before the first step."
        )
    lines.append(
        "Welch's t of each unit over images: one category against the other four; small things "
        "against big ones; animate against inanimate. I is Moran's I of the map; about 0 is "
        "expected of units in no order. One colour scale; its ends are the 99th percentile."
    )
    return lines


def scale(units: pd.DataFrame) -> float:
    """End of the symmetric colour scale: the 99th percentile of the sizes."""
    import numpy as np

    sizes = np.abs(units.value.to_numpy(float))
    return float(np.quantile(sizes[np.isfinite(sizes)], 0.99)) or 1.0


def _one_layer(units: pd.DataFrame) -> pd.DataFrame:
    """Of each family one layer, at the depth of the one that the paper shows."""
    kept = []
    for _, rows in units.groupby("family", sort=False):
        layers = list(dict.fromkeys(rows.layer))
        kept.append(rows[rows.layer == layers[math.ceil(DEPTH * len(layers)) - 1]].index)
    return units.loc[[label for labels in kept for label in labels]]


def _columns(spec: Mapping[str, Any], units: pd.DataFrame) -> list[Column]:
    """Family, τ and step of the networks that have maps: untrained, then τ in order."""
    found: list[Column] = []
    for family, tau, _ in models(spec):
        rows = units[(units.family == family) & (units.tau == tau)]
        found += [(family, tau, int(step)) for step in sorted(rows.step.unique())]
    return found


def _order(measures: pd.DataFrame, part: pd.DataFrame, contrast: str) -> float | None:
    """Moran's I of one map."""
    first = part.iloc[0]
    rows = measures[
        (measures.metric == f"selectivity_morans_i.{contrast}")
        & (measures.family == first.family)
        & (measures.tau == first.tau)
        & (measures.seed == first.seed)
        & (measures.step == first.step)
        & (measures.layer == first.layer)
    ]
    return float(rows.value.iloc[0]) if len(rows) else None
