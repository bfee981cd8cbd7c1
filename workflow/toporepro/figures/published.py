"""The paper's own points, drawn in a panel of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from toporepro.figures.scatter import scatter_family
from toporepro.figures.style import GREY, Style, room, say
from toporepro.report.selection import published_points

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Label and marker of the families and competitors in the paper's figures.
MARKS = {
    "resnet18": ("ResNet-18", "o"),
    "resnet50": ("ResNet-50", "s"),
    "vit_b_32": ("ViT-B/32", "D"),
}
LANGUAGE_MARKS = {"nanogpt": ("NanoGPT", "o"), "gpt_neo_125m": ("GPT-Neo-125M", "s")}
# Of Topoformer only smoothness is plotted, layer by layer.
TOPOFORMER = {
    "topoformer_fc_out": "fc_out",
    "topoformer_values": "values",
    "topoformer_keys": "keys",
    "topoformer_queries": "queries",
}
RIVALS = {"llcnn-g": ("LLCNN-G", "X"), "tdann": ("TDANN", "P")}
ABSENT = "the paper's points were not given (config/paper/figures.csv)"
LABELS = {
    "imagenet_top1_pct": "ImageNet top-1 accuracy (%)",
    "blimp_accuracy": "BLiMP accuracy (%)",
    "smoothness": "Smoothness (published)",
    "effective_dimensionality": "Effective dimensionality",
}


def performance(axes: Axes, published: pd.DataFrame | None, style: Style) -> list[str]:
    """Accuracy over smoothness, vision. Returns the τ drawn."""
    return scatter(
        axes, published, ("performance", "vision"), "smoothness", "imagenet_top1_pct", style
    )


def scatter(
    axes: Axes,
    published: pd.DataFrame | None,
    source: tuple[str, str],
    x: str,
    y: str,
    style: Style,
    marks: Mapping[str, tuple[str, str]] = MARKS,
) -> list[str]:
    """The points of one published panel (``source``: figure, panel). Returns the τ drawn."""
    axes.set_title("Published (ImageNet)" if marks is MARKS else "Published")
    if published is None:
        say(axes, ABSENT)
        return []
    points = published_points(published, source[1], source[0])
    if "blimp_accuracy" in points:
        points = points.assign(blimp_accuracy=100 * points.blimp_accuracy)
    taus: list[str] = []
    for name, (_, marker) in marks.items():
        taus += scatter_family(axes, points[points.family == name], x, y, style, marker, False)
    for name, (label, marker) in RIVALS.items():
        for _, row in points[points.family == name].iterrows():
            axes.scatter(row[x], row[y], color=GREY, marker=marker, s=55, zorder=2)
            axes.annotate(
                label, (row[x], row[y]), xytext=(7, 0), textcoords="offset points",
                ha="left", va="center", color="0.4", fontsize="small",
            )  # fmt: skip
    axes.set(xlabel=LABELS[x], ylabel=LABELS[y])
    room(axes)
    return taus


def topoformer(axes: Axes, published: pd.DataFrame | None) -> None:
    """Topoformer's published smoothness as vertical lines, on axes with smoothness along x."""
    if published is None:
        return
    points = published_points(published, "language", "performance")
    for number, (name, label) in enumerate(TOPOFORMER.items()):
        for value in points[points.family == name].smoothness:
            axes.axvline(value, color=GREY, linewidth=1.0, linestyle="--", zorder=0)
            # Two pairs of layers lie close to each other: their names stand on either side.
            right = number % 2
            axes.annotate(
                label, (value, 0.5), xycoords=("data", "axes fraction"), rotation=90, va="center",
                xytext=(2 if right else -2, 0), textcoords="offset points", color="0.4",
                ha="left" if right else "right", fontsize="x-small",
            )  # fmt: skip
