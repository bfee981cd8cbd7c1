"""The verb ``measure``: every measurement of one model, its snapshots included.

Each measure's result on each checkpoint is kept in the model's state folder, by the measure's
options and code, the checkpoint's and the data's SHA-256; so an attempt that was killed is taken up
where it stopped, and a changed measure alone runs again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from toporepro import models
from toporepro.code import code_hash, stage_modules
from toporepro.energy import Meter, card_uuids
from toporepro.measure import cache
from toporepro.measure.network import Network
from toporepro.measure.result import Result, Row
from toporepro.measure.shown import Images, Text, open_shown
from toporepro.measure.tables import Measured, write_rows, write_units
from toporepro.models.family import family, topographic_layers
from toporepro.paths import ModelPaths
from toporepro.plugins import find
from toporepro.provenance import progress, sha256, write_manifest
from toporepro.sheet import sheet_shape
from toporepro.spec import MeasureSpec, SpecError, decode, encode, stimulus_datasets


@dataclass(frozen=True)
class _Measure:
    name: str
    plugin: ModuleType
    options: Any
    files: tuple[Path, ...]


@dataclass(frozen=True)
class _Checkpoint:
    path: Path
    digest: str
    step: int
    final: bool


def measure(spec: MeasureSpec, model: ModelPaths, data: Path, stimuli: Sequence[Path] = ()) -> None:
    """Measure the final weights with every measure, the snapshots with those made for them.

    Writes ``measures.csv``, ``units.parquet`` and their manifest: the same bytes however often the
    work was interrupted.

    Args:
        spec: identity of the model, and the measures with their options.
        model: paths of its weights, snapshots, state and outputs.
        data: index of the prepared data.
        stimuli: indexes of the spec's ``stimuli``, sorted by their names.

    Raises:
        SpecError: if a measure or an option does not exist, or does not suit the model, or the
            stimuli are not as many as the spec's.
        CheckpointError: if weights or a snapshot are missing or damaged.
        DataError: if the data is missing or damaged.
    """
    attempt = f"{time.time():.6f}"
    torch.set_num_threads(spec.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    meter = Meter(device, card_uuids(1) if device == "cuda" else ())
    trained = models.read_metadata(model.weights).spec
    measures = _measures(spec, family(trained.architecture).TASK)
    if len(stimuli) != len(spec.stimuli):
        named = ", ".join(sorted(spec.stimuli)) or "none"
        raise SpecError(f"stimuli: {len(stimuli)} given, but the spec names {named}")
    sets = dict(zip(sorted(spec.stimuli), stimuli, strict=True))
    shown = open_shown(trained, data, sets)
    set_digests = {name: sha256(index) for name, index in sets.items()}
    sheets = {name: sheet_shape(units) for name, units in topographic_layers(trained).items()}
    checkpoints = _checkpoints(model, trained.recipe.snapshots)
    files = [path for item in measures for path in item.files]
    data_digest = sha256(data)
    found: list[Measured] = []
    entries: list[cache.Entry] = []
    for number, checkpoint in enumerate(checkpoints, start=1):
        subject: Network | None = None
        for item in measures:
            if not (checkpoint.final or item.plugin.ON_SNAPSHOTS):
                continue
            path = model.measure_state / checkpoint.path.stem / f"{item.name}.result"
            using = {name: set_digests[name] for name in stimulus_datasets(asdict(item.options))}
            digests = {"data": data_digest, **({"stimuli": using} if using else {})}
            if item.files:
                digests["files"] = {path.name: sha256(path) for path in item.files}
            key = _key(
                item,
                (shown.code, f"models.{trained.architecture}"),
                checkpoint,
                digests,
                spec,
                device,
            )
            entry = _kept(path, key)
            what = f"[{number}/{len(checkpoints)}] step {checkpoint.step}: {item.name}"
            if entry is None:
                progress(what)
                started, spent = time.monotonic(), meter.kwh()
                subject = subject or shown.load(
                    checkpoint.path,
                    seed=spec.seed,
                    final=checkpoint.final,
                    device=device,
                    limit=spec.images,
                )
                result: Result = item.plugin.measure(subject, item.options)
                seconds = time.monotonic() - started
                entry = cache.Entry(result, attempt, seconds, _since(meter, spent))
                cache.store(path, key, entry)
            else:
                progress(f"{what} (kept)")
            entries.append(entry)
            found.append(Measured(checkpoint.step, sheets, entry.result))
    if spec.images is not None:
        found.append(Measured(checkpoints[-1].step, sheets, _cut(found, shown, spec.images)))
    write_rows(model.measures, spec, found)
    write_units(model.units, spec, found)
    plugins = [f"measure.{item.name}" for item in measures]
    write_manifest(
        verb="measure",
        spec=asdict(spec),
        modules=stage_modules("measure", *plugins, f"models.{trained.architecture}"),
        inputs=[*(checkpoint.path for checkpoint in checkpoints), data, *stimuli, *files],
        outputs=[model.measures, model.units],
        seed=spec.seed,
        wall_seconds=sum(entry.seconds for entry in entries),
        attempts=len({entry.attempt for entry in entries}),
        device=device,
        extra={"energy_kwh": _total(entries), "energy_source": meter.source},
    )


def _since(meter: Meter, before: float | None) -> float | None:
    now = meter.kwh()
    return None if now is None or before is None else now - before


def _total(entries: Iterable[cache.Entry]) -> float | None:
    """Unknown if that of one of them is."""
    spent = [entry.energy_kwh for entry in entries]
    known = [kwh for kwh in spent if kwh is not None]
    return sum(known) if len(known) == len(spent) else None


def _cut(found: Sequence[Measured], shown: Images | Text, limit: int) -> Result:
    """Rows ``images``, or ``windows``: how many were shown of each split that was cut."""
    counts = shown.counts()
    used = sorted({row.stimuli for item in found for row in item.result.rows})
    cut = [name for name in used if counts.get(name, 0) > limit]
    return Result(tuple(Row("", name, shown.of_what, float(limit)) for name in cut))


def _measures(spec: MeasureSpec, task: str) -> list[_Measure]:
    measures = []
    for name, given in sorted(spec.measures.items()):
        plugin = find("measure", name)
        try:
            options = decode(plugin.Options, given)
        except SpecError as error:
            raise SpecError(f"measures.{name}: {error}") from None
        if getattr(plugin, "TASK", task) != task:
            raise SpecError(f"measures.{name}: of networks whose task is {plugin.TASK}, not {task}")
        needed = plugin.files(options) if hasattr(plugin, "files") else ()
        measures.append(_Measure(name, plugin, options, needed))
    return measures


def _checkpoints(model: ModelPaths, snapshots: int) -> list[_Checkpoint]:
    """The snapshots, from the untrained network on, then the final weights."""
    paths = [(model.snapshot(index), False) for index in range(snapshots)]
    return [
        _Checkpoint(path, step=models.read_metadata(path).step, digest=sha256(path), final=final)
        for path, final in [*paths, (model.weights, True)]
    ]


def _key(
    item: _Measure,
    modules: tuple[str, ...],
    checkpoint: _Checkpoint,
    digests: Mapping[str, Any],
    spec: MeasureSpec,
    device: str,
) -> str:
    content = {
        "measure": item.name,
        "options": encode(item.options),
        "code": code_hash(f"toporepro.{module}" for module in (f"measure.{item.name}", *modules)),
        "weights": checkpoint.digest,
        "final": checkpoint.final,
        **digests,
        "seed": spec.seed,
        "threads": spec.threads,
        "images": spec.images,
        "device": device,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _kept(path: Path, key: str) -> cache.Entry | None:
    try:
        return cache.load(path, key)
    except ValueError as error:
        progress(f"{error}; measured again")
        return None
