"""The verb ``convert``: weights made elsewhere, in the place and the form of trained ones."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from toporepro import models
from toporepro.code import stage_modules
from toporepro.data.checkpoints import bring
from toporepro.models.published import network
from toporepro.paths import ModelPaths
from toporepro.provenance import progress, write_manifest, write_text
from toporepro.spec import SpecError, TrainSpec
from toporepro.train.history import COLUMNS


def convert(spec: TrainSpec, raw: Path, lock: Path, out: ModelPaths) -> None:
    """Write the network of a checkpoint, fetched where needed and checked, and an empty history.

    Of an ``untrained`` one the weights are those that its training would start from.

    Args:
        spec: with a ``checkpoint``.
        raw: folder of downloads.
        lock: the lock file that says what published files are (``data.checkpoints``).
        out: the model's paths; of these ``weights``, ``history`` and the manifest are written.

    Raises:
        SpecError: if the spec has no checkpoint, or its options cannot be.
        DataError: if the file cannot be had or is not the one it should be.
        CheckpointError: if the file cannot be read safely, or holds another network.
    """
    started = time.monotonic()
    checkpoint = spec.checkpoint
    if checkpoint is None:
        raise SpecError("checkpoint: missing; a network without one is trained")
    source = None if checkpoint.untrained else bring(checkpoint, raw, lock)
    module, inputs = network(spec, source[0] if source else None)
    steps = checkpoint.steps if source else 0
    models.save(out.weights, module, spec, inputs, steps)
    write_text(out.history, ",".join(COLUMNS) + "\n")
    write_manifest(
        verb="convert",
        spec=asdict(spec),
        modules=stage_modules("convert", f"models.{spec.architecture}"),
        inputs=[source[0]] if source else [],
        outputs=[out.weights, out.history],
        seed=spec.seed,
        wall_seconds=time.monotonic() - started,
        extra={"published": {"url": checkpoint.url, **asdict(source[1])}} if source else {},
    )
    count = sum(parameter.numel() for parameter in module.parameters())
    made_of = source[0] if source else "untrained"
    progress(f"{made_of}: {spec.architecture} with {count:,} parameters, in {out.weights}")


def convert_file(spec: TrainSpec, file: Path, out: Path) -> None:
    """One file into one checkpoint of ours, without a workflow around it.

    Raises:
        SpecError, CheckpointError: as ``convert`` does.
    """
    module, inputs = network(spec, file)
    models.save(out, module, spec, inputs, spec.checkpoint.steps if spec.checkpoint else 1)
    count = sum(parameter.numel() for parameter in module.parameters())
    progress(f"{file}: {spec.architecture} with {count:,} parameters, in {out}")
