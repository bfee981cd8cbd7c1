"""What a run takes, before anything runs: jobs, hours, downloads, disk, what a person has to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jobs import mapping
from toporepro.cards import cards
from toporepro.config import Resolved, resolve
from toporepro.cost.estimate import Estimator
from toporepro.cost.plan import Line, Plan, wall_seconds
from toporepro.cost.plan import plan as planned
from toporepro.cost.rates import CARDS

SEEDS = (1, 3)


def plan(preset: str, card: str, profile: str) -> int:
    """Print the plan of a preset, as the user's configuration and the profile have it."""
    content = _content(preset, profile)
    resolved = resolve(content)
    estimator = _estimator(resolved, card)
    made = planned(resolved, estimator)
    gpus = made.gpu_hours > 0
    where = f"GPUs ({card})" if gpus else "CPU cores"
    print(f"preset {resolved.name}, from nothing, on {where}; nothing has run yet\n")
    _print_hours(made)
    print(f"\njobs: {_listed(_grouped(made.jobs))}; {sum(made.jobs.values())} in all")
    print(f"wall time: {_walls(resolved, estimator, gpus)}; without queues and preparing data")
    print(f"download: {_total(made.download)}")
    print(f"disk: {size(made.peak)} at most; in the end {_total(made.disk)}")
    for what, step in made.by_hand.items():
        print(f"by hand: {what}: {step}")
    for note in made.notes:
        print(f"not counted: {note}")
    for what, why in resolved.absent.items():
        print(f"left out: {what}: {why}")
    for count in SEEDS:
        other = resolve(with_seeds(content, resolved, count))
        print(f"{_seeds(count)}: {_sum(planned(other, _estimator(other, card)))}")
    if gpus:
        hours = {name: planned(resolved, _estimator(resolved, name)).gpu_hours for name in CARDS}
        told = ", ".join(f"{name} {value:,.0f}" for name, value in hours.items())
        print(f"GPU-hours by card: {told}")
    print(f"total: {made.core_hours:,.1f} core-hours, {made.gpu_hours:,.1f} GPU-hours")
    return 0


def with_seeds(content: Mapping[str, Any], resolved: Resolved, count: int) -> dict[str, Any]:
    """A configuration in which every trained family has so many seeds, its own first."""
    changed = {}
    for name, family in resolved.preset.families.items():
        if family.checkpoints:
            continue  # published networks are as many as they are
        own = sorted(family.seeds)
        more = (seed for seed in range(count + len(own)) if seed not in own)
        changed[name] = {"seeds": [*own, *more][:count]}
    overrides = dict(content.get("overrides") or {})
    mine = dict(overrides.get(resolved.name) or {})
    given = mine.get("families") or {}
    mine["families"] = {
        name: {**(given.get(name) or {}), **changed.get(name, {})} for name in {**given, **changed}
    }
    return {**content, "overrides": {**overrides, resolved.name: mine}}


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """A span of time, to two digits or so."""
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _content(preset: str, profile: str) -> dict[str, Any]:
    content = mapping(Path("config/config.yaml"))
    machine = Path("workflow/profiles", profile, "machine.yaml")
    if machine.exists():
        content |= mapping(machine)
    return {**content, "preset": preset}


def _estimator(resolved: Resolved, card: str) -> Estimator:
    """On GPUs where there are any, and for networks in bfloat16, which nobody trains on a CPU."""
    low = any(model.train.recipe.precision == "bfloat16" for model in resolved.models)
    return Estimator(resolved, card=card, here=low or bool(cards()))


def _print_hours(made: Plan) -> None:
    """A row for each family and dataset; where the numbers come from stands below, once each."""
    sources = list(dict.fromkeys(line.source for line in made.lines))
    wide = max(len(line.subject) for line in made.lines)
    print(f"{'':{wide}}  {'networks':>8} {'training':>9} {'measuring':>9} {'core-hours':>10}  from")
    for subject in dict.fromkeys(line.subject for line in made.lines):
        mine = {line.rule: line for line in made.lines if line.subject == subject}
        count = max(line.jobs for line in mine.values()) if "prepare" not in mine else ""
        device = [_hours(mine.get(rule)) for rule in ("train", "measure")]
        cores = [line.core_hours for line in mine.values()]
        core = "?" if None in cores else f"{sum(hours or 0.0 for hours in cores):.2f}"
        number = sources.index(next(iter(mine.values())).source) + 1
        print(
            f"{subject:{wide}}  {count!s:>8} {device[0]:>9} {device[1]:>9} {core:>10}  [{number}]"
        )
    print("Training and measuring in hours of " + ("GPUs" if made.gpu_hours else "jobs") + ".")
    for number, source in enumerate(sources, start=1):
        print(f"[{number}] {source}")


def _hours(line: Line | None) -> str:
    if line is None:
        return ""
    return "?" if line.hours is None else f"{line.hours:.2f}"


def _walls(resolved: Resolved, estimator: Estimator, gpus: bool) -> str:
    told = []
    for count in (1, 8, 32) if gpus else (1, 2, 8):
        seconds = wall_seconds(resolved, estimator, count)
        what = "not known, or too few" if seconds is None else duration(seconds)
        told.append(f"{what} on {count} {'GPU' if gpus else 'core'}{'s' * (count > 1)}")
    return ", ".join(told)


def _sum(made: Plan) -> str:
    networks = made.jobs.get("train_model", 0) + made.jobs.get("convert_checkpoint", 0)
    hours = f"{made.gpu_hours:,.1f} GPU-hours, {made.core_hours:,.1f} core-hours"
    return f"{networks} networks, {hours}, {size(made.peak)} of disk"


def _seeds(count: int) -> str:
    return "one seed of each family" if count == 1 else f"{count} seeds of each family"


def _grouped(jobs: Mapping[str, int]) -> list[tuple[str, int]]:
    """Jobs by rule; figures, each of which has a rule of its own, as one."""
    drawn = sum(count for rule, count in jobs.items() if rule.startswith("draw_"))
    rest = [(rule, count) for rule, count in jobs.items() if not rule.startswith("draw_")]
    return [*rest, *([("draw_…", drawn)] if drawn else [])]


def _listed(items: Iterable[tuple[str, object]]) -> str:
    return ", ".join(f"{value} {what}" for what, value in items)


def _total(parts: Mapping[str, float]) -> str:
    """A sum of bytes, and what it is made of."""
    kept = [(what, size(count)) for what, count in parts.items() if count]
    return size(sum(parts.values())) + (f" ({_listed(kept)})" if kept else "")
