"""Evidence against the paper's competitors, on the paper's own axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toporepro.report.evidence import ACCURACY, SMOOTHNESS, Claim, Evidence, World, fewest_seeds
from toporepro.report.selection import (
    IMAGENET,
    joined,
    published_points,
    seed_means,
    topographic_points,
)

if TYPE_CHECKING:
    import pandas as pd


def above_competitor(world: World, claim: Claim, name: str) -> Evidence:
    """Share of TopoNets on ImageNet above a competitor in accuracy and in smoothness."""
    rival = _competitor(world, name)
    points = _imagenet_points(world, claim)
    if points is None:
        return Evidence(missing=_no_imagenet(world))
    above = (points[ACCURACY] * 100 > rival[0]) & (points[SMOOTHNESS] > rival[1])
    count = int(above.sum())
    ours = f"{count} of {len(points)} above {label(name)}"
    return Evidence(
        effect=count / len(points),
        ours=ours,
        agree=1.0 if count else 0.0,
        seeds=fewest_seeds(world, points.family),
        n=len(points),
        data={
            "accuracy": (points[ACCURACY] * 100).tolist(),
            "smoothness": points[SMOOTHNESS].tolist(),
            "competitor": rival,
        },
        phrase=f"{ours} ({rival[0]:.1f} %, smoothness {rival[1]:.2f}) on both axes",
    )


def matched_smoothness(world: World, claim: Claim, name: str) -> Evidence:
    """Accuracy at a competitor's smoothness, interpolated over τ, less its own, in points."""
    rival = _competitor(world, name)
    points = _imagenet_points(world, claim)
    if points is None:
        return Evidence(missing=_no_imagenet(world))
    margins, curves = {}, {}
    for family, rows in points.groupby("family", sort=False):
        order = np.argsort(rows[SMOOTHNESS].to_numpy())
        smooth, accuracy = (rows[key].to_numpy()[order] for key in (SMOOTHNESS, ACCURACY))
        curves[str(family)] = [smooth.tolist(), (100 * accuracy).tolist()]
        if smooth[0] <= rival[1] <= smooth[-1]:
            margins[str(family)] = 100 * float(np.interp(rival[1], smooth, accuracy)) - rival[0]
    if not margins:
        where = f"{label(name)}'s {rival[1]:.2f}"
        return Evidence(missing=f"no family's smoothness brackets {where}: more τ")
    worst = min(margins.values())
    ours = ", ".join(f"{family} {margin:+.1f} points" for family, margin in margins.items())
    return Evidence(
        effect=worst,
        ours=ours,
        agree=float(np.mean([margin > claim.bound for margin in margins.values()])),
        seeds=fewest_seeds(world, margins),
        n=len(points),
        data={"curves": curves, "competitor": rival},
        phrase=f"accuracy at {label(name)}'s smoothness, less {label(name)}'s: {ours}",
    )


def smoother_than(world: World, claim: Claim, name: str) -> Evidence:
    """Share of TopoNets with τ > 0 whose smoothness is above a competitor's published one."""
    rows = world.published
    row = rows[(rows.family == name) & (rows.figure == "performance")].iloc[0]
    table = topographic_points(seed_means(joined(world.measures, (SMOOTHNESS,)), (SMOOTHNESS,)))
    points = table[table.family.isin(list(world.applicable(claim)))]
    if not len(points):
        return Evidence(missing="smoothness of a network with τ > 0 (rule measure_model)")
    above = int((points[SMOOTHNESS] > row.value).sum())
    ours = f"{above} of {len(points)} above {label(name)}"
    return Evidence(
        effect=above / len(points),
        ours=ours,
        agree=1.0 if above / len(points) > claim.bound else 0.0,
        seeds=fewest_seeds(world, points.family),
        n=len(points),
        data={"smoothness": points[SMOOTHNESS].tolist(), "competitor": float(row.value)},
        phrase=f"{ours} (smoothness {row.value:.2f})",
    )


def label(name: str) -> str:
    """A competitor's name for people: ``topoformer_keys`` → ``Topoformer (keys)``."""
    model, _, part = name.partition("_")
    return f"{model.capitalize()} ({part})" if part else model.upper()


def _imagenet_points(world: World, claim: Claim) -> pd.DataFrame | None:
    metrics = (ACCURACY, SMOOTHNESS)
    table = topographic_points(seed_means(joined(world.measures, metrics), metrics))
    mine = [name for name, family in world.applicable(claim).items() if family.dataset == IMAGENET]
    rows = table[table.family.isin(mine)]
    return rows if len(rows) else None


def _competitor(world: World, name: str) -> tuple[float, float]:
    """A competitor's published accuracy (per cent) and smoothness."""
    points = published_points(world.published, "vision", "performance")
    row = points[points.family == name].iloc[0]
    return float(row["imagenet_top1_pct"]), float(row["smoothness"])


def _no_imagenet(world: World) -> str:
    return (
        f"no family of preset {world.preset} was measured on ImageNet; preset `paper` has them "
        "(rules train_model, measure_model)"
    )
