"""Taking networks out of the tidy tables: one value per network, and which ones are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from toporepro.spec import canonical_tau, decode

if TYPE_CHECKING:
    import pandas as pd

IMAGENET = "imagenet"  # the data source whose accuracies share an axis with the paper's


@dataclass(frozen=True, kw_only=True)
class Family:
    """What figures and claims know of a family of the preset.

    Attributes:
        label: its name for people.
        task: what its networks learn: ``classification`` or ``language``.
        dataset: the data source; only ``imagenet`` is on the paper's accuracy axis.
        taus: canonical spellings, in numerical order.
        control: ``none`` for the networks in question; else what kind of control it is.
        control_of: the family that it is a control of.
        measures: what is measured of its networks.
        claimed: whether claims are about it.
        place: among those shown; a spec is JSON, whose keys have no order.
    """

    label: str
    architecture: str
    dataset: str
    taus: tuple[Any, ...]
    seeds: tuple[int, ...]
    task: str = "classification"
    control: str = "none"
    control_of: str | None = None
    measures: tuple[str, ...] = ()
    claimed: bool = True
    place: int = 0

    def __post_init__(self) -> None:
        ordered = sorted({canonical_tau(tau) for tau in self.taus}, key=Decimal)
        object.__setattr__(self, "taus", tuple(ordered))


def families(spec: Mapping[str, Any]) -> dict[str, Family]:
    """The families of a spec's ``families``, in the order of their places.

    Raises:
        SpecError: on unknown, missing or ill-typed keys.
    """
    found = {name: decode(Family, entry) for name, entry in spec["families"].items()}
    return dict(sorted(found.items(), key=lambda item: item[1].place))


def topographic(known: Mapping[str, Family]) -> dict[str, Family]:
    """The families that are no control."""
    return {name: family for name, family in known.items() if family.control == "none"}


def controls_of(known: Mapping[str, Family], name: str) -> dict[str, Family]:
    """The control families of family ``name``."""
    return {
        other: family
        for other, family in known.items()
        if family.control != "none" and family.control_of == name
    }


def untrained_of(known: Mapping[str, Family], name: str) -> list[str]:
    """Families with untrained networks of family ``name``: itself, and controls made of them."""
    controls = controls_of(known, name).items()
    return [name, *(other for other, family in controls if family.control == "untrained")]


def networks(measures: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row per network and step with the value of ``metric``.

    The value is that of the whole network, or the mean over its topographic layers; taken on the
    test images where the metric was, else on the first set of stimuli by name. Undefined values
    are left out.

    Returns:
        Columns family, tau, tau_value, seed, step, value, in the table's order.
    """
    rows = measures[
        (measures.metric == metric)
        & (measures.sparsity == 0)
        & measures.layer.isin(["", "mean"])
        & measures.value.notna()
    ]
    if len(rows):
        stimuli = sorted(rows.stimuli.unique(), key=lambda name: (name != "test", name))
        rows = rows.assign(
            preference=rows.stimuli.map(stimuli.index), whole=(rows.layer == "mean")
        ).sort_values(["preference", "whole"], kind="stable")
    key = ["family", "tau", "seed", "step"]
    return (
        rows.drop_duplicates(key)
        .sort_index()[["family", "tau", "tau_value", "seed", "step", "value"]]
        .reset_index(drop=True)
    )


def shown_pairs(measures: pd.DataFrame) -> str:
    """Whose minimal pairs :func:`networks` takes; "" if none were shown."""
    rows = measures[(measures.metric == "pair_accuracy") & (measures.sparsity == 0)]
    name = min(rows.stimuli, default="").partition("/")[0]
    return "BLiMP" if name == "blimp" else name


def final(rows: pd.DataFrame) -> pd.DataFrame:
    """The fully trained networks: the last step of each."""
    last = rows.groupby(["family", "tau", "seed"])["step"].transform("max")
    return rows[(rows.step == last) & (rows.step > 0)].reset_index(drop=True)


def over_sparsity(measures: pd.DataFrame, metric: str, stimuli: str = "") -> pd.DataFrame:
    """Fully trained networks under compression: a row per network and sparsity.

    Args:
        metric: with its method, such as ``loss.sheet``.
        stimuli: what was shown must begin so; "" takes the first set by name.

    Returns:
        Columns family, tau, tau_value, seed, sparsity, value, in the table's order.
    """
    rows = measures[(measures.metric == metric) & measures.value.notna() & (measures.step > 0)]
    rows = rows[rows.stimuli.str.startswith(stimuli)]
    if len(rows):
        rows = rows[rows.stimuli == min(rows.stimuli)]
    columns = ["family", "tau", "tau_value", "seed", "sparsity", "value"]
    return rows[columns].reset_index(drop=True)


def joined(measures: pd.DataFrame, metrics: Iterable[str]) -> pd.DataFrame:
    """Fully trained networks with one column per metric; only those that have them all."""
    table: pd.DataFrame | None = None
    for metric in metrics:
        column = final(networks(measures, metric)).rename(columns={"value": metric})
        keys = ["family", "tau", "tau_value", "seed", "step"]
        table = column if table is None else table.merge(column, on=keys, how="inner")
    assert table is not None, "at least one metric"
    return table


def seed_means(table: pd.DataFrame, metrics: Iterable[str]) -> pd.DataFrame:
    """Means over seeds: one row per family and τ, in the table's order."""
    grouped = table.groupby(["family", "tau", "tau_value"], sort=False)
    return grouped[list(metrics)].mean().reset_index()


def published_points(published: pd.DataFrame, panel: str, figure: str) -> pd.DataFrame:
    """The paper's points of one panel: a row per family and τ, a column per metric.

    τ is "" for competitors.
    """
    rows = published[(published.panel == panel) & (published.figure == figure)]
    wide = rows.pivot(index=["family", "tau"], columns="metric", values="value")
    order = rows.drop_duplicates(["family", "tau"])[["family", "tau", "tau_value"]]
    return order.merge(wide.reset_index(), on=["family", "tau"]).reset_index(drop=True)


def topographic_points(points: pd.DataFrame) -> pd.DataFrame:
    """The rows that the printed correlations are made of: τ > 0, no baseline, no competitor."""
    return points[points.tau_value > 0].reset_index(drop=True)
