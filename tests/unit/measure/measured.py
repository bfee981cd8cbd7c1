"""A small trained model, its snapshot and its data, written as training would write them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from toporepro import models
from toporepro.data.store import ImageWriter
from toporepro.models import Inputs, family
from toporepro.paths import ModelPaths
from toporepro.spec import DataSpec, MeasureSpec, Recipe, TopoSpec, TrainSpec

ALL: dict[str, dict[str, Any]] = {
    "accuracy": {},
    "best_stimuli": {},
    "effective_dimensionality": {},
    "orientation": {},
    "smoothness": {"shuffles": 5},
    "weights": {},
}
STEPS = {"snapshot": 0, "final": 9}


def train_spec(architecture: str = "mlp", **model: Any) -> TrainSpec:
    return TrainSpec(
        architecture=architecture,
        model=model or {"hidden": 24},
        data=DataSpec(source="digits"),
        topo=TopoSpec(tau=1.0, phi=2.0),
        recipe=Recipe(optimizer="adam", lr=1e-3, batch=8, epochs=1, snapshots=1),
        seed=4,
    )


def measure_spec(measures: dict[str, dict[str, Any]] | None = None) -> MeasureSpec:
    chosen = ALL if measures is None else measures
    return MeasureSpec(preset="p", family="f", tau="1", seed=4, threads=1, measures=chosen)


def write_data(folder: Path, side: int = 12, channels: int = 1, images: int = 300) -> Path:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, images)
    pixels = generator.integers(0, 120, (images, side, side, channels)) + 60 * labels[
        :, None, None, None
    ] * (np.arange(side)[:, None, None] % 3 == 0)
    writer = ImageWriter(
        folder,
        source="digits",
        options={},
        shape=(side, side, channels),
        classes=["a", "b", "c"],
        mean=[0.5] * channels,
        std=[0.25] * channels,
    )
    for split in ("train", "test"):
        writer.write_split(split, images, [(pixels.astype(np.uint8), labels)])
    return writer.finish()


def write_model(
    folder: Path, spec: TrainSpec, side: int = 12, channels: int = 1
) -> tuple[ModelPaths, torch.nn.Module]:
    inputs = Inputs(channels=channels, height=side, width=side, classes=3)
    paths = ModelPaths(folder)
    network = family.build(spec, inputs).eval()
    models.save(paths.snapshot(0), network, spec, inputs, STEPS["snapshot"])
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    models.save(paths.weights, network, spec, inputs, STEPS["final"])
    return paths, network
