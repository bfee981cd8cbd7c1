"""Evidence on brains: participants are the unit, tested by all flips of their differences' signs.

A participant's value is the mean over regions, and over seeds where a family has several. What P
speaks of is other participants and these networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from toporepro.data.nsd_layout import REGIONS
from toporepro.report import statistics
from toporepro.report.evidence import Claim, Evidence, World, counted

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05  # where the participants are too few to reach it, the sign of each has to agree
People = dict[str, float]


def brain_against_baseline(world: World, claim: Claim, name: str) -> Evidence:
    """``metric`` at τ > 0 less that at τ = 0, participant by participant (options: ``metric``;
    ``relative``: as a share of the baseline's mean; ``taus``: ``all`` that are above 0, their mean,
    or the ``largest``).

    P is that of the differences less the bound: with a bound below 0, of not being inferior by so
    much.
    """
    metric, taus = str(claim.options["metric"]), world.families[name].taus
    if "0" not in taus or float(taus[-1]) == 0:
        return Evidence(missing=f"{name} needs τ = 0 and a τ > 0 in the preset", applies=False)
    found = {tau: by_participant(world.measures, name, metric, tau) for tau in taus}
    above = [tau for tau in taus if float(tau) > 0 and found[tau]]
    if claim.options.get("taus", "all") == "largest":
        above = above[-1:]
    if not found.get("0") or not above:
        return _nothing(metric, name, "at τ = 0 and a τ > 0")
    scale = float(np.mean(list(found["0"].values()))) if claim.options.get("relative") else 1.0
    if scale <= 0:
        return Evidence(missing=f"{metric} of {name} at τ = 0 is not above 0")
    shared = set.intersection(*(set(found[tau]) for tau in ("0", *above)))
    if not shared:
        return _nothing(metric, name, "of the same participants at τ = 0 and above")
    changes = {tau: _differences(found[tau], found["0"], shared, scale) for tau in above}
    by_tau = ", ".join(
        f"{_number(np.mean(each), claim)} at τ = {tau} (P = {_p(each, claim):.2g})"
        for tau, each in changes.items()
    )
    return _evidence(
        claim,
        np.mean(list(changes.values()), axis=0),
        seeds=len(world.families[name].seeds),
        phrase=f"{claim.quantity} against τ = 0: {by_tau}",
    )


def brain_against_untrained(world: World, claim: Claim, name: str) -> Evidence:
    """``metric`` of the trained network at τ = 0 less that before training (option: ``metric``)."""
    metric = str(claim.options["metric"])
    if "0" not in world.families[name].taus:
        return Evidence(missing=f"{name} needs τ = 0 in the preset", applies=False)
    trained = by_participant(world.measures, name, metric, "0")
    before = by_participant(world.measures, name, metric, "0", untrained=True)
    if not trained.keys() & before.keys():
        return _nothing(metric, name, "at τ = 0, trained and untrained")
    shared = trained.keys() & before.keys()
    ends = [float(np.mean(list(people.values()))) for people in (before, trained)]
    return _evidence(
        claim,
        _differences(trained, before, shared, 1.0),
        seeds=len(world.families[name].seeds),
        phrase=f"{claim.quantity} {ends[0]:.2f} untrained, {ends[1]:.2f} trained",
    )


def _nothing(metric: str, name: str, where: str) -> Evidence:
    return Evidence(
        missing=f"{metric} of {name} {where} (rule measure_model; measures `brain` and "
        "`brain_layout` on a dataset with responses of brains)"
    )


def by_participant(
    measures: pd.DataFrame, name: str, metric: str, tau: str, untrained: bool = False
) -> People:
    """Participant → value of a family at τ: mean over regions, then over seeds and stimulus sets.

    Rows are those of the chosen layers or of the mean over layers (``metric.region.participant``).
    """
    rows = of_participants(measures, metric)
    rows = rows[(rows.family == name) & (rows.tau == tau)]
    rows = rows[rows.step == 0] if untrained else rows[rows.step > 0]
    if not len(rows):
        return {}
    if not untrained:
        rows = rows[rows.step == rows.groupby("seed")["step"].transform("max")]
    means = rows.groupby("participant")["value"].mean()
    return {str(one): float(value) for one, value in means.items()}


def of_participants(measures: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of a metric for one participant and region each, with columns for both."""
    names = measures.metric.str.split(".", n=2, expand=True).reindex(columns=range(3))
    mine = (names[0] == metric) & names[2].notna() & measures.layer.isin(["", "mean"])
    rows = measures[mine & measures.value.notna() & (measures.sparsity == 0)]
    return rows.assign(region=names[1][rows.index], participant=names[2][rows.index])


def ordered(regions: Iterable[str]) -> list[str]:
    """Regions as one lists them, from early visual cortex on; others behind, by name."""
    known = list(REGIONS)
    rest = len(known)
    return sorted(set(regions), key=lambda r: (known.index(r) if r in known else rest, r))


def _differences(mine: People, other: People, people: set[str], scale: float) -> list[float]:
    return [(mine[one] - other[one]) / scale for one in sorted(people)]


def _evidence(claim: Claim, differences: Sequence[float], *, seeds: int, phrase: str) -> Evidence:
    values = np.asarray(differences, dtype=np.float64)
    p, smallest = _p(values, claim), 0.5 ** len(values)
    side = values < claim.bound if claim.direction == "below" else values > claim.bound
    decided = float(p <= ALPHA) if smallest <= ALPHA else float(side.all())
    interval = statistics.t_interval(values)
    mean = float(values.mean())
    return Evidence(
        effect=mean,
        ours=f"{_number(mean, claim)}, {counted(len(values), 'participant')}",
        statistic=mean,
        p=p,
        smallest_p=smallest,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        agree=decided,
        seeds=seeds,
        n=len(values),
        data={"differences": values.tolist()},
        phrase=f"{phrase}; {counted(len(values), 'participant')}, all flips of signs, P = {p:.2g}",
    )


def _p(differences: Sequence[float] | np.ndarray, claim: Claim) -> float:
    alternative: statistics.Alternative = "less" if claim.direction == "below" else "greater"
    return statistics.sign_flip(np.asarray(differences) - claim.bound, alternative)


def _number(value: float | np.floating, claim: Claim) -> str:
    return f"{100 * value:+.1f} %" if claim.options.get("relative") else f"{value:+.3f}"
