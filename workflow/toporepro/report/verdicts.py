"""From the columns of a row to its verdict and its sentence: nothing else is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toporepro.report import statistics

Row = dict[str, Any]

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
THESE = "holds for these networks"
NOT_COMPARABLE = "not comparable"
NOT_TESTABLE = "not testable at this scale"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, THESE, NOT_COMPARABLE, NOT_TESTABLE)


def decide(rows: Sequence[Row]) -> None:
    """Fill in ``p_holm``, ``verdict`` and ``sentence`` of all rows, from their other columns.

    Holm's correction counts what tests other trainings with a P that can reach ``alpha``; the other
    P speak of these networks only.
    """
    counted = [
        row["p"] if _tests(row) and row["testable"] and row["comparable"] else None for row in rows
    ]
    corrected = statistics.holm([float("nan") if p is None else p for p in counted])
    for row, p, adjusted in zip(rows, counted, corrected, strict=True):
        row["p_holm"] = None if p is None else adjusted
        row["verdict"] = verdict(row)
        row["sentence"] = _sentence(row)


def verdict(row: Mapping[str, Any]) -> str:
    """The verdict, from the row's own columns.

    * not comparable: the published value is on another scale (``comparable``).
    * not testable at this scale: the preset is too small (``testable``), or data are missing.
    * not reproduced: the effect is on the wrong side of its bound; or a test that could have
      reached ``alpha`` did not; or, without such a test, some seed or network disagrees.
    * reproduced: a test across at least two seeds, P ≤ alpha after Holm.
    * holds for these networks: the rest. One seed, too few for a test, P that Holm does not let
      pass, or a number that speaks of these networks alone.
    """
    if not row["comparable"]:
        return NOT_COMPARABLE
    if not row["testable"] or row["effect"] is None:
        return NOT_TESTABLE
    if not holds(row):
        return NOT_REPRODUCED
    if _tests(row):
        if row["p"] > row["alpha"]:
            return NOT_REPRODUCED
        return REPRODUCED if row["seeds"] >= 2 and row["p_holm"] <= row["alpha"] else THESE
    return THESE if row["agree"] == 1 else NOT_REPRODUCED


def _tests(row: Mapping[str, Any]) -> bool:
    """Whether the row tests other trainings: with a P that its design lets reach ``alpha``."""
    smallest = row["smallest_p"]
    reachable = row["p"] is not None and smallest is not None and smallest <= row["alpha"]
    return row["scope"] == "trainings" and reachable


def holds(row: Mapping[str, Any]) -> bool:
    """Whether the effect lies on the claimed side of the bound."""
    effect, bound = row["effect"], row["bound"]
    if effect is None:
        return False
    if row["direction"] == "within":
        return bool(abs(effect - row["paper_number"]) <= bound)
    return bool(effect > bound if row["direction"] == "above" else effect < bound)


def _sentence(row: Mapping[str, Any]) -> str:
    """The row in plain words."""
    where = f"{row['family']}: " if row["family"] else ""
    p = ""
    if _tests(row):
        p = f", P = {row['p']:.2g}"
        p += f" (Holm {row['p_holm']:.2g})" if row["p_holm"] is not None else ""
    elif row["p"] is not None and row["scope"] == "trainings":
        p = f", P = {row['p']:.2g}; so few networks cannot reach {row['alpha']:g}"
    elif row["p"] is not None and "P =" not in row["phrase"]:
        p = f", P = {row['p']:.2g} over these networks"
    if row["low"] is not None:
        p += f"; 95 % interval {row['low']:.3g} to {row['high']:.3g}"
    found = f"{where}{row['phrase']}{p}. " if row["phrase"] else f"{where}not measured. "
    tail = {
        REPRODUCED: "Reproduced across trainings.",
        NOT_REPRODUCED: "Not reproduced.",
        THESE: "Holds for these networks; across seeds not tested."
        if row["seeds"] < 2 or not _tests(row)
        else "Holds for these networks; across seeds not after correction for all claims.",
        NOT_COMPARABLE: f"Not comparable: {row['why_open']}.",
        NOT_TESTABLE: "Not testable at this scale"
        + (f": {row['why_open']}." if row["why_open"] else "."),
    }[row["verdict"]]
    parts = [found + tail, row["caveat"], f"Missing: {row['missing']}." if row["missing"] else ""]
    return " ".join(part for part in parts if part)
