"""How well networks foretell regions of a brain: by single units, one to one, and by regression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.style import (
    GREY,
    legend_below,
    marker_key,
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

TITLE = "Prediction of brain responses"
ORDER = 8
TABLES = ("measures",)
SUFFIXES = ("png", "svg")
APPROACHES = {
    "brain_unit": "Best unit of each voxel",
    "brain_match": "Units one to one",
    "brain_ridge": "Ridge regression",
}
LINES: tuple[Any, ...] = ("-", "--", ":", "-.")


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """One row per family: three measures by region and τ, then the ridge layer by layer."""
    from matplotlib.figure import Figure

    style, rows = style_of(spec), _rows(tables)
    families = _measured(spec, rows)
    regions = ordered(rows.region)
    wide = max(2.6, 0.75 * len(regions))
    figure = Figure(
        figsize=(3 * wide + 4.0, 2.7 * max(1, len(families)) + 0.7), layout="constrained"
    )
    if not families:
        axes = figure.subplots()
        say(axes, "no responses of brains were measured\n(rule measure_model, measure `brain`)")
        return figure
    grid = figure.subplots(
        len(families), 4, squeeze=False, sharey="row", width_ratios=[wide, wide, wide, 3.2]
    )
    for line, (name, family) in zip(grid, families.items(), strict=True):
        mine = rows[rows.family == name]
        for axes, metric in zip(line, APPROACHES, strict=False):
            _regions(axes, mine[mine.metric_name == metric], family, style, regions)
        over = "" if mine.raw.all() else " / noise ceiling"
        line[0].set_ylabel(f"{family.label}\n\nCorrelation{over}")
        _layers(line[3], tables.measures, name, family, style, regions)
    for axes, title in zip(grid[0], (*APPROACHES.values(), "Ridge, layer by layer"), strict=True):
        axes.set_title(title)
    taus = [tau for family in families.values() for tau in family.taus]
    legend_below(
        figure,
        [*tau_key(taus, style), marker_key("untrained", "o", GREY, hollow=True)],
        _line_key(regions),
    )
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n, and what points and bars are."""
    rows = _rows(tables)
    lines = []
    for name, family in _measured(spec, rows).items():
        mine = rows[(rows.family == name) & (rows.metric_name == "brain_ridge")]
        sets = ", ".join(dict.fromkeys(mine.stimuli))
        lines.append(
            f"{family.label}: {mine.participant.nunique()} participants, "
            f"{mine.region.nunique()} regions, held-out stimuli of {sets}."
        )
        lines += _chance(tables.measures, name, family)
    lines.append(
        "Points are means over participants (and seeds), bars 95 % t intervals over participants. "
        "Each region is foretold by the layer that cross-validation on training stimuli chose. "
        "Right: every layer measured, at the smallest τ and the largest."
    )
    return lines


def _chance(measures: pd.DataFrame, name: str, family: Family) -> Iterator[str]:
    """How often each region beats permuted stimuli, in the networks without topography."""
    rows = of_participants(measures, "brain_ridge_p")
    rows = rows[(rows.family == name) & (rows.tau == family.taus[0]) & (rows.step > 0)]
    beaten = [
        f"{region} {int((part.value <= 0.05).sum())} of {len(part)}"
        for region in ordered(rows.region)
        if len(part := rows[rows.region == region])
    ]
    if beaten:
        yield (
            f"Participants whose responses the ridge foretells (P ≤ 0.05, stimuli permuted) at "
            f"τ = {family.taus[0]}: {', '.join(beaten)}."
        )


def _rows(tables: Tables) -> pd.DataFrame:
    """Values per participant and region of all three measures, of the chosen layers.

    Of a family whose participants' noise nobody knows, correlations that no ceiling divides
    (``raw``).
    """
    import pandas as pd

    parts = []
    for metric in APPROACHES:
        over = of_participants(tables.measures, metric)
        plain = of_participants(tables.measures, f"{metric}_raw")
        plain = plain[~plain.family.isin(over.family)]
        parts += [rows.assign(metric_name=metric, raw=rows is plain) for rows in (over, plain)]
    return pd.concat(parts)


def _measured(spec: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, Family]:
    known = topographic(shown(spec))
    return {name: family for name, family in known.items() if (rows.family == name).any()}


def _regions(
    axes: Axes, rows: pd.DataFrame, family: Family, style: Any, regions: list[str]
) -> None:
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(1, color="0.8", linewidth=0.8, linestyle=":", zorder=0)
    drawn = [("untrained", rows[rows.step == 0])]
    drawn += [(tau, rows[(rows.tau == tau) & (rows.step > 0)]) for tau in family.taus]
    step = 0.8 / len(drawn)
    for number, (tau, part) in enumerate(drawn):
        colour = GREY if tau == "untrained" else tau_colour(tau, style)
        for place, region in enumerate(regions):
            means = part[part.region == region].groupby("participant")["value"].mean()
            if not len(means):
                continue
            x = place + (number - (len(drawn) - 1) / 2) * step
            interval = t_interval(means.to_numpy(float))
            if interval is not None:
                axes.plot([x, x], [interval.low, interval.high], color=colour, linewidth=1)
            axes.plot(
                x, means.mean(), "o", color=colour, markersize=4,
                markerfacecolor="white" if tau == "untrained" else colour,
            )  # fmt: skip
    axes.set_xticks(range(len(regions)), regions, rotation=0 if len(regions) < 7 else 45)
    axes.set_xlim(-0.6, len(regions) - 0.4)
    for edge in range(1, len(regions)):
        axes.axvline(edge - 0.5, color="0.93", linewidth=0.8, zorder=0)


def _layers(
    axes: Axes, measures: pd.DataFrame, name: str, family: Family, style: Any, regions: list[str]
) -> None:
    """The ridge of every layer, at the smallest and the largest τ, a line for each region.

    A layer's row is raw where there is no ceiling, and only there.
    """
    names = measures.metric.str.split(".", n=2, expand=True).reindex(columns=range(3))
    rows = measures[
        names[0].isin(["brain_ridge", "brain_ridge_raw"])
        & names[2].notna()
        & (measures.family == name)
        & (measures.step > 0)
        & ~measures.layer.isin(["", "mean"])
    ].assign(region=names[1])
    layers = list(dict.fromkeys(rows.layer))
    for tau in dict.fromkeys((family.taus[0], family.taus[-1])):
        for region, line in zip(regions, _lines(len(regions)), strict=True):
            part = rows[(rows.tau == tau) & (rows.region == region)]
            means = part.groupby("layer", sort=False)["value"].mean().reindex(layers)
            axes.plot(range(1, len(layers) + 1), means, line, color=tau_colour(tau, style),
                      linewidth=1.2)  # fmt: skip
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ticks = sorted({1, len(layers) // 2 or 1, len(layers)})
    axes.set_xticks(ticks if len(layers) > 8 else range(1, len(layers) + 1))
    axes.set_xlabel("Layer measured (1: nearest the input)")


def _lines(count: int) -> list[Any]:
    return [LINES[number % len(LINES)] for number in range(count)]


def _line_key(regions: list[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            color=GREY,
            linestyle=line,
            label=f"{'right: ' * (region == regions[0])}{region}",
        )
        for region, line in zip(regions, _lines(len(regions)), strict=True)
    ]
