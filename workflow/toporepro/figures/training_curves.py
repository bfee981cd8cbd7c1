"""Training: task loss, topographic loss, and accuracy or validation loss, over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.style import legend_below, panels, say, style_of, tau_colour, tau_key
from toporepro.report.selection import topographic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Training curves"
ORDER = 13
TABLES = ("history",)
SUFFIXES = ("png", "svg")
ROWS = (
    ("loss", 1.0, "Task loss (nats)"),
    ("topo_loss", 1.0, "TopoLoss"),
)
ACCURACY = ("test_accuracy", 100.0, "Test accuracy (%)")
TEST_LOSS = ("test_loss", 1.0, "Validation loss (nats)")  # what language is judged by
POINTS = 120  # per curve: more cannot be told apart at this width


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """One row per family, one line per network; seeds of one τ share its colour."""
    style, known = style_of(spec), topographic(shown(spec))
    history = tables.history
    figure, grid = panels(len(ROWS) + 1, rows=max(1, len(known)), height=2.1)
    taus: list[str] = []
    for line, (name, family) in zip(grid, known.items(), strict=False):
        rows = history[history.family == name]
        taus += list(rows.tau.unique())
        line[0].set_title(family.label)
        text = rows["test_accuracy"].isna().all() and rows["test_loss"].notna().any()
        judged = TEST_LOSS if text else ACCURACY
        for axes, (metric, factor, label) in zip(line, (*ROWS, judged), strict=True):
            if rows[metric].notna().any():
                for (tau, _), one in rows.groupby(["tau", "seed"], sort=False):
                    _curve(axes, one, metric, factor, tau_colour(str(tau), style))
                axes.set_xlim(left=0)
                axes.set(xlabel="Epoch", ylabel=label)
            else:
                say(axes, f"no {metric} of {name} (rule train_model)")
    legend_below(figure, tau_key(taus, style, line=True))
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    history = tables.history
    lines = [f"Losses are means over stretches of steps, at most {POINTS} to a curve."]
    for name, family in topographic(shown(spec)).items():
        rows = history[history.family == name]
        count = rows.groupby(["tau", "seed"]).ngroups
        lines.append(f"{family.label}: n = {count} trainings, one line each.")
    return lines


def _curve(axes: Axes, rows: pd.DataFrame, metric: str, factor: float, colour: Any) -> None:
    import numpy as np
    import seaborn as sns

    kept = rows[rows[metric].notna()].sort_values("step")
    stretch = np.arange(len(kept)) * POINTS // max(len(kept), POINTS)
    means = kept.groupby(stretch)[["epoch", metric]].mean()
    marker = "o" if len(means) < 12 else None
    sns.lineplot(
        x=means["epoch"], y=factor * means[metric], color=colour, linewidth=1.1, ax=axes,
        marker=marker, markersize=4, markeredgewidth=0, errorbar=None,
    )  # fmt: skip
