"""Regions of the sheet for categories of words, as they emerge over training: a film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, sheet, shown
from toporepro.figures.style import legend_below, marker_key, panels, say
from toporepro.report.colours import CATEGORIES
from toporepro.report.selection import topographic
from toporepro.report.tables import natural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Regions for categories of words"
ORDER = 12
TASK = "language"
TABLES = ("curves",)
SUFFIXES = ("png", "svg", "gif")
QUANTITIES = ("word_preferred",)
CATEGORY = "word_category."
LAYERS = 4  # columns: layers evenly spaced, the last among them
MILLISECONDS = 900
FILM_DPI = 90
NONE = "#E6E6E6"  # units that prefer no category


def models(spec: Mapping[str, Any]) -> list[Model]:
    """Of each family τ = 0 and its largest τ, at its first seed."""
    found = []
    for name, family in topographic(shown(spec)).items():
        ends = dict.fromkeys((family.taus[0], family.taus[-1]))
        found += [(name, tau, min(family.seeds)) for tau in ends]
    return found


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """The still: fully trained networks."""
    return _scene(spec, tables)[0]


def film(spec: Mapping[str, Any], tables: Tables) -> tuple[list[Any], int]:
    """Frames (Pillow images) over the snapshots, and the duration of each in milliseconds."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure, update, frames = _scene(spec, tables)
    figure.set_dpi(FILM_DPI)
    canvas: Any = FigureCanvasAgg(figure)
    pictures = []
    for frame in range(frames):
        update(frame)
        canvas.draw()
        figure.set_layout_engine("none")  # laid out once, so that nothing moves between frames
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    return pictures, MILLISECONDS


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    maps, _ = _maps(spec, tables)
    if not maps:
        return ["No preferred words in the units of the families shown."]
    steps = {model: [step for step, _ in of] for model, of in maps.items()}
    lines = [
        "Each unit has the colour of the category of words to which it is most selective, if t "
        f"passes the measure's threshold. Categories: {', '.join(_categories(tables))}."
    ]
    for (name, tau, _), of in steps.items():
        label = shown(spec)[name].label
        lines.append(f"{label}, τ = {tau}: steps {', '.join(map(str, of))}.")
    return lines


def _scene(spec: Mapping[str, Any], tables: Tables) -> tuple[Figure, Any, int]:
    """The figure, a function that turns it to a snapshot, and how many snapshots there are."""
    from matplotlib.colors import ListedColormap

    maps, layers = _maps(spec, tables)
    names = _categories(tables)
    if not maps:
        figure, ((axes,),) = panels(1)
        say(axes, "no word_preferred in the units of the families shown (rule measure_model)")
        return figure, lambda frame: None, 1
    colours = ListedColormap([NONE, *CATEGORIES[: max(1, len(names))]])
    height, width = next(iter(next(iter(maps.values()))[-1][1].values())).shape
    figure, grid = panels(
        len(layers), rows=len(maps), width=1.6, height=1.6 * height / width, beside=1.5
    )
    images: list[Any] = []
    labels = []
    for line, ((name, tau, _), of) in zip(grid, maps.items(), strict=True):
        step, laid = of[-1]
        for axes, layer in zip(line, layers, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if layer in laid:
                images.append(
                    axes.imshow(laid[layer], cmap=colours, vmin=-1.5, vmax=len(names) - 0.5)
                )
            else:
                say(axes, "no such layer")
                images.append(None)
        label = f"{shown(spec)[name].label}\nτ = {tau}\nstep {{step:,}}"
        text = line[0].set_ylabel(
            label.format(step=step), rotation=0, ha="right", va="center", fontsize="small"
        )
        labels.append((text, label))
    for place, axes in enumerate(grid[0]):
        axes.set_title(f"layer {_number(layers[place])}", loc="center", fontsize="small")
    key = [
        marker_key(name, "s", colour)  # type: ignore[arg-type]
        for name, colour in [*zip(names, CATEGORIES, strict=False), ("none", NONE)]
    ]
    half = -(-len(key) // 2)
    legend_below(figure, key[:half], key[half:])
    frames = max(len(of) for of in maps.values())

    def update(frame: int) -> None:
        drawn = iter(images)
        for (text, label), of in zip(labels, maps.values(), strict=True):
            step, laid = of[min(frame, len(of) - 1)]
            text.set_text(label.format(step=step))
            for layer in layers:
                image = next(drawn)
                if image is not None:
                    image.set_data(laid[layer])

    return figure, update, frames


def _categories(tables: Tables) -> list[str]:
    """Names in the order of their numbers."""
    rows = tables.curves[tables.curves.quantity.str.startswith(CATEGORY)]
    numbered = {
        int(index): str(quantity).removeprefix(CATEGORY)
        for index, quantity in zip(rows["index"], rows.quantity, strict=True)
    }
    return [numbered[number] for number in sorted(numbered)]


_Maps = dict[Model, list[tuple[int, dict[str, Any]]]]


def _maps(spec: Mapping[str, Any], tables: Tables) -> tuple[_Maps, list[str]]:
    """Per model its steps in order, each with the maps of the layers shown; and these layers."""
    import numpy as np

    units: pd.DataFrame = tables.units
    every = sorted(units.layer.unique(), key=natural)
    places = np.unique(np.linspace(0, max(len(every) - 1, 0), LAYERS).round().astype(int))
    layers = [every[place] for place in places if every]
    found: _Maps = {}
    for name, tau, seed in models(spec):
        rows = units[(units.family == name) & (units.tau == tau) & (units.seed == seed)]
        for step, of_step in rows.groupby("step"):
            laid = {
                layer: np.nan_to_num(sheet(of_layer), nan=-1.0)
                for layer in layers
                if len(of_layer := of_step[of_step.layer == layer])
            }
            found.setdefault((name, tau, seed), []).append((int(str(step)), laid))
    return found, layers


def _number(layer: str) -> str:
    """What a reader calls ``transformer.h.3.mlp.c_fc``: layer 4."""
    digits = [part for part in layer.split(".") if part.isdigit()]
    return str(int(digits[0]) + 1) if digits else layer
