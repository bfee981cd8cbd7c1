"""Validation loss and minimal pairs under compression, with parameter counts under the axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Tables, shown
from toporepro.figures.style import (
    GREY,
    Style,
    legend_below,
    panels,
    say,
    style_of,
    tau_colour,
    tau_key,
)
from toporepro.report.selection import (
    Family,
    controls_of,
    final,
    networks,
    over_sparsity,
    topographic,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

TITLE = "Performance under compression"
ORDER = 10
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
# Score, factor, its label; of language networks and of those of images.
LOSS = ("loss", 1.0, "Validation loss (nats)")
SCORES = {
    "language": (LOSS, ("pair_accuracy", 100.0, "Minimal pairs right (%)")),
    "classification": (("loss", 1.0, "Test loss (nats)"), ("accuracy", 100.0, "Accuracy (%)")),
}
PUBLISHED = (
    ("validation_loss", 1.0, "Validation loss (nats)"),
    ("blimp_accuracy", 100.0, "BLiMP accuracy (%)"),
)
PRINTED = {0.0: 124.4e6, 0.2: 118.1e6, 0.5: 109.7e6, 0.8: 101.5e6}  # parameters, in that figure
# Method → line style and name.
STYLES: dict[str, tuple[Any, str]] = {
    "sheet": ("-", "sheet down-sampled"),
    "l1": ("--", "weights pruned"),
    "sheet_sorted": (":", "sheet sorted first (τ = 0)"),
}
SMALL = (0, (6, 2, 1, 2, 1, 2))


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Columns: the paper's NanoGPT, then each family measured; rows: loss, and right answers."""
    style = style_of(spec)
    mine = _measured(spec, tables)
    figure, grid = panels(1 + len(mine), rows=2, width=3.5, height=2.9)
    taus = _published([line[0] for line in grid], tables.published, style)
    if not mine:
        figure.suptitle("no compression of the families shown (rule measure_model)", color=GREY)
    for column, (name, family) in enumerate(mine.items(), start=1):
        grid[0][column].set_title(f"Ours: {family.label}")
        for line, (score, factor, label) in zip(grid, SCORES[family.task], strict=True):
            axes = line[column]
            taus += _family(axes, tables.measures, name, family, score, factor, style)
            if score == "loss":
                _controls(axes, tables.measures, spec, name, family)
            axes.set_ylabel(label)
            _axis(axes, _counts(tables.measures, name))
    legend_below(figure, tau_key(taus, style, line=True), _methods())
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data and n."""
    lines = [
        "Sheet: a share of the topographic layers' units is taken away by down-sampling; under "
        "the axis, the parameters left. Pruned: the share of smallest weights. Sorted: τ = 0, its "
        "units laid out by similarity before down-sampling. Silenced: the layers' weights all 0, "
        "at the largest τ. Small: networks trained from scratch.",
    ]
    for name, family in _measured(spec, tables).items():
        rows = over_sparsity(tables.measures, "loss.sheet")
        rows = rows[rows.family == name]
        count = rows.groupby(["tau", "seed"]).ngroups
        lines.append(f"{family.label}: n = {count} networks, means over seeds.")
    return lines


def _measured(spec: Mapping[str, Any], tables: Tables) -> dict[str, Family]:
    have = set(over_sparsity(tables.measures, "loss.sheet").family)
    return {name: of for name, of in topographic(shown(spec)).items() if name in have}


def _family(
    axes: Axes,
    measures: pd.DataFrame,
    name: str,
    family: Family,
    score: str,
    factor: float,
    style: Style,
) -> list[str]:
    drawn = []
    for method, (line, _) in STYLES.items():
        rows = over_sparsity(measures, f"{score}.{method}")
        rows = rows[rows.family == name]
        for tau in family.taus:
            if method == "sheet_sorted" and float(tau) > 0:
                continue
            means = rows[rows.tau == tau].groupby("sparsity").value.mean()
            if len(means):
                drawn.append(tau)
                axes.plot(
                    means.index, factor * means, color=tau_colour(tau, style), linestyle=line,
                    linewidth=1.2, marker="o" if method == "sheet" else None, markersize=3.5,
                    alpha=1.0 if method == "sheet" else 0.8,
                )  # fmt: skip
    if not drawn:
        say(axes, f"no {score} of {name} under compression (rule measure_model)")
    return drawn


def _controls(
    axes: Axes, measures: pd.DataFrame, spec: Mapping[str, Any], name: str, family: Family
) -> None:
    """Layers silenced, and small networks from scratch."""
    silent = over_sparsity(measures, "loss.knock_out")
    silent = silent[(silent.family == name) & (silent.tau == family.taus[-1])]
    if len(silent):
        axes.axhline(silent.value.mean(), color=GREY, linestyle="-.", linewidth=1, zorder=0)
    losses = final(networks(measures, "loss"))
    for other, control in controls_of(shown(spec), name).items():
        values = losses[losses.family == other].value
        if control.control == "small" and len(values):
            axes.axhline(values.mean(), color="0.3", linestyle=SMALL, linewidth=1, zorder=0)


def _counts(measures: pd.DataFrame, name: str) -> dict[float, float]:
    """Sparsity → parameters of the down-sampled network."""
    rows = over_sparsity(measures, "parameters.sheet")
    rows = rows[rows.family == name].drop_duplicates("sparsity")
    return {float(s): float(v) for s, v in zip(rows.sparsity, rows.value, strict=True)}


def _axis(axes: Axes, counts: Mapping[float, float]) -> None:
    """Ticks at the sparsities, with the parameters that are left under them."""
    shown_at = [s for s in counts if s in (0, 0.2, 0.5, 0.8, 0.95)] or list(counts)
    axes.set_xticks(shown_at, [f"{100 * s:g}\n{_short(counts[s])}" for s in shown_at])
    axes.set_xlabel("Taken away (%); parameters left")
    axes.tick_params(axis="x", labelsize="x-small")


def _short(count: float) -> str:
    return f"{count / 1e6:.1f}M" if count >= 1e7 else f"{count / 1e3:.0f}k"


def _published(lines: list[Axes], published: pd.DataFrame | None, style: Style) -> list[str]:
    from toporepro.figures.published import ABSENT

    lines[0].set_title("Published: NanoGPT")
    taus: list[str] = []
    for axes, (metric, factor, label) in zip(lines, PUBLISHED, strict=True):
        if published is None:
            say(axes, ABSENT)
            continue
        rows = published[(published.figure == "compression") & (published.metric == metric)]
        for tau, of_tau in rows.groupby("tau_value"):
            name = f"{tau:g}"
            taus.append(name)
            axes.plot(
                of_tau.sparsity, factor * of_tau.value, color=tau_colour(name, style),
                linewidth=1.2, marker="o", markersize=3.5,
            )  # fmt: skip
        axes.set_ylabel(label)
        _axis(axes, PRINTED)
    return taus


def _methods() -> list[Line2D]:
    from matplotlib.lines import Line2D

    return [
        *(Line2D([], [], color="0.3", linestyle=line, label=label)
          for line, label in STYLES.values()),
        Line2D([], [], color=GREY, linestyle="-.", label="layers silenced"),
        Line2D([], [], color="0.3", linestyle=SMALL, label="small network"),
    ]  # fmt: skip
