"""The paper's networks at full size: built, trained for two steps, lost in between and resumed."""

import math
from pathlib import Path
from typing import Any

import pytest
from tiny_training import digests, prototypes, rows_of, tiny_spec

from toporepro.models import read_metadata
from toporepro.paths import ModelPaths
from toporepro.train import run
from toporepro.train.run import train

pytestmark = pytest.mark.e2e
SIDES = {"resnet18": 64, "resnet50": 64, "vit_b_32": 224}


@pytest.mark.parametrize("architecture", SIDES)
def test_two_steps_and_a_loss_in_between(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prototypes(tmp_path / "data", count=8, side=SIDES[architecture], channels=3)
    spec = tiny_spec(
        architecture=architecture,
        model={},
        topo={"tau": 10.0, "phi": 3.0},
        optimizer="sgd",
        lr=1e-3,
        batch=4,
        epochs=1,
        snapshots=1,
        threads=2,
        channels_last=architecture != "vit_b_32",
        label_smoothing=0.1,
        mixup=0.2,
        flip=True,
    )
    undisturbed, out = ModelPaths(tmp_path / "undisturbed"), ModelPaths(tmp_path / "out")
    train(spec, data, undisturbed, save_every=math.inf)
    assert read_metadata(undisturbed.weights).step == 2
    rows = rows_of(undisturbed)
    assert math.isfinite(rows[-1]["loss"])
    assert rows[-1]["topo_loss"] < rows[0]["topo_loss"]
    update = run.Training._update

    def lost(self: run.Training, passes: Any) -> tuple[float, float]:
        if self.step == 1:
            raise ConnectionAbortedError
        return update(self, passes)

    with monkeypatch.context() as patch:
        patch.setattr(run.Training, "_update", lost)
        with pytest.raises(ConnectionAbortedError):
            train(spec, data, out, save_every=0)
    train(spec, data, out, save_every=math.inf)
    assert digests(out, 1) == digests(undisturbed, 1)
