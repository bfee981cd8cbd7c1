"""Where sub-classes lie on the sheet, over how alike a network at τ = 0 represents them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures.inputs import Model, Tables, every_seed, shown
from toporepro.figures.style import GREY, legend_below, marker_key, panels, say
from toporepro.report.layouts import (
    MAPS,
    RESPONSES,
    SHUFFLES,
    UNITS,
    categories,
    final_maps,
    final_matrices,
    mean_over_layers,
)
from toporepro.report.mantel import Permuted
from toporepro.report.selection import topographic
from toporepro.report.selectivity import PERMUTATIONS, follows

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

TITLE = "Layout follows representation"
ORDER = 9
TASK = "classification"
TABLES = ("curves",)
SUFFIXES = ("png", "svg")
QUANTITIES = UNITS
# Pairs told apart, by colours that the colour-blind tell apart too.
PAIRS = {
    ("bodies", "faces"): ((0.84, 0.37, 0.0), "o", "body and face"),
    ("bodies", "scenes"): ((0.0, 0.45, 0.70), "s", "body and scene"),
    ("faces", "scenes"): ((0.0, 0.62, 0.45), "^", "face and scene"),
    ("within", ""): ((0.1, 0.1, 0.1), "D", "within a category"),
}
OTHER = (GREY, ".", "other pairs")


def models(spec: Mapping[str, Any]) -> list[Model]:
    return every_seed(spec)


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """A row per family, a column per τ; means over the layers measured and over seeds."""
    found = _families(spec, tables)
    if not found:
        figure, ((axes,),) = panels(1)
        say(axes, "no subclass_map_similarity at τ = 0 and above (rule measure_model)")
        return figure
    taus = sorted({tau for maps, _, _ in found.values() for tau in maps}, key=float)
    width = max(2, len(taus))
    figure, grid = panels(width, rows=len(found), width=2.1, height=2.3, wrap=width)
    kinds = _kinds(tables)
    labels = {name: family.label for name, family in shown(spec).items()}
    for line in grid:
        for axes in line:
            axes.set_axis_off()
    for line, (name, (maps, reference, tests)) in zip(grid, found.items(), strict=False):
        largest = max(_largest(one) for tau in maps for one in [maps[tau]])
        for place, tau in enumerate(tau for tau in taus if tau in maps):
            axes = line[place]
            axes.set_axis_on()
            axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
            for kind, pairs in kinds.items():
                colour, marker, _ = PAIRS.get(kind, OTHER)
                axes.scatter(
                    [reference[i, j] for i, j in pairs], [maps[tau][i, j] for i, j in pairs],
                    color=colour, marker=marker, s=12, linewidth=0,
                    zorder=1 if kind not in PAIRS else 2,
                )  # fmt: skip
            axes.set(ylim=(-1.08 * largest, 1.08 * largest), xlim=(-1.05, 1.05))
            head = f"{labels[name]}\n" if place == 0 else "\n"
            axes.set_title(f"{head}τ = {tau}")
            test = tests[tau]
            axes.text(
                0.04, 0.97, f"r = {test.value:.2f}".replace("-", "−") + f"\n{_p(test.p)}",
                transform=axes.transAxes, ha="left", va="top", fontsize=7,
            )  # fmt: skip
            if place == 0:
                axes.set_ylabel("Layout similarity\n(Moran's I of two maps)")
            else:
                axes.tick_params(labelleft=False)
            axes.set_xlabel("Response similarity\nat τ = 0 (correlation)")
    keys = [PAIRS.get(kind, OTHER) for kind in kinds]
    legend_below(
        figure, [marker_key(text, marker, colour) for colour, marker, text in dict.fromkeys(keys)]
    )
    return figure


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n and statistic."""
    lines = [
        "Each point is a pair of sub-classes of images; means over the layers measured and over "
        "seeds.",
        "Layout similarity: Moran's I of the two maps of selectivity (neighbours only) less its "
        "expectation over layouts. r: rank correlation, mean over seeds; P, one-sided: the larger "
        f"of that by permuting sub-classes (Mantel, {PERMUTATIONS:,} permutations) and that by "
        f"shuffling the units of each sheet ({SHUFFLES} shuffles, the same for all maps).",
    ]
    for name, (_, reference, _) in _families(spec, tables).items():
        classes, label = len(reference), shown(spec)[name].label
        lines.append(f"{label}: n = {classes * (classes - 1) // 2} pairs of {classes} sub-classes.")
    return lines


def _families(
    spec: Mapping[str, Any], tables: Tables
) -> dict[str, tuple[dict[str, NDArray[Any]], NDArray[Any], dict[str, Permuted]]]:
    """Family → layouts by τ, the reference, which is responses at τ = 0, and tests by τ."""
    import numpy as np

    found = {}
    for name in topographic(shown(spec)):
        sheets = final_maps(tables.units, name)
        quiet = final_matrices(tables.curves, name, RESPONSES)
        maps = {
            (tau, seed): layers
            for (tau, seed), layers in final_matrices(tables.curves, name, MAPS).items()
            if (tau, seed) in sheets and ("0", seed) in quiet
        }
        if not any(float(tau) > 0 for tau, _ in maps):
            continue
        by_tau, tests = {}, {}
        for tau in dict.fromkeys(tau for tau, _ in maps):
            those = [network for network in maps if network[0] == tau]
            by_tau[tau] = np.mean([mean_over_layers(maps[of]) for of in those], axis=0)
            others = {of: mean_over_layers(quiet["0", of[1]]) for of in those}
            tests[tau] = follows(maps, sheets, others)
        seeds = dict.fromkeys(seed for _, seed in maps)
        reference = np.mean([mean_over_layers(quiet["0", seed]) for seed in seeds], axis=0)
        found[name] = (by_tau, reference, tests)
    return found


def _kinds(tables: Tables) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Kind of pair → pairs of places; other pairs first, so that they lie below."""
    of = {place: name for name, places in categories(tables.curves).items() for place in places}
    found: dict[tuple[str, str], list[tuple[int, int]]] = {("other", ""): []}
    for i, j in itertools.combinations(sorted(of), 2):
        first, second = sorted((of[i], of[j]))
        kind = ("within", "") if first == second else (first, second)
        found.setdefault(kind if kind in PAIRS else ("other", ""), []).append((i, j))
    order = [("other", ""), *PAIRS]
    return {kind: found[kind] for kind in order if found.get(kind)}


def _largest(matrix: NDArray[Any]) -> float:
    import numpy as np

    return float(np.abs(matrix).max()) or 1.0


def _p(p: float) -> str:
    return "P < 0.001" if p < 0.001 else f"P = {p:.2g}"
