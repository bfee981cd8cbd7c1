"""The real MNIST: the authors' demonstration against their package, and the preset's ResNet-18.

The demonstration is τ=3, φ=4, ten epochs; with the package itself accuracy is 0.921 after epoch 1
and 0.965 after 10, and the scaled topographic term falls from 0.056 to 0.031.
"""

import csv
from pathlib import Path

import pytest

from toporepro.config import resolve
from toporepro.data import mnist
from toporepro.data.store import PreparedImages
from toporepro.measure import smoothness
from toporepro.measure.subject import Subject
from toporepro.paths import ModelPaths
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec
from toporepro.train.run import train

ROOT = Path(__file__).parents[2]
RAW = ROOT.parent / "shared" / "data" / "mnist"
TAU = 3.0

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not RAW.exists(), reason="needs MNIST's files from the shared data"),
]


def test_two_seeds_match_the_package(tmp_path: Path) -> None:
    mnist.prepare(mnist.Options(), RAW, tmp_path)
    index = tmp_path / "dataset.json"
    prepared = PreparedImages.open(index)
    assert (prepared.mean, prepared.std) == ((0.5,), (0.5,))  # inputs in [−1, 1]
    rows = []
    for seed in (0, 1):
        spec = TrainSpec(
            architecture="mlp",
            model={},
            data=DataSpec(source="mnist"),
            topo=TopoSpec(tau=TAU, phi=4),
            recipe=Recipe(optimizer="adam", lr=1e-3, batch=64, epochs=10, snapshots=1),
            seed=seed,
        )
        out = ModelPaths(tmp_path / str(seed))
        train(spec, index, out)
        with out.history.open() as file:
            tested = [row for row in csv.DictReader(file) if row["test_accuracy"]]
        rows.append([tested[1], tested[-1]])  # after epochs 1 and 10

    def mean(column: str, epoch: int) -> float:
        return sum(float(row[epoch][column]) for row in rows) / len(rows)

    found = {
        "accuracy after epoch 1": (mean("test_accuracy", 0), 0.921),
        "accuracy after epoch 10": (mean("test_accuracy", 1), 0.965),
        "topographic term after epoch 1": (TAU * mean("topo_loss", 0), 0.056),
        "topographic term after epoch 10": (TAU * mean("topo_loss", 1), 0.031),
    }
    for what, (ours, package) in found.items():
        assert ours == pytest.approx(package, abs=0.006), what


def test_the_last_stage_of_a_resnet_becomes_smooth(tmp_path: Path) -> None:
    """A tenth of the images, as often as gives a quarter of the preset's steps, and more decay."""
    subset = {"train_images": 6000, "test_images": 2000}
    shorter = {"epochs": 7, "weight_decay": 2, "snapshots": 1, "threads": 1}
    changes = {
        "data": {"mnist_colour": {"options": subset}},
        "families": {"resnet18": {"recipe": shorter}},
    }
    resolved = resolve({"preset": "mini", "overrides": {"mini": changes}}, ROOT)
    mnist.prepare(mnist.Options(channels=3, **subset), RAW, tmp_path)
    prepared = PreparedImages.open(tmp_path / "dataset.json")
    found = {}
    for tau in ("0", "10"):
        out = ModelPaths(tmp_path / tau)
        train(resolved.model("resnet18", tau, 0).train, tmp_path / "dataset.json", out)
        network = Subject.load(out.weights, prepared, seed=0, final=True, device="cpu")
        rows = smoothness.measure(network, smoothness.Options()).rows
        layers = [
            row.value
            for row in rows
            if row.metric == "smoothness_minus_null" and row.layer.startswith("layer4")
        ]
        assert len(layers) == 4
        found[tau] = sum(layers) / len(layers)
        assert network.scores("test", "float32")["accuracy"] > 0.95
    assert found["10"] >= max(3 * found["0"], found["0"] + 0.05)
