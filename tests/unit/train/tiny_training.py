"""Trainings of a second: noisy prototypes or few words as data, small networks, own processes."""

import dataclasses
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from toporepro.data.store import ImageWriter
from toporepro.data.text_store import TextWriter
from toporepro.data.tokenizer import train_tokenizer
from toporepro.paths import ModelPaths
from toporepro.provenance import sha256
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec, encode

RECIPE: dict[str, Any] = {"optimizer": "adam", "lr": 2e-3, "batch": 16, "epochs": 3, "snapshots": 3}
SCRIPT = """
import sys
from pathlib import Path
from toporepro.paths import ModelPaths
from toporepro.spec import TrainSpec, decode
from toporepro.train.run import train

spec, data, out, save_every = sys.argv[1:]
train(decode(TrainSpec, spec), Path(data), ModelPaths(Path(out)), save_every=float(save_every))
"""


def prototypes(folder: Path, *, count: int = 120, side: int = 8, channels: int = 1) -> Path:
    """Five classes of noisy prototypes; a quarter as many test images; the path of the index."""
    generator = np.random.default_rng(0)
    centres = generator.integers(0, 256, (5, side, side, channels))
    writer = ImageWriter(
        folder,
        source="digits",
        options={},
        shape=(side, side, channels),
        classes=list("abcde"),
        mean=[0.5] * channels,
        std=[0.5] * channels,
    )
    for name, size in (("train", count), ("test", count // 4)):
        labels = generator.integers(0, 5, size)
        noise = generator.normal(0, 60, (size, side, side, channels))
        images = np.clip(centres[labels] + noise, 0, 255).astype(np.uint8)
        writer.write_split(name, size, [(images, labels)])
    return writer.finish()


def sentences(folder: Path, *, count: int = 400) -> Path:
    """Sentences of few words, each of which tells what may follow; the path of the index."""
    generator = np.random.default_rng(0)
    verbs = {"cat": "sleeps", "dog": "barks", "cats": "sleep", "dogs": "bark"}
    nouns = list(verbs)
    lines = [
        f"The {noun} {verbs[noun]} near the {other}."
        for noun, other in generator.choice(nouns, (count, 2)).tolist()
    ]
    tokenizer = train_tokenizer(lines, 280)
    writer = TextWriter(folder, source="grammar", options={}, tokenizer=tokenizer)
    writer.write_split("train", lines)
    writer.write_split("validation", lines[: count // 8])
    return writer.finish()


GPT = {"context": 16, "width": 32, "depth": 2, "heads": 2, "mlp": 64}
GPT_SPEC: dict[str, Any] = {
    "architecture": "nanogpt",
    "model": GPT,
    "optimizer": "adamw",
    "lr": 3e-3,
    "betas": (0.9, 0.95),
    "weight_decay": 0.1,
    "clip": 1.0,
    "batch": 16,
    "topo": {"tau": 1.0, "phi": 4.0},
}


def tiny_spec(
    *,
    architecture: str = "mlp",
    model: dict[str, Any] | None = None,
    topo: dict[str, Any] | None = None,
    seed: int = 0,
    control: Any = "none",
    **recipe: Any,
) -> TrainSpec:
    return TrainSpec(
        architecture=architecture,
        model=({"hidden": 36} if architecture == "mlp" else {}) if model is None else model,
        data=DataSpec(source="digits"),
        topo=TopoSpec(**({"tau": 1.0, "phi": 2.0} | (topo or {}))),
        recipe=Recipe(**(RECIPE | recipe)),
        seed=seed,
        control=control,
    )


def change(spec: TrainSpec, **recipe: Any) -> TrainSpec:
    return dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, **recipe))


def start(
    spec: TrainSpec, data: Path, out: ModelPaths, *, save_every: float = 10.0, **environment: str
) -> subprocess.Popen[str]:
    """The training in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, encode(spec), str(data), str(out.folder)]
    return subprocess.Popen(
        [*command, str(save_every)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_group(spec: TrainSpec, data: Path, out: ModelPaths, world: int) -> None:
    """Train in ``world`` processes as ``torchrun`` would start them, and wait."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        start(spec, data, out, RANK=str(rank), LOCAL_RANK=str(rank), **common)
        for rank in range(world)
    ]
    for process in processes:
        _, message = process.communicate(timeout=120)
        assert process.returncode == 0, message


def digests(out: ModelPaths, snapshots: int) -> dict[str, str]:
    """SHA-256 of all that a training publishes, its manifest apart."""
    files = [out.weights, out.history, *(out.snapshot(index) for index in range(snapshots))]
    return {file.name: sha256(file) for file in files}


def rows_of(out: ModelPaths) -> list[dict[str, float]]:
    """The history, as numbers; NaN where there is none."""
    header, *lines = out.history.read_text().splitlines()
    names = header.split(",")
    values = [[float(cell) if cell else math.nan for cell in line.split(",")] for line in lines]
    return [dict(zip(names, row, strict=True)) for row in values]
