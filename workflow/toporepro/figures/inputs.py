"""What a figure is drawn from: tidy tables, read when asked for, and the families shown."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toporepro.report.selection import Family, families, topographic
from toporepro.report.tables import (
    read_curves,
    read_history,
    read_measures,
    read_published,
    read_units,
)

if TYPE_CHECKING:
    import pandas as pd

Model = tuple[str, str, int]  # family, τ, seed


@dataclass(frozen=True)
class Tables:
    """The tables of a preset, each read once, when it is first asked for.

    Attributes:
        folder: where ``measures.csv``, ``curves.csv`` and ``history.csv`` are.
        unit_files: ``units.parquet`` of the models shown.
        published_file: the paper's plotted points, if given.
        quantities: what is read of the units.
    """

    folder: Path
    unit_files: tuple[Path, ...] = ()
    published_file: Path | None = None
    quantities: tuple[str, ...] = ()

    @functools.cached_property
    def measures(self) -> pd.DataFrame:
        return read_measures(self.folder / "measures.csv")

    @functools.cached_property
    def curves(self) -> pd.DataFrame:
        """Values of whole layers."""
        return read_curves(self.folder / "curves.csv")

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        return read_history(self.folder / "history.csv")

    @functools.cached_property
    def published(self) -> pd.DataFrame | None:
        """The paper's points; ``None`` if they were not given."""
        return read_published(self.published_file) if self.published_file else None

    @functools.cached_property
    def units(self) -> pd.DataFrame:
        """Rows of ``quantities``, of single units, for all models shown."""
        return read_units(self.unit_files, self.quantities)

    @functools.cached_property
    def trained_units(self) -> pd.DataFrame:
        """Those of ``units`` that belong to fully trained networks: the last step of each."""
        last = self.units.groupby(["family", "tau", "seed"]).step.transform("max")
        return self.units[self.units.step == last]


def shown(spec: Mapping[str, Any]) -> dict[str, Family]:
    """The families of a figure's spec, controls among them."""
    return families(spec)


def every_seed(spec: Mapping[str, Any]) -> list[Model]:
    """Every network of every family but controls."""
    return [
        (name, tau, seed)
        for name, family in topographic(families(spec)).items()
        for tau in family.taus
        for seed in family.seeds
    ]


def first_seeds(spec: Mapping[str, Any]) -> list[Model]:
    """Every τ of every family but controls, at the family's first seed: models drawn as maps."""
    return [
        (name, tau, min(family.seeds))
        for name, family in topographic(families(spec)).items()
        for tau in family.taus
    ]


def sheet(units: pd.DataFrame, value: Sequence[float] | None = None) -> Any:
    """Values of one quantity (and index) of one layer, laid on its cortical sheet.

    Returns:
        (rows, columns) float array; ``nan`` where the sheet has no such unit.
    """
    import numpy as np

    height, width = int(units.row.max()) + 1, int(units.col.max()) + 1
    laid = np.full((height, width), np.nan)
    laid[units.row.to_numpy(int), units.col.to_numpy(int)] = (
        units.value.to_numpy(float) if value is None else np.asarray(value, dtype=float)
    )
    return laid
