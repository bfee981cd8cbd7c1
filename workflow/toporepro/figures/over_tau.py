"""A metric over τ, a panel per family: trained networks, untrained ones, and all controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toporepro.figures.style import (
    BASELINE,
    GREY,
    Style,
    legend_below,
    marker_key,
    room,
    say,
    tau_colour,
)
from toporepro.report.selection import (
    Family,
    controls_of,
    final,
    topographic,
    untrained_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

CONTROLS = {"random_labels": ("random labels", "^"), "topoloss_only": ("TopoLoss alone", "s")}
AXIS = "τ (weight of TopoLoss)"


def draw_families(
    axes: Sequence[Axes], known: Mapping[str, Family], rows: pd.DataFrame, label: str, style: Style
) -> None:
    """Each family that is no control on axes of its own; τ in order, not to scale.

    Args:
        rows: as ``selection.networks`` gives them.
        label: of the ordinate.
    """
    for panel, (name, family) in zip(axes, topographic(known).items(), strict=True):
        panel.set_title(family.label)
        trained = final(rows[rows.family == name])
        if not len(trained):
            say(panel, f"no {label.lower()} of {name} (rule measure_model)")
            continue
        places = {tau: place for place, tau in enumerate(family.taus)}
        untrained = rows[rows.family.isin(untrained_of(known, name)) & (rows.step == 0)]
        untrained = untrained[untrained.tau.isin(list(places))]
        panel.scatter(
            [places[tau] for tau in untrained.tau], untrained.value, s=36, facecolor="none",
            edgecolor=GREY, linewidth=1.0, zorder=2,
        )  # fmt: skip
        means = trained.groupby("tau")["value"].mean()
        drawn = [tau for tau in family.taus if tau in means.index]
        panel.plot(
            [places[tau] for tau in drawn], means[drawn], color=GREY, linewidth=0.8, zorder=1
        )
        for tau, value in zip(trained.tau, trained.value, strict=True):
            panel.scatter(
                places[tau], value, color=[tau_colour(tau, style)], s=42, zorder=3,
                edgecolor="white", linewidth=0.5,
            )  # fmt: skip
        for other, control in controls_of(known, name).items():
            if control.control not in CONTROLS:
                continue
            values = final(rows[rows.family == other])
            here = [places[tau] for tau in values.tau if tau in places]
            kept = values.value[values.tau.isin(list(places))]
            panel.scatter(
                here, kept, marker=CONTROLS[control.control][1], s=46, zorder=4,
                facecolor="none", edgecolor=BASELINE, linewidth=1.1,
            )  # fmt: skip
        panel.set_xticks(list(places.values()), list(places))
        panel.set(xlabel=AXIS, ylabel=label)
        room(panel)


def key(figure: Figure, panels: int, style: Style, *more: Sequence[Line2D]) -> None:
    """The legend: in two lines under a single panel."""
    circles = [
        marker_key("trained (colour: τ)", "o", tau_colour("5", style)),
        marker_key("untrained", "o", hollow=True),
    ]
    others = [marker_key(label, mark, BASELINE, True) for label, mark in CONTROLS.values()]
    lines = [[*circles, *others]] if panels > 1 else [circles, others]
    legend_below(figure, *lines, *more)
