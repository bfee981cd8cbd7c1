"""What a claim, the tables and a finding are; and what all kinds of evidence share.

A kind of evidence turns the networks at hand into an effect (and, where the design allows, a P or
an interval); it never decides. The verdict is a function of the finished row alone
(``verdicts.verdict``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from toporepro.report import statistics
from toporepro.report.selection import Family, final, networks, topographic, untrained_of

if TYPE_CHECKING:
    import pandas as pd

ACCURACY, SMOOTHNESS, DIMENSIONALITY = "accuracy", "smoothness", "effective_dimensionality"
PAIRS = "pair_accuracy"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim as ``config/paper/claims.yaml`` states it.

    Attributes:
        id: short name; rows append the family or competitor.
        statement: the claim, in words.
        figure: the figure that shows it.
        quantity: what is measured, in words.
        paper: the paper's value, in words.
        paper_number: the number that ``within`` compares with.
        test: a function of this module (``KINDS``).
        options: that function's options.
        each: one row per family, per control family, per competitor, or one for the preset.
        direction, bound: the claim holds if the effect lies ``above`` or ``below`` the bound, or
            ``within`` it of the paper's number.
        bound_why: where the bound comes from.
        unit: the unit of inference, in words.
        scope: ``trainings`` if P speaks of other trainings; ``networks`` if only of these.
        needs: what a comparison with published values takes: ImageNet, BLiMP, calibrated measures.
        not_in, not_in_why: presets too small to test it; all others can.
        measures: what it reads; only families are judged that the preset has measured so.
        architectures: only families of these; left out, all.
        task: only families whose networks learn this; left out, all.
        caveat: what a reader must know of the number.
    """

    id: str
    statement: str
    figure: str
    quantity: str
    paper: str
    test: str
    direction: Literal["above", "below", "within"]
    bound: float
    bound_why: str
    unit: str
    scope: Literal["trainings", "networks"]
    each: Literal["family", "control", "competitor", "preset"]
    paper_number: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[Literal["imagenet", "blimp", "calibration"], ...] = ()
    not_in: tuple[str, ...] = ()
    not_in_why: str = ""
    measures: tuple[str, ...] = ()
    architectures: tuple[str, ...] | None = None
    task: Literal["classification", "language"] | None = None
    caveat: str = ""


@dataclass(frozen=True, kw_only=True)
class World:
    """The tables, and which networks the preset should have."""

    preset: str
    families: Mapping[str, Family]
    measures: pd.DataFrame
    published: pd.DataFrame
    calibrated: bool = False
    curves: pd.DataFrame | None = None
    units: pd.DataFrame | None = None

    def applicable(self, claim: Claim) -> dict[str, Family]:
        """The families that a claim is about: no controls, and none that stands for another."""
        return {
            name: family
            for name, family in topographic(self.families).items()
            if family.claimed
            and set(claim.measures) <= set(family.measures)
            and (claim.architectures is None or family.architecture in claim.architectures)
            and claim.task in (None, family.task)
        }


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a test found.

    Attributes:
        effect: the number that the bound judges; ``None`` if it cannot be had.
        ours: the value in words.
        statistic: the test's statistic.
        p: P of the test, in the direction claimed where it has one.
        smallest_p: the smallest P that this design could reach.
        agree: share of seeds (or networks) in which the claim holds by itself.
        seeds: trainings that repeat each other but for the seed.
        n: units of inference that entered: networks, participants, paradigms.
        data: the numbers that all of these follow from, by name.
        phrase: what was found, for the sentence.
        missing: what data are missing, and which rule makes them.
        applies: false if the preset does not train what the claim would compare in this family.
    """

    effect: float | None = None
    ours: str = ""
    statistic: float | None = None
    p: float | None = None
    smallest_p: float | None = None
    low: float | None = None
    high: float | None = None
    agree: float | None = None
    seeds: int = 0
    n: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    phrase: str = ""
    missing: str = ""
    applies: bool = True


def by_seed(
    world: World, name: str, metric: str, untrained: bool = False
) -> dict[int, dict[str, float]]:
    """seed → τ → value, of the fully trained networks or of step 0."""
    rows = networks(world.measures, metric)
    names = untrained_of(world.families, name) if untrained else [name]
    rows = rows[rows.family.isin(names)]
    rows = rows[rows.step == 0] if untrained else final(rows)
    table: dict[int, dict[str, float]] = {}
    for seed, tau, value in zip(rows.seed, rows.tau, rows.value, strict=True):
        table.setdefault(int(seed), {})[str(tau)] = float(value)
    return table


def over_seeds(
    claim: Claim, values: Sequence[float], *, ours: str, n: int, phrase: str, missing: str
) -> Evidence:
    """Seeds as the unit: points below 3; from there a t interval and P against the bound."""
    if not values:
        return Evidence(missing=missing or "no network to compare")
    interval = statistics.t_interval(values)
    beyond = [value < claim.bound if claim.direction == "below" else value > claim.bound
              for value in values]  # fmt: skip
    return Evidence(
        effect=float(np.mean(values)),
        ours=ours,
        p=None if interval is None else statistics.t_test(values, claim.bound),
        smallest_p=None if interval is None else 0.0,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        agree=float(np.mean(beyond)),
        seeds=len(values),
        n=n,
        data={"values": list(values)},
        phrase=f"{phrase}, over {counted(len(values), 'seed')}",
        missing=missing,
    )


def missing_networks(world: World, name: str, metric: str, taus: Sequence[str]) -> str:
    """Which networks of a family lack ``metric``, and what makes it; "" if none does."""
    have = by_seed(world, name, metric)
    gaps = [
        (tau, seed)
        for tau in taus
        for seed in world.families[name].seeds
        if tau not in have.get(seed, {})
    ]
    if not gaps:
        return ""
    shown = ", ".join(f"τ={tau} seed={seed}" for tau, seed in gaps[:3])
    more = f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    return f"{metric} of {name} at {shown}{more} (rule measure_model)"


def fewest_seeds(world: World, names: Any) -> int:
    """The fewest seeds that any of these families has."""
    return min((len(world.families[str(name)].seeds) for name in names), default=0)


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def mean_percent(changes: Sequence[float]) -> str:
    return f"{100 * float(np.mean(changes)):+.1f} %" if changes else ""
