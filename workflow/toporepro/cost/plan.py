"""What a whole run takes, before anything runs: arithmetic on the specs of its jobs."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toporepro.config import Resolved
from toporepro.cost import storage, work
from toporepro.cost.estimate import Estimate, Estimator
from toporepro.data.scatter import parts

_BYTES_PER_UNIT = 1500  # of tables and maps, for each topographic unit; about as in the demo


@dataclass(frozen=True)
class Line:
    """The jobs of one kind, of one family or dataset.

    Attributes:
        rule: ``prepare``, ``train`` or ``measure``.
        subject: the family or the dataset.
        jobs: their number.
        hours: of all jobs, one after the other.
        gpu_hours, core_hours: held meanwhile. All are ``None`` where the arithmetic is not known.
        source: what the estimate rests on.
    """

    rule: str
    subject: str
    jobs: int
    hours: float | None
    gpu_hours: float | None
    core_hours: float | None
    source: str


@dataclass(frozen=True)
class Plan:
    """Everything, of a run from nothing.

    Attributes:
        jobs: number of jobs by rule, as Snakemake counts them.
        lines: time by rule and family.
        download: bytes by what is fetched.
        disk: bytes by what is kept; ``peak`` is the most there is at a time.
        by_hand: what a person has to do first, by dataset.
        notes: what is not counted.
    """

    jobs: Mapping[str, int]
    lines: tuple[Line, ...]
    download: Mapping[str, float]
    disk: Mapping[str, float]
    peak: float
    by_hand: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def gpu_hours(self) -> float:
        return sum(line.gpu_hours or 0.0 for line in self.lines)

    @property
    def core_hours(self) -> float:
        return sum(line.core_hours or 0.0 for line in self.lines)


def plan(resolved: Resolved, estimator: Estimator) -> Plan:
    """The plan of one configuration."""
    datasets = storage.datasets(resolved.datasets, resolved.paths.raw)
    sizes = {model.family: storage.weights(model.train) for model in resolved.models}
    kept = [storage.network(model.train, sizes[model.family]) for model in resolved.models]
    download = {name: held.fetched for name, held in datasets.items() if held.fetched}
    if published := storage.checkpoints(resolved.models, sizes):
        download["published checkpoints"] = published
    disk = {
        "raw data": sum(held.fetched + held.own for held in datasets.values()),
        "prepared data": sum(held.prepared for held in datasets.values()),
        "networks": sum(final for final, _ in kept) + published,
        "measurements": sum(storage.units(model.train) for model in resolved.models)
        * _BYTES_PER_UNIT,
    }
    return Plan(
        jobs=job_counts(resolved),
        lines=tuple(_lines(resolved, estimator)),
        download=download,
        disk=disk,
        peak=sum(disk.values()) + max((extra for _, extra in kept), default=0.0),
        by_hand={name: held.by_hand for name, held in datasets.items() if held.by_hand},
        notes=tuple(_notes(resolved, datasets)),
    )


def planned(resolved: Resolved, estimator: Estimator) -> list[dict[str, Any]]:
    """The hours of trainings and measurements, for the report to hold against those taken."""
    return [
        {
            "rule": f"{line.rule}_model",
            "family": line.subject,
            "hours": line.hours,
            "source": line.source,
        }
        for line in _networks(resolved, estimator)
    ]


def job_counts(resolved: Resolved) -> dict[str, int]:
    """Jobs by rule, of a run from nothing."""
    # Two entries of the same data are prepared once.
    distinct = {resolved.paths.prepared(spec): spec for spec in resolved.datasets.values()}
    converted = sum(model.train.checkpoint is not None for model in resolved.models)
    counts = Counter(
        {
            "all": 1,
            "prepare_part": sum(parts(spec) for spec in distinct.values()),
            "prepare_data": len(distinct),
            "convert_checkpoint": converted,
            "train_model": len(resolved.models) - converted,
            "measure_model": len(resolved.models),
            "collect_tables": 1,
            "judge_claims": 1,
            "write_explorer": 1,
            "write_report": 1,
            "calibrate_definitions": int("definitions" in resolved.preset.measures),
        }
    )
    counts.update(f"draw_{name}" for name in resolved.preset.figures)
    return {rule: count for rule, count in counts.items() if count}


def wall_seconds(resolved: Resolved, estimator: Estimator, lanes: int) -> float | None:
    """Time to train and measure all networks on so many cards, or cores where there are no cards.

    The longest jobs go first; each network is measured once it is trained. Preparing data, queues
    and what comes after the measurements are not in it. ``None`` where some job is not known, or
    one takes more lanes than there are.
    """
    todo: list[tuple[float, int, tuple[Estimate, ...]]] = []
    for number, model in enumerate(resolved.models):
        trained = () if model.train.checkpoint else (estimator.train(model),)
        chain = (*trained, estimator.measure(model))
        if any(job.seconds is None or _lanes(job) > lanes for job in chain):
            return None
        todo.append((-_length(chain), number, chain))
    running: list[tuple[float, int, int, tuple[Estimate, ...]]] = []
    now, free = 0.0, lanes
    while todo or running:
        for entry in sorted(todo):
            _, number, chain = entry
            if (taken := _lanes(chain[0])) <= free:
                todo.remove(entry)
                free -= taken
                heapq.heappush(running, (now + _length(chain[:1]), number, taken, chain[1:]))
        now, number, taken, rest = heapq.heappop(running)
        free += taken
        if rest:
            todo.append((-_length(rest), number, rest))
    return now


def _lanes(job: Estimate) -> int:
    return job.gpus or job.cores


def _length(chain: Iterable[Estimate]) -> float:
    return sum(job.seconds or 0.0 for job in chain)


def _lines(resolved: Resolved, estimator: Estimator) -> Iterable[Line]:
    for name, spec in resolved.datasets.items():
        seconds, source = work.preparing_seconds(spec)
        hours = None if seconds is None else seconds / 3600
        yield Line("prepare", name, 1 + parts(spec), hours, 0.0, hours, source)
    yield from _networks(resolved, estimator)


def _networks(resolved: Resolved, estimator: Estimator) -> Iterable[Line]:
    for family in dict.fromkeys(model.family for model in resolved.models):
        mine = [model for model in resolved.models if model.family == family]
        trained = [model for model in mine if model.train.checkpoint is None]
        if trained:
            yield _line("train", family, [estimator.train(model) for model in trained])
        yield _line("measure", family, [estimator.measure(model) for model in mine])


def _line(rule: str, family: str, jobs: list[Estimate]) -> Line:
    rate = jobs[0].rate
    if any(job.seconds is None for job in jobs):
        unknown = "not known before the data are there"
        return Line(rule, family, len(jobs), None, None, None, unknown)
    spent = [(job, (job.seconds or 0.0) / 3600) for job in jobs]
    return Line(
        rule=rule,
        subject=family,
        jobs=len(jobs),
        hours=sum(hours for _, hours in spent),
        gpu_hours=sum(job.gpus * hours for job, hours in spent),
        core_hours=sum(job.cores * hours for job, hours in spent),
        source=rate.source if rate.measured else f"{rate.source} (FLOP estimate)",
    )


def _notes(resolved: Resolved, datasets: Mapping[str, storage.Dataset]) -> Iterable[str]:
    for name, held in datasets.items():
        if not held.known:
            yield f"sizes of {name}: not known before its files are there"
    left = sorted({source for model in resolved.models for source in work.uncounted(model)})
    if left:
        yield f"measuring on {', '.join(left)}: not known before its files are there"
