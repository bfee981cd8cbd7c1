"""The run's ledger: what each job took, from the manifests and Snakemake's benchmark files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporepro.provenance import read_sealed

# Verbs that run once.
_ALONE = {
    "tables": "collect_tables",
    "claims": "judge_claims",
    "calibrate_definitions": "calibrate_definitions",
    "explorer": "write_explorer",
}


@dataclass(frozen=True)
class Entry:
    """One job.

    Attributes:
        rule: the kind of job, as the folder of its benchmark files is called.
        subject: what it was about.
        wall_seconds: summed over attempts.
        peak_mb: largest resident memory in MB; ``None`` where it was not recorded.
        energy_kwh: of its device; ``None`` where it was not measured.
        energy_source: what told it, or why nothing did; "" where nothing was asked.
    """

    rule: str
    subject: str
    device: str
    attempts: int
    wall_seconds: float
    gpu_hours: float
    peak_mb: float | None
    energy_kwh: float | None
    energy_source: str


def read_manifests(paths: Iterable[Path]) -> dict[Path, Mapping[str, Any]]:
    """The contents of manifests by path, in the order given.

    Raises:
        OSError: if one is missing.
        DamagedError: if one was changed or damaged since it was made.
    """
    return {path: read_sealed(path) for path in paths}


def entries(manifests: Mapping[Path, Mapping[str, Any]], benchmarks: Path) -> list[Entry]:
    """One entry per manifest; memory from Snakemake's benchmark files below ``benchmarks``."""
    found = []
    for path, content in manifests.items():
        rule, subject = job_of(path, content["verb"])
        found.append(
            Entry(
                rule=rule,
                subject=subject.replace("_tau=", ", τ = ").replace("_seed=", ", seed "),
                device=content["device"],
                attempts=content["attempts"],
                wall_seconds=content["wall_seconds"],
                gpu_hours=content["gpu_hours"],
                peak_mb=_peak(benchmarks / rule / f"{subject}.tsv"),
                energy_kwh=content.get("energy_kwh"),
                energy_source=content.get("energy_source", ""),
            )
        )
    return found


def totals(jobs: Iterable[Entry]) -> list[Entry]:
    """One entry per rule, in order of appearance: times summed, the highest peak memory."""
    rules: dict[str, list[Entry]] = {}
    for job in jobs:
        rules.setdefault(job.rule, []).append(job)
    return [
        Entry(
            rule=rule,
            subject=str(len(mine)),
            device=", ".join(sorted({job.device for job in mine})),
            attempts=sum(job.attempts for job in mine),
            wall_seconds=sum(job.wall_seconds for job in mine),
            gpu_hours=sum(job.gpu_hours for job in mine),
            peak_mb=max((job.peak_mb for job in mine if job.peak_mb is not None), default=None),
            energy_kwh=energy(mine),
            energy_source="; ".join(sorted({job.energy_source for job in mine} - {""})),
        )
        for rule, mine in rules.items()
    ]


def energy(jobs: Iterable[Entry]) -> float | None:
    """The sum over jobs whose energy was measured, in kWh; ``None`` if that of none was."""
    measured = [job.energy_kwh for job in jobs if job.energy_kwh is not None]
    return sum(measured) if measured else None


def energy_sources(jobs: Iterable[Entry]) -> str:
    """What told the energy of how many jobs, and of how many why nothing did."""
    counts: dict[str, int] = {}
    for job in jobs:
        source = job.energy_source or "not asked of jobs that neither train nor measure"
        counts[source] = counts.get(source, 0) + 1
    return "; ".join(f"{source} ({count})" for source, count in sorted(counts.items()))


def versions(manifests: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Each package's versions over all jobs; one, unless they ran in different environments."""
    seen: dict[str, set[str]] = {}
    for content in manifests:
        for name, version in {**content["packages"], "python": content["python"]}.items():
            seen.setdefault(name, set()).add(version)
    return {name: tuple(sorted(seen[name])) for name in sorted(seen)}


def machines(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """The machines that jobs ran on, in words."""
    found = {
        f"{content['machine']['system']}, {content['machine']['cores']} cores, {content['device']}"
        for content in manifests
    }
    return sorted(found)


def commits(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """The git commits that results were made at; ``+`` where tracked files differed."""
    return sorted({content["git_commit"] or "outside git" for content in manifests})


def accepted(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Changes of code that results were accepted across, with the reasons given."""
    return sorted(
        {
            f"{change['module']}: {change['reason']}"
            for content in manifests
            for change in content.get("accepted_changes", [])
        }
    )


def job_of(path: Path, verb: str) -> tuple[str, str]:
    """The rule that a manifest tells of, and the job's subject.

    Raises:
        ValueError: if no rule runs the verb.
    """
    parts: Sequence[str] = path.parts
    if verb in ("train", "measure", "convert"):
        rule = "convert_checkpoint" if verb == "convert" else f"{verb}_model"
        return rule, "_".join(parts[-4:-1])
    if verb == "prepare":
        return "prepare_data", parts[-2]
    if verb == "figure":
        return "figures", path.name.split(".")[0]
    if verb not in _ALONE:
        raise ValueError(f"{path}: made by {verb!r}, which no rule runs")
    return _ALONE[verb], _ALONE[verb]


def _peak(path: Path) -> float | None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            # A rule that is benchmarked repeatedly has a line for each time.
            return max(float(row["max_rss"]) for row in csv.DictReader(file, delimiter="\t"))
    except (OSError, KeyError, ValueError):
        return None
