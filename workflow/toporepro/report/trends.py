"""Evidence over τ inside a family, and from its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toporepro.report import statistics
from toporepro.report.evidence import (
    Claim,
    Evidence,
    World,
    by_seed,
    counted,
    mean_percent,
    missing_networks,
    over_seeds,
)


def trend_over_tau(world: World, claim: Claim, name: str) -> Evidence:
    """Page's exact test over the family's τ, its seeds as blocks (options: ``metric``)."""
    metric, family = claim.options["metric"], world.families[name]
    table = by_seed(world, name, metric)
    blocks = [row for row in table.values() if set(row) >= set(family.taus)]
    if len(family.taus) < 2:
        return Evidence(missing=f"{name} needs at least two τ in the preset", applies=False)
    if not blocks:
        return Evidence(missing=missing_networks(world, name, metric, family.taus))
    values = np.array([[row[tau] for tau in family.taus] for row in blocks])
    sign = -1 if claim.direction == "below" else 1
    trend = statistics.page_trend(sign * values)
    alone = [statistics.page_trend(sign * row).rho for row in values]
    ends = values.mean(axis=0)
    ours = f"{ends[0]:.3g} → {ends[-1]:.3g} (τ {family.taus[0]} → {family.taus[-1]})"
    return Evidence(
        effect=sign * trend.rho,
        ours=ours,
        statistic=trend.statistic,
        p=trend.p,
        smallest_p=trend.smallest_p,
        agree=float(np.mean([rho > 0 for rho in alone])),
        seeds=len(blocks),
        n=values.size,
        data={"values": values.tolist()},
        phrase=(
            f"{claim.quantity} {ours}; mean rank correlation with τ {sign * trend.rho:.2f}, exact "
            f"trend over {len(family.taus)} τ × {counted(len(blocks), 'seed')}"
        ),
        missing=missing_networks(world, name, metric, family.taus),
    )


def change_from_baseline(world: World, claim: Claim, name: str) -> Evidence:
    """Relative change of ``metric`` from τ = 0 to the family's smallest τ > 0, seed by seed."""
    metric, family = claim.options["metric"], world.families[name]
    smallest = next((tau for tau in family.taus if float(tau) > 0), None)
    if smallest is None or "0" not in family.taus:
        return Evidence(missing=f"{name} needs τ = 0 and a τ > 0 in the preset", applies=False)
    wanted = ("0", smallest)
    rows = [row for row in by_seed(world, name, metric).values() if set(row) >= set(wanted)]
    before, after = np.array([[row[tau] for tau in wanted] for row in rows]).reshape(-1, 2).T
    changes = [float(b / a - 1) for a, b in zip(before, after, strict=True) if a > 0]
    ours = f"{mean_percent(changes)} (τ 0 → {smallest})"
    return over_seeds(
        claim,
        changes,
        ours=ours,
        n=2 * len(changes),
        phrase=f"relative change of {claim.quantity} {ours}",
        missing=missing_networks(world, name, metric, wanted),
    )


def control_ratio(world: World, claim: Claim, name: str) -> Evidence:
    """A control family's ``metric`` over that of the trained TopoNets, at the same τ."""
    metric, parent = claim.options["metric"], world.families[name].control_of
    if parent is None or parent not in world.families:
        return Evidence(missing=f"{name}: the family it is a control of is not in the preset")
    ours, theirs = by_seed(world, name, metric), by_seed(world, parent, metric)
    shared = [tau for tau in world.families[name].taus if tau in world.families[parent].taus]
    ratios = [
        _ratio(row[tau], _at(theirs, seed, tau))
        for seed, row in ours.items()
        for tau in shared
        if tau in row and float(tau) > 0
    ]
    return _ratios(world, claim, ratios, name, metric, f"the TopoNet at τ = {', '.join(shared)}")


def quiet_ratio(world: World, claim: Claim, name: str) -> Evidence:
    """``metric`` of τ = 0 (``state: trained`` or ``untrained``) over that of the largest τ."""
    metric, largest = claim.options["metric"], world.families[name].taus[-1]
    untrained = claim.options["state"] == "untrained"
    trained = by_seed(world, name, metric)
    quiet = by_seed(world, name, metric, untrained=untrained)
    if ("0" not in world.families[name].taus and not quiet) or float(largest) == 0:
        return Evidence(missing=f"{name} needs τ = 0 and a τ > 0 in the preset", applies=False)
    ratios = [
        _ratio(row["0"], _at(trained, seed, largest)) for seed, row in quiet.items() if "0" in row
    ]
    return _ratios(world, claim, ratios, name, metric, f"the trained TopoNet at τ = {largest}")


def _at(table: Mapping[int, Mapping[str, float]], seed: int, tau: str) -> float | None:
    """The value at the same seed, else the mean over seeds."""
    if tau in table.get(seed, {}):
        return table[seed][tau]
    values = [row[tau] for row in table.values() if tau in row]
    return float(np.mean(values)) if values else None


def _ratio(part: float, whole: float | None) -> float | None:
    """``None`` where the reference is not smooth itself, and a ratio would say nothing."""
    return None if whole is None or whole <= 0 else part / whole


def _ratios(
    world: World,
    claim: Claim,
    ratios: Sequence[float | None],
    name: str,
    metric: str,
    reference: str,
) -> Evidence:
    kept = [ratio for ratio in ratios if ratio is not None]
    ours = f"{np.mean(kept):.2f} × {reference}" if kept else ""
    parts = [missing_networks(world, name, metric, world.families[name].taus)]
    if ratios and not kept:
        parts.append(f"{reference} is not smooth itself, or was not measured")
    return over_seeds(
        claim,
        kept,
        ours=ours,
        n=len(kept),
        phrase=f"{claim.quantity} is {ours}",
        missing="; ".join(part for part in parts if part)
        or ("" if kept else f"{metric} of {name} (rule measure_model)"),
    )
