"""Looks that all figures share: one colour per τ, markers per family, panels, notes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toporepro.spec import SpecError, decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

RGB = tuple[float, float, float]

BASELINE: RGB = (0.1, 0.1, 0.1)  # τ = 0
GREY: RGB = (0.55, 0.55, 0.55)  # competitors and controls
DIVERGING = "RdBu_r"
MARKERS = ("o", "s", "D", "^", "v", "P", "h", "*")
# Fixed ends, so that a τ has its colour in every preset and every figure.
LEAST_TAU, LARGEST_TAU = 0.05, 50.0
SALT = "toporepro"


@dataclass(frozen=True, kw_only=True)
class Style:
    """A preset's ``style``: sequential palette over τ, PNG resolution, factor on font sizes."""

    palette: str = "viridis"
    dpi: int = 150
    font_scale: float = 1.0


def style_of(spec: Mapping[str, Any]) -> Style:
    """The style of a figure's spec.

    Raises:
        SpecError: on an unknown key or a palette that matplotlib does not have.
    """
    import matplotlib

    style = decode(Style, spec.get("style", {}))
    if style.palette not in matplotlib.colormaps:
        raise SpecError(f"style.palette={style.palette!r}: a matplotlib colour map is needed")
    return style


@contextlib.contextmanager
def theme(style: Style) -> Iterator[None]:
    """Seaborn's theme while a figure is drawn and saved; the process's own settings return."""
    import matplotlib
    import seaborn as sns

    with matplotlib.rc_context():
        sns.set_theme(context="paper", style="ticks", font_scale=style.font_scale)
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": SALT,
                "svg.fonttype": "path",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.titlesize": 10 * style.font_scale,
                "axes.titlelocation": "left",
                "font.family": "DejaVu Sans",
                "legend.frameon": False,
                "figure.constrained_layout.h_pad": 0.06,
                "figure.constrained_layout.w_pad": 0.06,
            }
        )
        yield


def tau_colour(tau: str, style: Style) -> RGB:
    """The colour of a τ: near-black for 0, else its place on a logarithmic scale."""
    import matplotlib

    value = float(tau)
    if value == 0:
        return BASELINE
    low, high = math.log(LEAST_TAU), math.log(LARGEST_TAU)
    place = min(1.0, max(0.0, (math.log(value) - low) / (high - low)))
    # The bright end of sequential palettes has too little contrast with white.
    red, green, blue, _ = matplotlib.colormaps[style.palette](0.05 + 0.85 * place)
    return (float(red), float(green), float(blue))


def tau_key(taus: Sequence[str], style: Style, line: bool = False) -> list[Line2D]:
    """Legend entries, one per τ in numerical order; the first says that the numbers are τ."""
    from matplotlib.lines import Line2D

    ordered = sorted(set(taus), key=float)
    return [
        Line2D(
            [], [], color=tau_colour(tau, style), label=f"{'τ = ' * (tau == ordered[0])}{tau}",
            marker="" if line else "o", linestyle="-" if line else "",
        )
        for tau in ordered
    ]  # fmt: skip


def marker_key(label: str, marker: str, colour: RGB = GREY, hollow: bool = False) -> Line2D:
    """One legend entry of a marker."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=colour, marker=marker, linestyle="", label=label,
        markerfacecolor="none" if hollow else colour,
    )  # fmt: skip


def panels(
    count: int,
    *,
    rows: int = 1,
    width: float = 3.1,
    height: float = 2.7,
    wrap: int = 3,
    beside: float = 0.0,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``count`` columns in each of ``rows`` rows; a single row wraps after ``wrap``.

    Args:
        beside: inches for names of the rows.

    Returns:
        The axes, as ``rows`` lists of ``count``; sizes are in inches.
    """
    from matplotlib.figure import Figure

    columns = min(count, wrap) if rows == 1 else count
    lines = math.ceil(count / columns) if rows == 1 else rows
    figure = Figure(figsize=(columns * width + beside, lines * height + 0.5), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    if rows > 1:
        return figure, [list(line) for line in grid]
    flat = list(grid.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    return figure, [flat[:count]]


def legend_below(figure: Figure, *lines: Sequence[Line2D]) -> None:
    """A legend under all panels, where it covers no data; one line per argument."""
    from matplotlib.lines import Line2D

    kept = [line for line in lines if line]
    columns = max((len(line) for line in kept), default=0)
    blank = Line2D([], [], linestyle="", label=" ")
    # A legend fills column by column.
    handles = [
        line[column] if column < len(line) else blank for column in range(columns) for line in kept
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            handletextpad=0.3,
            columnspacing=1.0,
        )


def say(axes: Axes, text: str) -> None:
    """An empty panel that says what is missing."""
    import textwrap

    axes.set_axis_off()
    axes.text(
        0.5, 0.5, textwrap.fill(text, 34), ha="center", va="center", color=GREY,
        transform=axes.transAxes,
    )  # fmt: skip


def room(axes: Axes, share: float = 0.13) -> None:
    """Space around the data, so that markers are not cut at the frame."""
    axes.margins(share)


def save(figure: Figure, path: Any, style: Style, suffix: str) -> None:
    """PNG or SVG whose bytes depend on the drawing alone."""
    metadata: dict[str, Any] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }[suffix]
    figure.savefig(path, format=suffix, dpi=style.dpi, metadata=metadata)
