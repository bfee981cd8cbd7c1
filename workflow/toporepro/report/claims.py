"""The paper's claims, tested on the tidy tables, and the verdict on each.

A row of ``claims.csv`` holds all that its verdict follows from: :func:`verdict` reads nothing else.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from toporepro.code import stage_modules
from toporepro.provenance import atomic, write_manifest, write_text
from toporepro.report import (
    brain,
    competitors,
    dimensionality,
    layouts,
    selectivity,
    statistics,
    trends,
)
from toporepro.report.evidence import Claim, Evidence, World
from toporepro.report.render import render_markdown
from toporepro.report.selection import families
from toporepro.report.tables import (
    TableError,
    read_curves,
    read_measures,
    read_published,
    read_units,
)
from toporepro.spec import SpecError, decode, nearest

Row = dict[str, Any]

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
THESE = "holds for these networks"
NOT_COMPARABLE = "not comparable"
NOT_TESTABLE = "not testable at this scale"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, THESE, NOT_COMPARABLE, NOT_TESTABLE)

TEXT = ("id", "claim", "family", "statement", "figure", "quantity", "paper", "ours", "unit", "test")
COLUMNS = (
    *TEXT,
    *("direction", "bound", "paper_number", "scope", "comparable", "testable", "alpha"),
    *("seeds", "n", "statistic", "p", "smallest_p", "p_holm", "low", "high", "effect", "agree"),
    *("verdict", "sentence", "missing"),
)
_WORDS = (*TEXT, "direction", "scope", "verdict", "sentence", "missing")
_TRUTHS = ("comparable", "testable")
_COUNTS = ("seeds", "n")

KINDS: dict[str, Callable[[World, Claim, str], Evidence]] = {
    kind.__name__: kind
    for kind in (
        trends.trend_over_tau,
        trends.change_from_baseline,
        trends.control_ratio,
        trends.quiet_ratio,
        competitors.above_competitor,
        competitors.matched_smoothness,
        dimensionality.pooled_correlation,
        dimensionality.centred_comparison,
        dimensionality.performance_matched,
        selectivity.similarity_of_maps,
        selectivity.maps_follow_representation,
        selectivity.layout_follows_swap,
        brain.brain_against_baseline,
        brain.brain_against_untrained,
    )
}


def evaluate(
    spec: Mapping[str, Any], tables: Path, published: Path, out: Path, units: Sequence[Path] = ()
) -> list[Row]:
    """The verb ``toporepro claims``: writes ``claims.csv`` and, beside it, ``claims.md``.

    Args:
        spec: ``preset``; ``families`` (see ``selection.Family``); ``alpha`` and ``claims`` as in
            ``config/paper/claims.yaml``; ``calibrated`` (default false): whether smoothness and
            effective dimensionality were calibrated on the published checkpoints.
        tables: folder of the tidy tables.
        published: the paper's plotted points.
        out: the CSV to write.
        units: ``units.parquet`` of the networks whose layout is judged.

    Raises:
        SpecError: if the claims or the families are not well described.
        TableError: if a table is not one.
    """
    started = time.monotonic()
    world = World(
        preset=spec["preset"],
        families=families(spec),
        measures=read_measures(tables / "measures.csv"),
        published=read_published(published),
        curves=read_curves(tables / "curves.csv"),
        units=read_units(units, layouts.UNITS),
        calibrated=bool(spec.get("calibrated", False)),
    )
    rows = judge(world, read_definitions(spec["claims"]), float(spec.get("alpha", 0.05)))
    with atomic(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _text(row[key]) for key in COLUMNS} for row in rows)
    write_text(out.with_suffix(".md"), render_markdown(rows, world.preset))
    write_manifest(
        verb="claims",
        spec=spec,
        modules=stage_modules("claims"),
        inputs=[tables / "measures.csv", tables / "curves.csv", published, *units],
        outputs=[out, out.with_suffix(".md")],
        wall_seconds=time.monotonic() - started,
    )
    return rows


def read_definitions(claims: Iterable[Mapping[str, Any]]) -> list[Claim]:
    """The claims of ``config/paper/claims.yaml``, checked.

    Raises:
        SpecError: on unknown keys, an unknown test, or an id given twice.
    """
    definitions: list[Claim] = []
    for entry in claims:
        claim = decode(Claim, entry)
        if claim.test not in KINDS:
            raise SpecError(
                f"claim {claim.id}: no test {claim.test!r}; {nearest(claim.test, KINDS)}"
            )
        if any(claim.id == other.id for other in definitions):
            raise SpecError(f"claim {claim.id}: stands there twice")
        if claim.direction == "within" and claim.paper_number is None:
            raise SpecError(f"claim {claim.id}: `within` needs a paper_number")
        definitions.append(claim)
    return definitions


def judge(world: World, claims: Sequence[Claim], alpha: float = 0.05) -> list[Row]:
    """Every claim on every family it is about: rows with the keys ``COLUMNS``."""
    rows, phrases, caveats = [], [], []
    for claim in claims:
        for name in _subjects(world, claim):
            nothing = not name and claim.each != "preset"
            evidence = _nobody(world, claim) if nothing else KINDS[claim.test](world, claim, name)
            rows.append(_row(world, claim, name, evidence, alpha))
            phrases.append(_typeset(evidence.phrase))
            caveats.append(_caveats(world, claim))
    # A P that cannot reach alpha, or speaks of these networks only, is no test for Holm to count.
    counted = [
        row["p"] if _tests(row) and row["testable"] and row["comparable"] else None for row in rows
    ]
    corrected = statistics.holm([float("nan") if p is None else p for p in counted])
    for row, p, adjusted, phrase, caveat in zip(
        rows, counted, corrected, phrases, caveats, strict=True
    ):
        row["p_holm"] = None if p is None else adjusted
        row["verdict"] = verdict(row)
        row["sentence"] = _sentence(row, phrase, caveat)
    return rows


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


def failed(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of the claims that were not reproduced: what ``--strict`` fails on."""
    return [row["id"] for row in rows if row["verdict"] == NOT_REPRODUCED]


