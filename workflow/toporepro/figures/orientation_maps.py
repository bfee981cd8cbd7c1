"""Orientation selectivity on the sheet at 0, 45, 70 and 90°, for every τ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, first_seeds, sheet
from toporepro.figures.style import DIVERGING, panels, say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Orientation selectivity"
ORDER = 6
TABLES = ()
SUFFIXES = ("png", "svg")
QUANTITIES = ("orientation_t",)
ANGLES = (0, 45, 70, 90)


def models(spec: Mapping[str, Any]) -> list[Model]:
    """Models whose units are drawn."""
    return first_seeds(spec)


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Angles down, τ across; one symmetric colour scale for all."""
    import numpy as np

    units = tables.trained_units
    columns = _columns(spec, units)
    if not columns:
        figure, ((axes,),) = panels(1)
        say(axes, "no orientation_t in the units of the families shown (rule measure_model)")
        return figure
    limit = scale(units.value)
    figure, grid = panels(len(columns), rows=len(ANGLES), width=1.45, height=1.2)
    image = None
    for column, (name, tau) in enumerate(columns):
        rows = units[(units.family == name) & (units.tau == tau)]
        for line, angle in zip(grid, ANGLES, strict=True):
            axes, here = line[column], rows[rows["index"] == angle]
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(f"{angle}°", rotation=0, ha="right", va="center")
            if not len(here):
                say(axes, "not measured")
                continue
            image = axes.imshow(np.asarray(sheet(here)), cmap=DIVERGING, vmin=-limit, vmax=limit)
        label = f"{name}\n" if len({family for family, _ in columns}) > 1 else ""
        grid[0][column].set_title(f"{label}τ = {tau}", loc="center")
    if image is not None:
        figure.colorbar(
            image, ax=[axes for line in grid for axes in line], label="Selectivity (t, an index)",
            shrink=0.6, aspect=30, extend="both",
        )  # fmt: skip
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    units = tables.trained_units
    lines = []
    for name, tau in _columns(spec, units):
        rows = units[(units.family == name) & (units.tau == tau)]
        lines.append(
            f"{name}, τ = {tau}: seed {rows.seed.iloc[0]}, n = {rows.unit.nunique()} units."
        )
    lines.append(
        "t of the lines within 3° against all others; only 54 of the 180 images are distinct, so t "
        "is an index, not a test."
    )
    return lines


def scale(values: pd.Series[float]) -> float:
    """End of the symmetric colour scale: the 99th percentile of the sizes."""
    import numpy as np

    finite = np.abs(values.to_numpy(float))
    finite = finite[np.isfinite(finite)]
    return float(np.quantile(finite, 0.99)) or 1.0 if len(finite) else 1.0


def _columns(spec: Mapping[str, Any], units: pd.DataFrame) -> list[tuple[str, str]]:
    """Family and τ of the models that have maps, in the spec's order."""
    have = set(zip(units.family, units.tau, strict=True))
    return [(name, tau) for name, tau, _ in first_seeds(spec) if (name, tau) in have]
