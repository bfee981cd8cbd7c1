"""The verb ``calibrate_definitions``: which of our definitions gives the paper's numbers.

The paper plots its values of smoothness and of effective dimensionality without defining them in
full. The measure ``definitions`` takes every variant on the published checkpoints; here each is
held against the plotted points (``config/paper/figures.csv``). The variant with the smallest root
mean square residual over one family, ResNet-18, is chosen; what the others then say of it is its
validation. Nothing is fitted, and all residuals are kept.

Of φ and the coordinates of resampling nothing is plotted; they are read off the weights themselves,
as the variant with the lowest ``anchor_contrast``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from toporepro.code import stage_modules
from toporepro.provenance import atomic, progress, write_manifest
from toporepro.report.selection import final
from toporepro.report.tables import read_measures, read_published

if TYPE_CHECKING:
    import pandas as pd

CHOSEN_ON = "resnet18"
# Where a quantity's published values stand: the figure, and its panels of vision and of language.
# The paper's figures disagree for some points, so each quantity is read off one figure alone.
SOURCES = {
    "smoothness": ("performance", ("vision", "language")),
    "effective_dimensionality": (
        "dimensionality",
        ("vision_ed_vs_smoothness", "language_ed_vs_smoothness"),
    ),
}
INTERNAL = "anchor_contrast"
SUMMARY = (
    "quantity",
    "definition",
    "rank",
    "chosen",
    "role",
    "family",
    "n",
    "mean",
    "rmse",
    "relative_rmse",
    "bias",
    "worst",
    "within_reading_error",
)
RESIDUALS = (
    "quantity",
    "definition",
    "chosen",
    "family",
    "tau",
    "ours",
    "published",
    "reading_error",
    "residual",
)
_NAME = re.compile(r"(?P<quantity>[a-z_]+)\[(?P<definition>[^\]]+)\]")


def calibrate_definitions(
    tables: Path, published: Path, out: Path, chosen_on: str = CHOSEN_ON
) -> None:
    """Write ``calibration.csv`` (a row per definition and family) and its residuals into ``out``.

    Args:
        tables: folder of the tidy tables.
        published: the paper's plotted points.
        out: folder of ``calibration.csv`` and ``calibration_residuals.csv``.
        chosen_on: the family that decides; all others of the same name in both tables validate.

    Raises:
        TableError: if a table is not one.
    """
    started = time.monotonic()
    measures, paper = tables / "measures.csv", published
    residuals = compare(read_measures(measures), read_published(paper))
    summary = summarise(residuals, chosen_on)
    made = [out / "calibration.csv", out / "calibration_residuals.csv"]
    best = summary[summary.chosen].drop_duplicates("quantity")
    chosen = set(zip(best.quantity, best.definition, strict=True))
    residuals["chosen"] = [
        key in chosen for key in zip(residuals.quantity, residuals.definition, strict=True)
    ]
    for path, frame, columns in (
        (made[0], summary, SUMMARY),
        (made[1], residuals, RESIDUALS),
    ):
        with atomic(path) as temporary:
            frame[list(columns)].to_csv(
                temporary, index=False, lineterminator="\n", float_format="%.9g"
            )
    write_manifest(
        verb="calibrate_definitions",
        spec={"chosen_on": chosen_on},
        modules=stage_modules("calibrate"),
        inputs=[measures, paper],
        outputs=made,
        wall_seconds=time.monotonic() - started,
    )
    for line in sentences(summary, chosen_on):
        progress(line)


def compare(measures: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Every definition's value beside the paper's, for each network with τ > 0 that both have.

    Means over seeds; of measures with a definition in brackets, ``smoothness[bins=20]``. The
    stimuli are part of a definition.
    """
    import pandas as pd

    rows = measures[
        measures.metric.str.fullmatch(_NAME.pattern)
        & (measures.layer == "mean")
        & (measures.sparsity == 0)
        & (measures.tau_value > 0)
        & measures.value.notna()
    ]
    parts = rows.metric.str.extract(_NAME.pattern)
    rows = final(rows.assign(quantity=parts.quantity, inner=parts.definition))
    shown = (",stimuli=" + rows.stimuli).where(rows.stimuli != "", "")
    rows = rows.assign(definition=rows.inner + shown)
    keys = ["quantity", "definition", "family", "tau", "tau_value"]
    ours = rows.groupby(keys, sort=False)["value"].mean().rename("ours").reset_index()
    points = []
    for quantity, (figure, panels) in SOURCES.items():
        theirs = published[
            (published.figure == figure)
            & published.panel.isin(panels)
            & (published.metric == quantity)
            & published.sparsity.isna()
        ]
        theirs = theirs.rename(columns={"value": "published"}).assign(quantity=quantity)
        points.append(theirs[["quantity", "family", "tau", "published", "reading_error"]])
    keys = ["quantity", "family", "tau"]
    found = pd.concat(
        [ours.merge(pd.concat(points), on=keys), ours[ours.quantity == INTERNAL]], ignore_index=True
    )
    found["residual"] = found.ours - found.published
    return found.sort_values(["quantity", "definition", "family", "tau_value"], ignore_index=True)


