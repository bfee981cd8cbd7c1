"""Whether sheets are laid out like regions of a brain: similarity over distance, three numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.style import (
    GREY,
    legend_below,
    marker_key,
    panels,
    room,
    say,
    style_of,
    tau_colour,
    tau_key,
)
from toporepro.report.brain import of_participants, ordered
from toporepro.report.selection import Family, topographic
from toporepro.report.statistics import t_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Layout of sheets and of brain regions"
ORDER = 8.5
TABLES = ("measures", "curves")
SUFFIXES = ("png", "svg")
COMPARISONS = {
    "brain_curve": "Similarity\nover distance",
    "brain_patch": "Category\npatches",
    "brain_place": "Places of\nmatched units",
}
BRAIN = "brain_by_distance."


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """One row per family: curves of regions, curves of sheets, and how much alike they are."""
    from matplotlib.figure import Figure

    style = style_of(spec)
    families = _measured(spec, tables)
    if not families:
        figure, ((axes,),) = panels(1)
        say(
            axes,
            "no layout was held against a brain's\n(rule measure_model, measure `brain_layout`)",
        )
        return figure
    figure = Figure(figsize=(10, 2.8 * len(families) + 0.7), layout="constrained")
    grid = figure.subplots(len(families), 3, squeeze=False)
    lines: list[Any] = []
    for line, (name, family) in zip(grid, families.items(), strict=True):
        line[1].sharey(line[0])
        regions = _brain(line[0], tables.curves, name)
        lines = regions if len(regions) > len(lines) else lines
        _sheet(line[1], tables.curves, name, family, style)
        _numbers(line[2], tables.measures, name, family, style)
        line[0].set_ylabel(f"{family.label}\n\nCorrelation of responses")
    titles = ("Regions of the brain", "Sheets (mean over layers)", "How much alike")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    taus = [tau for family in families.values() for tau in family.taus]
    key = [*tau_key(taus, style), marker_key("untrained", "o", GREY, hollow=True)]
    legend_below(figure, lines, key)
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n, and what is shown."""
    lines = []
    for name, family in _measured(spec, tables).items():
        rows = of_participants(tables.measures, "brain_curve")
        rows = rows[rows.family == name]
        lines.append(
            f"{family.label}: {rows.participant.nunique()} participants, "
            f"{rows.region.nunique()} regions of {', '.join(dict.fromkeys(rows.stimuli))}."
        )
    lines.append(
        "Mean correlation of the responses of two voxels, or two units, to the same stimuli, in "
        "bins of equally many pairs, the nearest first. Right: correlation of the two curves; the "
        "same of maps of selectivity; and correlation of distances between matched units and "
        "between their voxels. Points are means over participants and regions, bars 95 % t "
        "intervals over participants; shuffled units give 0."
    )
    return lines


def _measured(spec: Mapping[str, Any], tables: Tables) -> dict[str, Family]:
    have = set(of_participants(tables.measures, "brain_curve").family)
    return {name: family for name, family in topographic(shown(spec)).items() if name in have}


def _brain(axes: Axes, curves: pd.DataFrame, name: str) -> list[Any]:
    """Curves of regions, mean over participants; the legend's entries."""
    from matplotlib.lines import Line2D

    rows = curves[(curves.family == name) & curves.quantity.str.startswith(BRAIN)]
    rows = rows.assign(region=rows.quantity.str.split(".", n=2).str[1])
    # Of every network of the family the same.
    means = rows.groupby(["region", "index"], sort=False)["value"].mean()
    found = []
    for number, region in enumerate(ordered(rows.region)):
        dashes: Any = ("-", "--", ":")[number % 3]
        colour = str(0.1 + 0.15 * (number % 5))
        bins = means[region]
        curve = bins.dropna()
        places = (curve.index + 0.5) / len(bins)
        axes.plot(places, curve, marker=".", color=colour, linestyle=dashes)
        found.append(Line2D([], [], marker=".", label=region, color=colour, linestyle=dashes))
    _axes(axes)
    return found


def _sheet(axes: Axes, curves: pd.DataFrame, name: str, family: Family, style: Any) -> None:
    rows = curves[(curves.family == name) & (curves.quantity == "sheet_by_distance")]
    drawn = [("untrained", rows[rows.step == 0])]
    drawn += [(tau, rows[(rows.tau == tau) & (rows.step > 0)]) for tau in family.taus]
    for tau, part in drawn:
        curve = part.groupby("index")["value"].mean()
        if len(curve):
            colour = GREY if tau == "untrained" else tau_colour(tau, style)
            axes.plot((curve.index + 0.5) / len(curve), curve, marker=".", color=colour,
                      linestyle=":" if tau == "untrained" else "-")  # fmt: skip
    _axes(axes)


def _axes(axes: Axes) -> None:
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel="Share of pairs that are nearer", xlim=(0, 1))


def _numbers(axes: Axes, measures: pd.DataFrame, name: str, family: Family, style: Any) -> None:
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    for place, metric in enumerate(COMPARISONS):
        rows = of_participants(measures, metric)
        rows = rows[rows.family == name]
        drawn = [("untrained", rows[rows.step == 0])]
        drawn += [(tau, rows[(rows.tau == tau) & (rows.step > 0)]) for tau in family.taus]
        for number, (tau, part) in enumerate(drawn):
            means = part.groupby("participant")["value"].mean()
            if not len(means):
                continue
            x = place + (number - (len(drawn) - 1) / 2) * 0.75 / len(drawn)
            colour = GREY if tau == "untrained" else tau_colour(tau, style)
            interval = t_interval(means.to_numpy(float))
            if interval is not None:
                axes.plot([x, x], [interval.low, interval.high], color=colour, linewidth=1)
            axes.plot(
                x, means.mean(), "o", color=colour, markersize=4,
                markerfacecolor="white" if tau == "untrained" else colour,
            )  # fmt: skip
    axes.set_xticks(range(len(COMPARISONS)), list(COMPARISONS.values()))
    axes.set_ylabel("Correlation with the brain")
    room(axes)
    axes.set_xlim(-0.6, len(COMPARISONS) - 0.4)
