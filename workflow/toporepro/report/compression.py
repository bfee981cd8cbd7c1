"""Evidence on compression: how well down-sampled sheets keep what a language network has learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toporepro.report import statistics
from toporepro.report.evidence import Claim, Evidence, World, counted
from toporepro.report.selection import controls_of, final, networks, over_sparsity

if TYPE_CHECKING:
    import pandas as pd

SHEET = "sheet"
Key = tuple[str, int]  # τ, seed


def drop_over_paradigms(world: World, claim: Claim, name: str) -> Evidence:
    """Low end of the interval of the mean drop over paradigms, at the largest τ.

    Options: ``sparsity``. Paradigms are drawn again, with both of their accuracies (paired
    bootstrap), which speaks of these networks alone. 0 in the interval: no significant drop.
    """
    sparsity, tau = float(claim.options["sparsity"]), world.families[name].taus[-1]
    prefix = f"pair_accuracy.{SHEET}."
    rows = world.measures
    rows = rows[(rows.family == name) & (rows.tau == tau) & rows.metric.str.startswith(prefix)]
    drops, pairs, seeds = [], [], []
    for seed, of_seed in rows.groupby("seed"):
        wide = of_seed.pivot_table(index=["stimuli", "metric"], columns="sparsity", values="value")
        if {0.0, sparsity} <= set(wide.columns):
            pair = wide[[0.0, sparsity]].dropna()
            seeds.append(int(str(seed)))
            pairs.append((pair[0.0].tolist(), pair[sparsity].tolist()))
            drops.append(statistics.paired_bootstrap(*pairs[-1], seed=seeds[-1]))
    if not drops or float(tau) == 0:
        return Evidence(missing=_missing(f"pair_accuracy.{SHEET}", name, tau))
    whole, left = np.mean([[np.mean(part) for part in pair] for pair in pairs], axis=0)
    paradigms = min(len(before) for before, _ in pairs)
    ours = f"{whole:.3f} → {left:.3f} at τ = {tau}"
    return Evidence(
        effect=float(np.mean([drop.low for drop in drops])),
        ours=ours,
        low=float(np.mean([drop.low for drop in drops])),
        high=float(np.mean([drop.high for drop in drops])),
        agree=float(np.mean([drop.low < claim.bound for drop in drops])),
        seeds=len(drops),
        n=paradigms,
        data={"whole": [a for a, _ in pairs], "left": [b for _, b in pairs], "seeds": seeds},
        phrase=f"{claim.quantity} {ours}; drop {whole - left:.3f} over {paradigms} paradigms",
    )


def loss_increase(world: World, claim: Claim, name: str) -> Evidence:
    """Increase of the loss at the largest τ over that at τ = 0 (options: ``sparsity``)."""
    sparsity, tau = float(claim.options["sparsity"]), world.families[name].taus[-1]
    table = _losses(world, name, SHEET)
    ratios, ends = [], []
    for (own, seed), values in table.items():
        baseline = table.get(("0", seed), {})
        if own == tau and float(tau) > 0 and {0.0, sparsity} <= set(values) & set(baseline):
            rise, theirs = values[sparsity] - values[0.0], baseline[sparsity] - baseline[0.0]
            if theirs > 0:
                ratios.append(rise / theirs)
                ends.append((values[0.0], values[sparsity], baseline[0.0], baseline[sparsity]))
    if not ratios:
        return Evidence(missing=_missing(f"loss.{SHEET}", name, f"0 and {tau}"))
    mine, small, whole, broken = np.mean(ends, axis=0)
    ours = f"{mine:.2f} → {small:.2f} at τ = {tau}, {whole:.2f} → {broken:.2f} at τ = 0"
    return Evidence(
        effect=float(np.mean(ratios)),
        ours=ours,
        agree=float(np.mean([ratio < claim.bound for ratio in ratios])),
        seeds=len(ratios),
        n=2 * len(ratios),
        data={
            "topographic": [of[:2] for of in ends],
            "baseline": [of[2:] for of in ends],
        },
        phrase=f"{claim.quantity} {ours}: {100 * np.mean(ratios):.1f} % of the increase at τ = 0, "
        f"over {counted(len(ratios), 'seed')}",
    )


def against_controls(world: World, claim: Claim, name: str) -> Evidence:
    """By how much the down-sampled network is better than the best of its controls, in nats.

    Options: ``sparsity``. Controls: τ = 0 with units sorted by similarity and down-sampled as far;
    small networks trained from scratch (``control: small``); and the network itself with its
    topographic layers knocked out. All of them must be there.
    """
    sparsity, tau = float(claim.options["sparsity"]), world.families[name].taus[-1]
    own = _mean(_losses(world, name, SHEET), tau, sparsity)
    known = {
        "τ = 0 sorted by similarity": _mean(_losses(world, name, "sheet_sorted"), "0", sparsity),
        "layers knocked out": _mean(_losses(world, name, "knock_out"), tau, 1.0),
    }
    losses = final(networks(world.measures, "loss"))
    for other, family in controls_of(world.families, name).items():
        if family.control == "small":
            values = losses[losses.family == other].value
            known[family.label] = float(values.mean()) if len(values) else None
    lacking = [what for what, loss in known.items() if loss is None]
    if len(known) == 2:
        lacking.append(f"a family like {name} with `control: small`")
    if own is None or lacking:
        what = ", ".join(lacking) or f"loss.{SHEET} of {name} at τ = {tau}"
        return Evidence(missing=f"{what} (rules train_model, measure_model)")
    margins = {what: loss - own for what, loss in known.items() if loss is not None}
    ours = f"{own:.2f} nats; " + ", ".join(
        f"{what} {loss:.2f}" for what, loss in known.items() if loss is not None
    )
    return Evidence(
        effect=min(margins.values()),
        ours=ours,
        agree=float(np.mean([margin > claim.bound for margin in margins.values()])),
        seeds=len(world.families[name].seeds),
        n=1 + len(known),
        data={"own": own, "controls": {what: own + margin for what, margin in margins.items()}},
        phrase=f"{claim.quantity} at τ = {tau}: {ours}",
    )


def _losses(world: World, name: str, method: str) -> dict[Key, dict[float, float]]:
    """(τ, seed) → sparsity → loss."""
    rows: pd.DataFrame = over_sparsity(world.measures, f"loss.{method}")
    rows = rows[rows.family == name]
    table: dict[Key, dict[float, float]] = {}
    for tau, seed, sparsity, value in zip(
        rows.tau, rows.seed, rows.sparsity, rows.value, strict=True
    ):
        table.setdefault((str(tau), int(seed)), {})[float(sparsity)] = float(value)
    return table


def _mean(table: dict[Key, dict[float, float]], tau: str, sparsity: float) -> float | None:
    values = [of[sparsity] for (own, _), of in table.items() if own == tau and sparsity in of]
    return float(np.mean(values)) if values else None


def _missing(metric: str, name: str, tau: str) -> str:
    return f"{metric} of {name} at τ = {tau} (rule measure_model; measure `compression`)"