def summarise(residuals: pd.DataFrame, chosen_on: str = CHOSEN_ON) -> pd.DataFrame:
    """Residuals by definition and family; definitions ranked by those of ``chosen_on``.

    A definition that lacks a network which others have is not ranked. Of two that fit alike the
    first by name is taken. ``anchor_contrast`` is ranked by its own mean, from the lowest.
    """
    import pandas as pd

    rows = [row for _, part in residuals.groupby("quantity") for row in _of(part, chosen_on)]
    return pd.DataFrame(rows, columns=list(SUMMARY)).astype({"chosen": bool, "rank": "Int64"})


def _of(residuals: pd.DataFrame, chosen_on: str) -> Iterator[dict[str, object]]:
    deciding = residuals[residuals.family == chosen_on]
    size = deciding.groupby("definition").tau.nunique()
    complete = deciding[deciding.definition.isin(size[size == size.max()].index)]
    internal = (residuals.quantity == INTERNAL).all()
    grouped = complete.groupby("definition")
    scores = grouped.ours.mean() if internal else grouped.residual.apply(_rms)
    score = scores.sort_values(kind="stable")
    ranks = {name: rank for rank, name in enumerate(score.index, start=1)}
    for definition, part in sorted(
        residuals.groupby("definition"), key=lambda item: (ranks.get(item[0], 10**9), item[0])
    ):
        for family, rows in sorted(part.groupby("family"), key=lambda item: item[0] != chosen_on):
            yield {
                "quantity": rows.quantity.iloc[0],
                "definition": definition,
                "rank": ranks.get(definition),
                "chosen": ranks.get(definition) == 1,
                "role": "chosen_on" if family == chosen_on else "validated_on",
                "family": family,
                "n": len(rows),
                "mean": rows.ours.mean(),
                "rmse": _rms(rows.residual),
                "relative_rmse": _rms(rows.residual) / _rms(rows.published),
                "bias": rows.residual.mean(),
                "worst": rows.residual.abs().max(),
                "within_reading_error": int((rows.residual.abs() <= rows.reading_error).sum()),
            }


def sentences(summary: pd.DataFrame, chosen_on: str = CHOSEN_ON) -> Iterator[str]:
    """What was chosen, how well it fits, and how it fares elsewhere."""
    for quantity in (*SOURCES, INTERNAL):
        rows = summary[(summary.quantity == quantity) & summary.chosen]
        if not len(rows):
            yield (
                f"{quantity}: not calibrated; the tables have no definitions of it on {chosen_on}'s"
                " published networks (measure `definitions`, preset `released`)"
            )
            continue
        first = rows[rows.role == "chosen_on"].iloc[0]
        count = summary[summary.quantity == quantity].definition.nunique()
        if quantity == INTERNAL:
            for _, row in rows.iterrows():
                yield f"{quantity} of {row.family}: {row.definition} of {count}: {row['mean']:+.3g}"
            continue
        yield (
            f"{quantity}: {first.definition} of {count} definitions; on {chosen_on}"
            f" (n = {first.n}) rms residual {first.rmse:.3g}"
            f" ({first.relative_rmse:.1%}), worst {first.worst:.3g}"
        )
        for _, row in rows[rows.role == "validated_on"].iterrows():
            yield (
                f"{quantity}: validated on {row.family} (n = {row.n}): rms residual {row.rmse:.3g}"
                f" ({row.relative_rmse:.1%}), bias {row.bias:+.3g}"
            )


def _rms(values: pd.Series[float]) -> float:
    return float((values**2).mean() ** 0.5)
