"""Brain-Score: networks handed to its own package, as the model interface that it defines.

Schrimpf et al., "Integrative benchmarking to advance neurally mechanistic models of human
intelligence", Neuron 108:413 (2020). The package needs other versions of numpy and pandas than
this project, so it lives in an environment of its own, ``envs/brain-score``, which
``make brain-score`` makes; there ``brain_score_job`` wraps the network, and its scores come back as
rows. Without that environment the measure is left out and listed as missing. Benchmarks fetch
their recordings when they are first used: the machine has to be online then.

Which layer stands for which region is Brain-Score's own choice (its layer commitment, by its public
benchmarks), and recorded.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toporepro.measure.result import Result, Row
from toporepro.paths import BRAIN_SCORE
from toporepro.provenance import progress
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.subject import Subject

TASK = "classification"
ON_SNAPSHOTS = False
# The public ones of the four regions; all others are scored on brain-score.org alone.
PUBLIC = (
    "FreemanZiemba2013public.V1-pls",
    "FreemanZiemba2013public.V2-pls",
    "MajajHong2015public.V4-pls",
    "MajajHong2015public.IT-pls",
)


class BrainScoreError(RuntimeError):
    """Brain-Score's package could not score the network: says why, in its own last words."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``brain_score``.

    Attributes:
        benchmarks: by Brain-Score's identifiers.
        visual_degrees: that an image fills, as the network is taken to see it.
    """

    benchmarks: tuple[str, ...] = PUBLIC
    visual_degrees: int = 8

    def __post_init__(self) -> None:
        if not self.benchmarks:
            raise SpecError("benchmarks: at least one")
        if self.visual_degrees < 1:
            raise SpecError(f"visual_degrees={self.visual_degrees}: at least 1")


def missing(options: Options, root: Path) -> str | None:
    """Why it cannot be taken here, in words; ``None`` if it can."""
    there = (root / BRAIN_SCORE).exists()
    return None if there else f"{BRAIN_SCORE} not found; `make brain-score` installs it"


def measure(subject: Subject, options: Options) -> Result:
    """Rows ``brain_score.REGION`` (over its ceiling), ``brain_score_raw.REGION`` and
    ``brain_score_ceiling.REGION``, the benchmark as their stimuli; ``brain_score_layer.REGION``
    carries the layer committed to, and its number from 1.

    Raises:
        SpecError: if the network does not take in colour images.
        BrainScoreError: if the package fails, or cannot fetch a benchmark.
    """
    from toporepro import models

    if subject.inputs.channels != 3:
        raise SpecError(f"Brain-Score shows colour images; the network takes {subject.inputs}")
    made = subject.spec.checkpoint or subject.images
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        models.save(weights, subject.module, subject.spec, subject.inputs, subject.step)
        found = run(
            {
                "weights": str(weights),
                "layers": list(subject.layers),
                "size": [subject.inputs.height, subject.inputs.width],
                "mean": list(made.mean),
                "std": list(made.std),
                "visual_degrees": options.visual_degrees,
                "benchmarks": list(options.benchmarks),
            },
            Path(folder),
        )
    return Result(tuple(row for one in found for row in _rows(one, list(subject.layers))))


def run(request: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Score a network in Brain-Score's environment.

    Args:
        request: see ``brain_score_job.score``.
        folder: for files, and for the package's cache of activations, which would otherwise stay.

    Raises:
        BrainScoreError: if that fails.
    """
    asked, answer = folder / "request.json", folder / "answer.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "RESULTCACHING_HOME": str(folder / "cache"),
    }
    progress(f"  Brain-Score: {', '.join(request['benchmarks'])}")
    job = "toporepro.measure.brain_score_job"
    command = [str(BRAIN_SCORE), "-m", job, str(asked), str(answer)]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode or not answer.exists():
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise BrainScoreError(
            f"Brain-Score's package failed (exit status {done.returncode}):\n{said}\n"
            "Its benchmarks are fetched when first used: is this machine online? Without the "
            f"folder {BRAIN_SCORE.parents[1]} the measure is left out."
        )
    result: list[dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
    return result


def _rows(found: Mapping[str, Any], layers: list[str]) -> list[Row]:
    benchmark, region = str(found["benchmark"]), str(found["region"])
    rows = [
        Row("", benchmark, f"{metric}.{region}", float(found[key]))
        for metric, key in (
            ("brain_score", "score"),
            ("brain_score_raw", "raw"),
            ("brain_score_ceiling", "ceiling"),
        )
        if found[key] is not None
    ]
    number = float(1 + layers.index(found["layer"]))
    return [*rows, Row(found["layer"], benchmark, f"brain_score_layer.{region}", number)]
