"""The paper's claims, tested on the tidy tables, and the verdict on each.

A row of ``claims.csv`` holds all that its verdict follows from: :func:`verdict` reads nothing else.
Its numbers follow in turn from its ``data``, a JSON object: values of seeds, of participants or of
networks, and of permutations how many reached the observed value, and of how many.
"""

from __future__ import annotations

import csv
import json
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
    compression,
    dimensionality,
    language,
    layouts,
    selectivity,
    trends,
)
from toporepro.report.evidence import PAIRS, Claim, Evidence, World
from toporepro.report.render import render_markdown, render_summary
from toporepro.report.selection import families
from toporepro.report.tables import (
    TableError,
    read_curves,
    read_measures,
    read_published,
    read_units,
)
from toporepro.report.verdicts import NOT_REPRODUCED, Row, decide
from toporepro.spec import SpecError, decode, nearest

TEXT = ("id", "claim", "family", "statement", "figure", "quantity", "paper", "ours", "unit", "test")
COLUMNS = (
    *TEXT,
    *("direction", "bound", "paper_number", "scope", "comparable", "testable", "alpha"),
    *("seeds", "n", "statistic", "p", "smallest_p", "p_holm", "low", "high", "effect", "agree"),
    *("verdict", "sentence", "missing", "phrase", "caveat", "why_open", "data"),
)
_WORDS = (
    *TEXT,
    *("direction", "scope", "verdict", "sentence", "missing", "phrase", "caveat", "why_open"),
)
_TRUTHS = ("comparable", "testable")
_COUNTS = ("seeds", "n")
_DATA = "data"

KINDS: dict[str, Callable[[World, Claim, str], Evidence]] = {
    kind.__name__: kind
    for kind in (
        trends.trend_over_tau,
        trends.change_from_baseline,
        trends.control_ratio,
        trends.quiet_ratio,
        competitors.above_competitor,
        competitors.matched_smoothness,
        competitors.smoother_than,
        compression.drop_over_paradigms,
        compression.loss_increase,
        compression.against_controls,
        dimensionality.pooled_correlation,
        dimensionality.centred_comparison,
        dimensionality.performance_matched,
        selectivity.similarity_of_maps,
        selectivity.maps_follow_representation,
        selectivity.layout_follows_swap,
        language.middle_over_early,
        language.trend_over_steps,
        brain.brain_against_baseline,
        brain.brain_against_untrained,
    )
}


def evaluate(
    spec: Mapping[str, Any], tables: Path, published: Path, out: Path, units: Sequence[Path] = ()
) -> list[Row]:
    """The verb ``toporepro claims``: writes ``claims.csv`` and, beside it, ``claims.md`` and
    ``summary.md``, the README's table.

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
    texts = {
        out.with_suffix(".md"): render_markdown(rows, world.preset),
        out.with_name("summary.md"): render_summary(rows, world.preset),
    }
    for path, text in texts.items():
        write_text(path, text)
    write_manifest(
        verb="claims",
        spec=spec,
        modules=stage_modules("claims"),
        inputs=[tables / "measures.csv", tables / "curves.csv", published, *units],
        outputs=[out, *texts],
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
    rows = []
    for claim in claims:
        found = {name: _evidence(world, claim, name) for name in _subjects(world, claim)}
        # Where the claim applies to some families, the others need no row that says why not.
        told = {name: of for name, of in found.items() if of.applies} or found
        rows += [_row(world, claim, name, evidence, alpha) for name, evidence in told.items()]
    decide(rows)
    return rows


def _evidence(world: World, claim: Claim, name: str) -> Evidence:
    if not name and claim.each != "preset":
        return _nobody(world, claim)
    return KINDS[claim.test](world, claim, name)


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
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise TableError(f"{path}: not a table of claims")
            return [{key: _value(key, text) for key, text in row.items()} for row in reader]
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None
    except TableError:
        raise
    except (csv.Error, TypeError, ValueError) as error:  # a row cut short has no text there
        raise TableError(
            f"{path}, line {reader.line_num}: not a row of claims ({error}); the table was damaged "
            "after it was made: delete it and run again"
        ) from None


def _value(key: str, text: str) -> Any:
    if key in _WORDS:
        return text
    if key == _DATA:
        return json.loads(text)
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
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
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
    where = f", architecture {' or '.join(claim.architectures)}" if claim.architectures else ""
    where += f", task {claim.task}" if claim.task else ""
    where += f", measures {', '.join(claim.measures)}" if claim.measures else ""
    return Evidence(missing=f"preset {world.preset} has no family with {kind}{where}")


def _row(world: World, claim: Claim, name: str, evidence: Evidence, alpha: float) -> Row:
    on_imagenet = any(family.dataset == "imagenet" for family in world.applicable(claim).values())
    shown = world.measures[world.measures.metric == PAIRS].stimuli
    unmet = {
        "imagenet": not on_imagenet,
        "blimp": not shown.str.startswith("blimp/").any(),
        "calibration": not world.calibrated,
    }
    comparable = not any(unmet[need] for need in claim.needs)
    label = competitors.label(name) if claim.each == "competitor" else ""
    label = world.families[name].label if name in world.families else label
    return {
        "id": f"{claim.id}/{name}" if name else claim.id,
        "claim": claim.id,
        "family": label,
        **{key: getattr(claim, key) for key in ("statement", "figure", "quantity", "paper")},
        "ours": _typeset(evidence.ours),
        **{key: getattr(claim, key) for key in ("unit", "test", "direction", "scope")},
        "bound": claim.bound,
        "paper_number": claim.paper_number,
        "comparable": comparable,
        "testable": world.preset not in claim.not_in,
        "alpha": alpha,
        **{
            key: getattr(evidence, key)
            for key in ("seeds", "n", "statistic", "p", "smallest_p", "low", "high")
        },
        "effect": evidence.effect,
        "agree": evidence.agree,
        "missing": _missing(evidence),
        "phrase": _typeset(evidence.phrase),
        "caveat": claim.caveat,
        "why_open": _why_open(world, claim, comparable),
        "data": json.loads(_text(evidence.data)),  # as it will be read
    }


def _typeset(text: str) -> str:
    """Minus signs before numbers, exponents left alone."""
    return re.sub(r"(?<![\w.])-(?=[0-9])", "−", text)


def _missing(evidence: Evidence) -> str:
    """What is missing, with the rule that would make it; networks, if nothing else is named."""
    missing = evidence.missing
    if evidence.effect is None and "rule " not in missing:
        missing = f"{missing or 'networks'} (rule train_model makes those that `families` names)"
    return missing


def _why_open(world: World, claim: Claim, comparable: bool) -> str:
    """Why the row is not comparable, or the preset too small for the claim."""
    if comparable:
        return claim.not_in_why if world.preset in claim.not_in else ""
    reasons = []
    if "imagenet" in claim.needs:
        reasons.append("the published values are ImageNet accuracies")
    if "blimp" in claim.needs:
        reasons.append("the published values are of BLiMP")
    if "calibration" in claim.needs and not world.calibrated:
        reasons.append("the measures are not calibrated on the published checkpoints")
    return ", and ".join(reasons)
