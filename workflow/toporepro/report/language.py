"""Evidence inside language networks: over their layers, and over their training."""

from __future__ import annotations

import numpy as np

from toporepro.report import statistics
from toporepro.report.evidence import Claim, Evidence, World, counted
from toporepro.report.selection import networks


def middle_over_early(world: World, claim: Claim, name: str) -> Evidence:
    """Mean of ``metric`` over the middle third of the layers less that over the first third.

    Mean over the fully trained networks with τ > 0.
    """
    rows = world.measures
    rows = rows[(rows.family == name) & (rows.metric == claim.options["metric"])]
    rows = rows[(rows.tau_value > 0) & (rows.step > 0) & ~rows.layer.isin(["", "mean"])]
    found = []
    for _, network in rows[rows.value.notna()].groupby(["tau", "seed"], sort=False):
        last = network[network.step == network.step.max()]
        values = last.value.to_numpy()
        third = len(values) // 3
        if third:
            middle = values[third : len(values) - third]
            found.append((float(values[:third].mean()), float(middle.mean())))
    if not found:
        return Evidence(
            missing=f"{claim.options['metric']} of {name}, τ > 0, at 3 layers or more "
            "(rule measure_model; measure `integration_windows`)"
        )
    early, middle = np.mean(found, axis=0)
    ours = f"{early:.2f} in early, {middle:.2f} in middle layers"
    return Evidence(
        effect=float(middle - early),
        ours=ours,
        agree=float(np.mean([b - a > claim.bound for a, b in found])),
        seeds=len(world.families[name].seeds),
        n=len(found),
        data={"early": [a for a, _ in found], "middle": [b for _, b in found]},
        phrase=f"{claim.quantity} {ours}, mean over {counted(len(found), 'network')} with τ > 0",
    )


def trend_over_steps(world: World, claim: Claim, name: str) -> Evidence:
    """Page's exact test over a training's snapshots, networks with τ > 0 as blocks.

    Options: ``metric``. Networks of one family differ in τ, and are no repetitions of each other.
    """
    rows = networks(world.measures, claim.options["metric"])
    rows = rows[(rows.family == name) & (rows.tau_value > 0)]
    table = rows.pivot_table(index=["tau", "seed"], columns="step", values="value").dropna()
    values = table.to_numpy()
    if not len(values) or values.shape[1] < 3:
        return Evidence(
            missing=f"{claim.options['metric']} of {name}, τ > 0, at 3 snapshots or more (rule "
            "measure_model)"
        )
    # Of more snapshots than the test takes, evenly spaced ones, the first and the last among them.
    most = statistics.LARGEST_TREND
    if values.shape[1] > most:
        values = values[:, np.linspace(0, values.shape[1] - 1, most).round().astype(int)]
    trend = statistics.page_trend(values)
    alone = [statistics.page_trend(row).rho for row in values]
    ours = f"{values[:, 0].mean():.3g} → {values[:, -1].mean():.3g}"
    return Evidence(
        effect=trend.rho,
        ours=ours,
        statistic=trend.statistic,
        p=trend.p,
        smallest_p=trend.smallest_p,
        agree=float(np.mean([rho > 0 for rho in alone])),
        seeds=len(world.families[name].seeds),
        n=len(values),
        data={"values": values.tolist()},
        phrase=f"{claim.quantity} {ours} over training; mean rank correlation with the step "
        f"{trend.rho:.2f}, {values.shape[1]} snapshots of {counted(len(values), 'network')}",
    )
