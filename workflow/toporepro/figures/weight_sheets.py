"""Weights on the cortical sheet, without and with topography."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, sheet, shown
from toporepro.figures.orientation_maps import scale
from toporepro.figures.style import DIVERGING, say
from toporepro.report.selection import topographic
from toporepro.report.tables import natural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure, SubFigure

TITLE = "Weights on the cortical sheet"
ORDER = 3
TABLES = ()
SUFFIXES = ("png", "svg")
QUANTITIES = ("weight", "weight_pc")
WIDEST = 22  # letters of a layer's name above its sheet
LAYERS = 4  # of a deep network, spread over its depth


def models(spec: Mapping[str, Any]) -> list[Model]:
    """Of each family: τ = 0 and the middle one of its τ > 0, at the first seed."""
    return [
        (name, tau, min(family.seeds))
        for name, family in topographic(shown(spec)).items()
        for tau in _pair(family.taus)
    ]


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Per family: every unit's weights as a tile, or the first component of several layers."""
    from matplotlib.figure import Figure as NewFigure

    known = topographic(shown(spec))
    units = tables.trained_units
    blocks = []
    for name, family in known.items():
        rows = units[units.family == name]
        image = "weight" in set(rows.quantity)
        blocks.append(
            (name, family.label, rows[rows.quantity == "weight"] if image else rows, image)
        )
    heights = [3.9 if image else 3.0 for *_, image in blocks] or [2.0]
    figure = NewFigure(figsize=(7.2, sum(heights)), layout="constrained")
    if not blocks:
        say(figure.subplots(), "no family but controls is shown")
        return figure
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (name, label, rows, image) in zip(parts, blocks, strict=True):
        taus = [tau for tau in _pair(known[name].taus) if tau in set(rows.tau)]
        if not taus:
            say(part.subplots(), f"no weights in the units of {name} (rule measure_model)")
        elif image:
            _tiles(part, label, rows, taus)
        else:
            _components(part, label, rows, taus)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    units = tables.trained_units
    lines = []
    for name, family in topographic(shown(spec)).items():
        rows = units[units.family == name]
        counts = rows.groupby("layer").unit.nunique()
        if len(rows):
            lines.append(
                f"{family.label}: τ = {' and '.join(_pair(family.taus))}, "
                f"seed {min(family.seeds)}; "
                f"{', '.join(f'{layer} {counts[layer]} units' for layer in _layers(rows))}."
            )
    lines.append(
        "Tiles: one unit's weights at its place on the sheet. Maps: each unit's score on the first "
        "principal component of its layer's weight vectors, scaled to −1 … 1."
    )
    return lines


def _pair(taus: tuple[str, ...]) -> list[str]:
    """τ = 0 and the middle one of the others, as far as there are."""
    others = [tau for tau in taus if float(tau) > 0]
    return [*(tau for tau in taus if float(tau) == 0), *others[len(others) // 2 :][:1]]


def _tiles(part: SubFigure, label: str, rows: pd.DataFrame, taus: list[str]) -> None:
    limit = scale(rows.value)
    axes = part.subplots(1, len(taus), squeeze=False)[0]
    part.suptitle(f"{label}: incoming weights of {rows.layer.iloc[0]}", x=0.01, ha="left")
    image: Any = None
    for panel, tau in zip(axes, taus, strict=True):
        image = panel.imshow(
            mosaic(rows[rows.tau == tau]), cmap=DIVERGING, vmin=-limit, vmax=limit,
            interpolation="nearest",
        )  # fmt: skip
        panel.set_axis_off()
        panel.set_title(f"τ = {tau}", loc="center")
    part.colorbar(image, ax=list(axes), label="Weight", shrink=0.7, aspect=30, extend="both")


def mosaic(rows: pd.DataFrame) -> Any:
    """Each unit's weights as a square tile at its place on the sheet, gaps between (``nan``).

    Weights are pixels row by row, channel after channel; channels are averaged.
    """
    import numpy as np

    ordered = rows.sort_values(["row", "col", "index"])
    pixels = int(ordered["index"].max()) + 1
    channels = next((c for c in (1, 3) if pixels % c == 0 and _square(pixels // c)), 0)
    if not channels:
        raise ValueError(f"{pixels} weights a unit: no square image of 1 or 3 channels")
    height, width = int(ordered.row.max()) + 1, int(ordered.col.max()) + 1
    side = math.isqrt(pixels // channels)
    tiles = ordered.value.to_numpy(float).reshape(height, width, channels, side, side).mean(axis=2)
    spaced = np.full((height, width, side + 1, side + 1), np.nan)
    spaced[:, :, :side, :side] = tiles
    return spaced.transpose(0, 2, 1, 3).reshape(height * (side + 1), width * (side + 1))[:-1, :-1]


def _components(part: SubFigure, label: str, rows: pd.DataFrame, taus: list[str]) -> None:
    layers = _layers(rows)
    part.suptitle(f"{label}: first component of the weights", x=0.01, ha="left")
    grid = part.subplots(len(taus), len(layers), squeeze=False)
    first = rows[(rows.quantity == "weight_pc") & (rows["index"] == 0)]
    image = None
    for line, tau in zip(grid, taus, strict=True):
        for panel, layer in zip(line, layers, strict=True):
            here = first[(first.tau == tau) & (first.layer == layer)]
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if layer == layers[0]:
                panel.set_ylabel(f"τ = {tau}")
            if tau == taus[0]:
                panel.set_title(short(layer), loc="center", fontsize="small")
            if not len(here):
                say(panel, "not measured")
                continue
            values = sheet(here)
            image = panel.imshow(values, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    if image is not None:
        part.colorbar(image, ax=list(grid.flat), label="Score", shrink=0.7, aspect=30)


def _layers(rows: pd.DataFrame) -> list[str]:
    """At most four layers, spread over the depth."""
    names = sorted(rows.layer.unique(), key=natural)
    if len(names) <= LAYERS:
        return names
    return [names[round(place * (len(names) - 1) / (LAYERS - 1))] for place in range(LAYERS)]


def short(layer: str) -> str:
    """The end of a layer's name, by whole parts, that fits above its sheet."""
    parts = layer.split(".")
    while len(parts) > 1 and len(".".join(parts)) > WIDEST:
        del parts[0]
    return layer if layer == ".".join(parts) else f"… {'.'.join(parts)}"


def _square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number
