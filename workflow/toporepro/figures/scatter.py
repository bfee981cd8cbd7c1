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
    """Means over seeds, joined and labelled in the order of τ; single networks small behind them.

    Returns:
        The τ drawn.
    """
    import seaborn as sns

    means = rows.groupby(["tau_value", "tau"], as_index=False)[[x, y]].mean()
    taus = means["tau"].tolist()
    axes.plot(means[x], means[y], color=GREY, linewidth=0.8, zorder=1)
    many = len(rows) > len(means)
    for table, size, opacity in ((rows, 16, 0.55), (means, 46, 1.0)):
        if table is rows and not many:
            continue
        sns.scatterplot(
            data=table,
            x=x,
            y=y,
            hue="tau",
            hue_order=taus,
            palette={tau: tau_colour(tau, style) for tau in taus},
            marker=marker,
            s=size,
            alpha=opacity,
            edgecolor="white",
            linewidth=0.5,
            legend=False,
            zorder=2 if table is rows else 3,
            ax=axes,
        )
    room(axes)
    if label and len(means):
        _label(axes, means, x, y)
    return taus


def at_least(axes: Axes, span: float, *, horizontal: bool) -> None:
    """Widen an axis to at least ``span``, so that noise between networks does not fill it."""
    low, high = axes.get_xlim() if horizontal else axes.get_ylim()
    if high - low < span:
        middle = (low + high) / 2
        ends = (middle - span / 2, middle + span / 2)
        if horizontal:
            axes.set_xlim(*ends)
        else:
            axes.set_ylim(*ends)


def _label(axes: Axes, means: pd.DataFrame, x: str, y: str) -> None:
    """τ beside each mean, on the side of the line that it leaves free."""
    first, last = means.iloc[0], means.iloc[-1]
    rises = (last[y] - first[y]) * (last[x] - first[x]) > 0
    for _, point in means.iterrows():
        axes.annotate(
            str(point["tau"]), (point[x], point[y]), xytext=(5, -4 if rises else 4), color="0.3",
            textcoords="offset points", va="top" if rises else "bottom", fontsize="x-small",
            zorder=4,
        )  # fmt: skip
