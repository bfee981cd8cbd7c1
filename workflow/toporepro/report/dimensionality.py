"""Evidence on what effective dimensionality follows: topography or performance.

A sweep over τ moves both at once, so pooled correlations cannot tell; hence three steps (METHODS,
Statistics): pooled as printed, centred by family, and matched in performance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toporepro.report import statistics
from toporepro.report.evidence import (
    ACCURACY,
    DIMENSIONALITY,
    SMOOTHNESS,
    Claim,
    Evidence,
    World,
    fewest_seeds,
    mean_percent,
    over_seeds,
)
from toporepro.report.selection import (
    IMAGENET,
    final,
    joined,
    networks,
    seed_means,
    topographic_points,
)

if TYPE_CHECKING:
    import pandas as pd


def pooled_correlation(world: World, claim: Claim, name: str) -> Evidence:
    """R of two metrics over all networks with τ > 0, as the paper pools them.

    Of one dataset, since accuracies on different ones do not compare; of language networks of all
    datasets, since minimal pairs do.
    """
    x, y = claim.options["x"], claim.options["y"]
    table = seed_means(joined(world.measures, (x, y)), (x, y))
    table = topographic_points(table[table.family.isin(list(world.applicable(claim)))])
    of_text = claim.task == "language"
    table["dataset"] = [
        "all text" if of_text else world.families[family].dataset for family in table.family
    ]
    counts = table.groupby("dataset").size()
    if not len(counts) or counts.max() < 3:
        return Evidence(missing=f"{x} and {y} of at least 3 networks with τ > 0 on one dataset")
    dataset = IMAGENET if IMAGENET in counts.index else str(counts.idxmax())
    rows = table[table.dataset == dataset]
    found = correlation(rows, x, y)
    if found is None:
        return Evidence(missing=f"{x} or {y} does not vary")
    ours = f"R = {found.r:.2f}, P = {found.p:.2g} (n = {found.n}, {dataset})"
    return Evidence(
        effect=found.r,
        ours=ours,
        statistic=found.r,
        p=found.p,
        agree=1.0,
        seeds=fewest_seeds(world, rows.family),
        n=found.n,
        data={"x": rows[x].tolist(), "y": rows[y].tolist()},
        phrase=f"{ours}, pooled over {', '.join(rows.family.unique())}",
    )


def centred_comparison(world: World, claim: Claim, name: str) -> Evidence:
    """Does ED follow smoothness more closely than performance inside families? (Williams' test)

    Options: ``performance``, by default accuracy. The effect is |R(ED, smoothness)| − |R(ED,
    performance)|, both centred by family over τ > 0.
    """
    performance = claim.options.get("performance", ACCURACY)
    metrics = (performance, SMOOTHNESS, DIMENSIONALITY)
    table = topographic_points(seed_means(joined(world.measures, metrics), metrics))
    table = table[table.family.isin(list(world.applicable(claim)))]
    try:
        comparison = centred(table, *metrics)
    except statistics.StatisticsError as error:
        return Evidence(missing=f"networks with τ > 0 in at least one family ({error})")
    accuracy, smooth, t, p = comparison
    kept = table[table.groupby("family")["family"].transform("size") > 1]  # one says nothing
    word = performance.replace("_", " ")
    ours = f"R = {accuracy.r:.2f} with {word}, {smooth.r:.2f} with smoothness (n = {smooth.n})"
    return Evidence(
        effect=abs(smooth.r) - abs(accuracy.r),
        ours=ours,
        statistic=t,
        p=p,
        agree=1.0,
        seeds=fewest_seeds(world, kept.family),
        n=smooth.n,
        data={
            "family": kept.family.tolist(),
            "performance": kept[performance].tolist(),
            "smoothness": kept[SMOOTHNESS].tolist(),
            "dimensionality": kept[DIMENSIONALITY].tolist(),
        },
        phrase=f"centred by family, {ours}; Williams' t = {t:.2f}",
    )


def performance_matched(world: World, claim: Claim, name: str) -> Evidence:
    """ED of each τ > 0 network less that of the τ = 0 training when it performed as well.

    Options: ``performance``, by default accuracy, or ``loss``; ``widest``. The τ = 0 network's ED
    is interpolated between the two snapshots around the same performance; a pair further apart than
    ``widest`` (in performance) is no match. Per seed, the mean over τ, relative to the matched ED.
    """
    widest = float(claim.options["widest"])
    performance = claim.options.get("performance", ACCURACY)
    taus = world.families[name].taus
    if "0" not in taus or float(taus[-1]) == 0:
        return Evidence(missing=f"{name} needs τ = 0 and a τ > 0 in the preset", applies=False)
    tried = matches(world.measures, name, performance, widest)
    of_seeds = []
    for seed in dict.fromkeys(match.seed for match in tried):
        found = [match.change for match in tried if match.seed == seed]
        if kept := [change for change in found if change is not None]:
            of_seeds.append(kept)
    changes = [float(np.mean(kept)) for kept in of_seeds]
    matched = sum(len(kept) for kept in of_seeds)
    word = performance.replace("_", " ")
    ours = f"{mean_percent(changes)} ED at equal {word}" if changes else ""
    gap = (
        f"a snapshot of {name}, τ = 0, within {widest:g} of the {word} of each τ > 0: more "
        f"`snapshots` in the preset (rule train_model), {word} and effective_dimensionality among "
        "the measures (rule measure_model)"
    )
    evidence = over_seeds(
        claim,
        changes,
        ours=ours,
        n=matched,
        phrase=f"{ours} against the τ = 0 snapshots ({matched} of {len(tried)} networks matched)",
        missing="" if changes else gap,
    )
    return replace(evidence, data={"changes": of_seeds}) if changes else evidence


@dataclass(frozen=True)
class Match:
    """A network with τ > 0, and the τ = 0 training of its seed when it performed as well.

    Attributes:
        performance, dimensionality: of the network.
        reference: dimensionality of that training then; ``None`` if no two snapshots are around it.
    """

    tau: str
    seed: int
    performance: float
    dimensionality: float
    reference: float | None

    @property
    def change(self) -> float | None:
        """Of dimensionality, relative to the reference."""
        return None if self.reference is None else self.dimensionality / self.reference - 1


def matches(measures: pd.DataFrame, name: str, performance: str, widest: float) -> list[Match]:
    """All trained networks with τ > 0 of a family, by seed and τ, with their references."""
    found = []
    for seed, rows in along_training(measures, name, performance).groupby("seed"):
        path = rows[rows.tau == "0"].sort_values("step")
        ends = final(rows[rows.tau_value > 0])
        for tau, target, value in zip(ends.tau, ends.value, ends.value_ed, strict=True):
            reference = _along(path.value.tolist(), path.value_ed.tolist(), target, widest)
            found.append(Match(str(tau), int(str(seed)), float(target), float(value), reference))
    return found


def along_training(measures: pd.DataFrame, name: str, performance: str) -> pd.DataFrame:
    """A family's networks and snapshots: columns ``value`` (performance) and ``value_ed``."""
    accuracy, dimension = (networks(measures, key) for key in (performance, DIMENSIONALITY))
    keys = ["family", "tau", "tau_value", "seed", "step"]
    both = accuracy.merge(dimension, on=keys, suffixes=("", "_ed"))
    return both[both.family == name].reset_index(drop=True)


def correlation(points: pd.DataFrame, x: str, y: str) -> statistics.Correlation | None:
    """R and P over a table of points, the paper's or ours; ``None`` where it is not defined."""
    try:
        return statistics.pearson(points[x], points[y])
    except statistics.StatisticsError:
        return None


def centred(
    points: pd.DataFrame, accuracy: str, smoothness: str, dimensionality: str
) -> tuple[statistics.Correlation, statistics.Correlation, float, float]:
    """Family-centred R of ED with accuracy and with smoothness; Williams' t and P of |R| − |R|.

    Raises:
        StatisticsError: with too few networks per family.
    """
    groups = points["family"].tolist()
    ed, performance, topography = (
        points[key].to_numpy() for key in (dimensionality, accuracy, smoothness)
    )
    first = statistics.centred_correlation(groups, ed, performance)
    second = statistics.centred_correlation(groups, ed, topography)
    between = statistics.centred_correlation(groups, performance, topography)
    # Each variable may be turned round, which brings both correlations to their absolute values.
    turn = math.copysign(1, first.r) * math.copysign(1, second.r)
    t, p = statistics.williams(abs(second.r), abs(first.r), turn * between.r, first.df + 2)
    return first, second, t, p


def _along(
    accuracies: Sequence[float], values: Sequence[float], target: float, widest: float
) -> float | None:
    """The value along a training when its accuracy last passed ``target``."""
    points = list(zip(accuracies, values, strict=True))
    for (a, va), (b, vb) in reversed(list(itertools.pairwise(points))):
        if min(a, b) <= target <= max(a, b) and abs(b - a) <= widest:
            return va if a == b else va + (vb - va) * (target - a) / (b - a)
    return None
