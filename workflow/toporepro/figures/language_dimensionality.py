"""Effective dimensionality of language networks against minimal pairs and against smoothness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.figures import dimensionality
from toporepro.figures import published as paper
from toporepro.figures.blimp_vs_smoothness import pairs_label
from toporepro.figures.inputs import Tables
from toporepro.report.selection import shown_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Effective dimensionality of language networks"
ORDER = 4.2
TASK = "language"
TABLES = ("measures", "published")
SUFFIXES = ("png", "svg")
LANGUAGE = dimensionality.Kind(
    task="language",
    marks=paper.LANGUAGE_MARKS,
    panel="blimp",
    theirs="blimp_accuracy",
    metric="pair_accuracy",
    label=pairs_label,
)


def draw(spec: Mapping[str, Any], tables: Tables) -> Figure:
    """Above over minimal pairs, below over smoothness; the paper's points first."""
    return dimensionality.draw(spec, tables, LANGUAGE)


def facts(spec: Mapping[str, Any], tables: Tables) -> list[str]:
    """Data, n, R and P of each panel."""
    pairs = shown_pairs(tables.measures) or "no set"
    return [*dimensionality.facts(spec, tables, LANGUAGE), f"Minimal pairs: those of “{pairs}”."]
