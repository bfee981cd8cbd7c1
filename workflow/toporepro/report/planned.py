"""What jobs were planned to take, beside what they took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toporepro.report.ledger import Entry


@dataclass(frozen=True)
class Row:
    """The jobs of one rule and family.

    Attributes:
        planned: seconds of all jobs, as arithmetic on their specs has it; ``None`` if it cannot.
        taken: seconds, summed over jobs and their attempts.
        source: what the plan rests on.
    """

    rule: str
    family: str
    jobs: int
    planned: float | None
    taken: float
    source: str


def compare(planned: Iterable[Mapping[str, Any]], jobs: Iterable[Entry]) -> list[Row]:
    """A row for each rule and family that were planned and have run.

    Args:
        planned: ``rule``, ``family``, ``hours`` (``None`` where not known) and ``source``.
        jobs: of the ledger.
    """
    taken: dict[tuple[str, str], list[float]] = {}
    for job in jobs:
        taken.setdefault((job.rule, job.subject.split(", ")[0]), []).append(job.wall_seconds)
    rows = []
    for line in planned:
        found = taken.get((line["rule"], line["family"]), [])
        if found:
            seconds = None if line["hours"] is None else 3600 * line["hours"]
            rows.append(
                Row(line["rule"], line["family"], len(found), seconds, sum(found), line["source"])
            )
    return rows
