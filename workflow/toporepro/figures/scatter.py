"""Networks of one family as points, a colour per τ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toporepro.figures.style import GREY, Style, room, tau_colour

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def scatter_family(
    axes: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    style: Style,
    marker: str = "o",
    label: bool = True,
) -> list[str]:
    """Every network a point, means over seeds joined (and labelled) in the order of τ.

    Returns:
        The τ drawn.
    """
    import seaborn as sns

    means = rows.groupby("tau_value")[[x, y]].mean()
    axes.plot(means[x], means[y], color=GREY, linewidth=0.8, zorder=1)
    taus = sorted(rows.tau.unique(), key=float)
    sns.scatterplot(
        data=rows,
        x=x,
        y=y,
        hue="tau",
        hue_order=taus,
        palette={tau: tau_colour(tau, style) for tau in taus},
        marker=marker,
        s=42,
        edgecolor="white",
        linewidth=0.5,
        legend=False,
        zorder=2,
        ax=axes,
    )
    room(axes)
    if not label or not len(means):
        return taus
    # Beside the line, on the side that it leaves free.
    rises = (means[y].iloc[-1] - means[y].iloc[0]) * (means[x].iloc[-1] - means[x].iloc[0]) > 0
    for tau, point in means.iterrows():
        axes.annotate(
            f"{tau:g}", (point[x], point[y]), xytext=(5, -4 if rises else 4), color="0.35",
            textcoords="offset points", va="top" if rises else "bottom", fontsize="x-small",
        )  # fmt: skip
    return taus
