"""The authors' demonstration on the real MNIST: τ=3, φ=4, ten epochs, against their package.

With the package itself: accuracy 0.921 after epoch 1 and 0.965 after 10, scaled topographic term
0.056 falling to 0.031.
"""

import csv
from pathlib import Path

import pytest

from toporepro.data import mnist
from toporepro.data.store import PreparedImages
from toporepro.paths import ModelPaths
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec
from toporepro.train.run import train

RAW = Path(__file__).parents[3] / "shared" / "data" / "mnist"
TAU = 3.0


@pytest.mark.e2e
@pytest.mark.skipif(not RAW.exists(), reason="needs MNIST's files from the shared data")
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
