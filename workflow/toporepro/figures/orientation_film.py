"""Orientation selectivity over all angles, as a film with the stimulus beside the maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, first_seeds, sheet
from toporepro.figures.orientation_maps import scale
from toporepro.figures.style import DIVERGING, panels, say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Orientation selectivity, the film"
ORDER = 7
TABLES = ()
SUFFIXES = ("png", "svg", "gif")
QUANTITIES = ("orientation_film",)
STILL = 44  # degrees, in the still picture
STEP = 2  # degrees between frames
MILLISECONDS = 80
FILM_DPI = 90


def models(spec: Mapping[str, Any]) -> list[Model]:
    """Models whose units are drawn."""
    return first_seeds(spec)


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """The still: one angle, the stimulus and every τ."""
    return _scene(spec, tables)[0]


def film(spec: Mapping[str, Any], tables: Tables) -> tuple[list[Any], int]:
    """Frames (Pillow images) over the angles, and the duration of each in milliseconds."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure, update, angles = _scene(spec, tables)
    figure.set_dpi(FILM_DPI)
    canvas: Any = FigureCanvasAgg(figure)
    frames = []
    for angle in angles[::STEP] or [STILL]:
        update(angle)
        canvas.draw()
        figure.set_layout_engine("none")  # laid out once, so that nothing moves between frames
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    return frames, MILLISECONDS


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    units = tables.trained_units
    maps = _maps(spec, units)
    if not maps:
        return ["No orientation_film in the units of the families shown."]
    count = units.groupby(["family", "tau"]).unit.nunique().max()
    return [
        f"t of the lines within 1° of each angle against all others, 0 to 178°; n = {count} units "
        f"a map, {len(maps)} networks, one colour scale."
    ]


def _scene(spec: Mapping[str, Any], tables: Tables) -> tuple[Figure, Any, list[int]]:
    """The figure, a function that turns it to an angle, and the angles there are."""
    from toporepro.measure.orientation import line_image

    units = tables.trained_units
    maps = _maps(spec, units)
    if not maps:
        figure, ((axes,),) = panels(1)
        say(axes, "no orientation_film in the units of the families shown (rule measure_model)")
        return figure, lambda angle: None, []
    angles = sorted(int(angle) for angle in units["index"].unique())
    limit, still = scale(units.value), min(angles, key=lambda angle: abs(angle - STILL))
    figure, (scene,) = panels(1 + len(maps), width=1.5, height=1.9, wrap=6)
    for panel in scene:
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    stimulus = scene[0].imshow(line_image(still), cmap="gray", vmin=0, vmax=1)
    title = scene[0].set_title(f"{still:3d}°", loc="center", family="DejaVu Sans Mono")
    images = []
    for panel, ((name, tau), by_angle) in zip(scene[1:], maps.items(), strict=True):
        label = f"{name}\n" if len({family for family, _ in maps}) > 1 else ""
        panel.set_title(f"{label}τ = {tau}", loc="center")
        images.append(panel.imshow(by_angle[still], cmap=DIVERGING, vmin=-limit, vmax=limit))
    figure.colorbar(
        images[0], ax=scene, label="Selectivity (t, an index)", location="bottom",
        shrink=0.5, aspect=40, extend="both",
    )  # fmt: skip

    def update(angle: int) -> None:
        stimulus.set_data(line_image(angle))
        title.set_text(f"{angle:3d}°")
        for image, by_angle in zip(images, maps.values(), strict=True):
            image.set_data(by_angle[angle])

    return figure, update, angles


def _maps(spec: Mapping[str, Any], units: pd.DataFrame) -> dict[tuple[str, str], dict[int, Any]]:
    """Maps by model and angle, in the spec's order."""
    found: dict[tuple[str, str], dict[int, Any]] = {}
    for name, tau, _ in first_seeds(spec):
        rows = units[(units.family == name) & (units.tau == tau)]
        if len(rows):
            found[name, tau] = {
                int(angle): sheet(rows[rows["index"] == angle]) for angle in rows["index"].unique()
            }
    return found