def read_claims(path: Path) -> list[Row]:
    """The rows of a ``claims.csv``, with numbers, truths and absences as they were.

    Raises:
        TableError: if the file is not one.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise TableError(f"{path}: not a table of claims")
            return [{key: _value(key, text) for key, text in row.items()} for row in reader]
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None


def _value(key: str, text: str) -> Any:
    if key in _WORDS:
        return text
    if key in _TRUTHS:
        return text == "true"
    if text == "":
        return None
    return int(text) if key in _COUNTS else float(text)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value)) if isinstance(value, float) else str(value)


def _subjects(world: World, claim: Claim) -> Iterator[str]:
    if claim.each == "preset":
        yield ""
    elif claim.each == "competitor":
        yield from claim.options["competitors"]
    elif claim.each == "control":
        mine = world.applicable(claim)
        found = [
            name
            for name, family in world.families.items()
            if family.control == claim.options["control"] and family.control_of in mine
        ]
        yield from found or [""]
    else:
        yield from world.applicable(claim) or [""]


def _nobody(world: World, claim: Claim) -> Evidence:
    """No family of the preset is what the claim is about."""
    kind = f"`control: {claim.options['control']}`" if claim.each == "control" else "no control"
    where = f" and architecture {' or '.join(claim.architectures)}" if claim.architectures else ""
    return Evidence(missing=f"preset {world.preset} has no family with {kind}{where}")


def _row(world: World, claim: Claim, name: str, evidence: Evidence, alpha: float) -> Row:
    on_imagenet = any(family.dataset == "imagenet" for family in world.applicable(claim).values())
    unmet = {"imagenet": not on_imagenet, "calibration": not world.calibrated}
    label = world.families[name].label if name in world.families else name.upper()
    return {
        "id": f"{claim.id}/{name}" if name else claim.id,
        "claim": claim.id,
        "family": label,
        **{key: getattr(claim, key) for key in ("statement", "figure", "quantity", "paper")},
        "ours": _typeset(evidence.ours),
        **{key: getattr(claim, key) for key in ("unit", "test", "direction", "scope")},
        "bound": claim.bound,
        "paper_number": claim.paper_number,
        "comparable": not any(unmet[need] for need in claim.needs),
        "testable": world.preset not in claim.not_in,
        "alpha": alpha,
        **{
            key: getattr(evidence, key)
            for key in ("seeds", "n", "statistic", "p", "smallest_p", "low", "high")
        },
        "effect": evidence.effect,
        "agree": evidence.agree,
        "missing": evidence.missing,
    }


def _typeset(text: str) -> str:
    """Minus signs before numbers, exponents left alone."""
    return re.sub(r"(?<![\w.])-(?=[0-9])", "−", text)


def _caveats(world: World, claim: Claim) -> dict[str, str]:
    """What a sentence adds, by the verdict it comes with ("" for all)."""
    reasons = []
    if "imagenet" in claim.needs:
        reasons.append("the published values are ImageNet accuracies")
    if "calibration" in claim.needs and not world.calibrated:
        reasons.append("the measures are not calibrated on the published checkpoints")
    return {
        "": claim.caveat,
        NOT_COMPARABLE: ", and ".join(reasons),
        NOT_TESTABLE: claim.not_in_why,
    }


def _sentence(row: Row, phrase: str, caveat: Mapping[str, str]) -> str:
    """The row in plain words."""
    where = f"{row['family']}: " if row["family"] else ""
    p = ""
    if _tests(row):
        p = f", P = {row['p']:.2g}"
        p += f" (Holm {row['p_holm']:.2g})" if row["p_holm"] is not None else ""
    elif row["p"] is not None and row["scope"] == "trainings":
        p = f", P = {row['p']:.2g}; so few networks cannot reach {row['alpha']:g}"
    elif row["p"] is not None and "P =" not in phrase:
        p = f", P = {row['p']:.2g} over these networks"
    if row["low"] is not None:
        p += f"; 95 % interval {row['low']:.3g} to {row['high']:.3g}"
    found = f"{where}{phrase}{p}. " if phrase else f"{where}not measured. "
    tail = {
        REPRODUCED: "Reproduced across trainings.",
        NOT_REPRODUCED: "Not reproduced.",
        THESE: "Holds for these networks; across seeds not tested."
        if row["seeds"] < 2 or not _tests(row)
        else "Holds for these networks; across seeds not after correction for all claims.",
        NOT_COMPARABLE: f"Not comparable: {caveat[NOT_COMPARABLE]}.",
        NOT_TESTABLE: "Not testable at this scale"
        + (f": {caveat[NOT_TESTABLE]}." if not row["testable"] else "."),
    }[row["verdict"]]
    parts = [found + tail, caveat[""], f"Missing: {row['missing']}." if row["missing"] else ""]
    return " ".join(part for part in parts if part)
