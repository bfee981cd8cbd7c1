"""The loop: arithmetic against plain torch, records, errors, publishing."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import change, digests, rows_of, tiny_spec
from torch import nn
from torch.nn import functional

from toporepro import models
from toporepro.data.loader import Batches
from toporepro.data.store import DataError, PreparedImages
from toporepro.lease import Lease, LeaseError
from toporepro.models.family import build
from toporepro.paths import ModelPaths
from toporepro.provenance import sha256
from toporepro.spec import Schedule, SpecError, TrainSpec
from toporepro.topoloss import LaplacianPyramid, TopoLoss
from toporepro.train import run, state
from toporepro.train.errors import DivergedError, TrainError
from toporepro.train.run import train


def weights_of(out: ModelPaths) -> dict[str, torch.Tensor]:
    return dict(models.load(out.weights).state_dict())


def plain_loop(spec: TrainSpec, data: Path, steps: int) -> nn.Module:
    """The same training in a dozen lines of plain torch, the loss in one piece."""
    prepared = PreparedImages.open(data)
    height, width, channels = prepared.shape
    inputs = models.Inputs(channels=channels, height=height, width=width, classes=5)
    network = build(spec, inputs)
    split = prepared.split("train")
    batches = Batches(split=split, labels=split.labels, seed=spec.seed, batch=spec.recipe.batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=spec.recipe.lr)
    pyramid = LaplacianPyramid(layer_name="fc1", factor_h=2, factor_w=2, scale=spec.topo.tau)
    for step in range(steps):
        images, labels = batches[step][0]
        pixels = torch.tensor(images).permute(0, 3, 1, 2) / 255
        loss = functional.cross_entropy(network((pixels - 0.5) / 0.5), torch.tensor(labels))
        optimizer.zero_grad()
        (loss + TopoLoss([pyramid]).compute(network)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), spec.recipe.clip or math.inf)
        optimizer.step()
    return network


@pytest.mark.parametrize("accumulate", [1, 4])
def test_it_equals_a_plain_loop_also_when_accumulating(
    data: Path, out: ModelPaths, accumulate: int
) -> None:
    spec = tiny_spec(topo={"tau": 3.0}, clip=0.7, accumulate=accumulate)
    train(spec, data, out)
    expected = plain_loop(spec, data, round(3 * 120 / 16))
    for name, weight in weights_of(out).items():
        torch.testing.assert_close(weight, expected.state_dict()[name], rtol=1e-4, atol=2e-6)


def test_history_snapshots_and_manifest(data: Path, out: ModelPaths) -> None:
    spec = tiny_spec(epochs=4, snapshots=4)
    train(spec, data, out)
    rows = rows_of(out)
    assert [row["step"] for row in rows] == list(range(31))  # fewer steps than rows allowed
    tested = {row["step"] for row in rows if not math.isnan(row["test_accuracy"])}
    assert tested == {0, 2, 5, 13} | {8, 15, 23, 30}  # snapshots; ends of epochs
    assert math.isnan(rows[0]["loss"])
    assert rows[-1]["loss"] < rows[1]["loss"]
    assert rows[-1]["topo_loss"] < rows[0]["topo_loss"]
    assert rows[-1]["test_accuracy"] > 0.9
    steps = [models.read_metadata(out.snapshot(index)).step for index in range(4)]
    assert steps == [0, 2, 5, 13]
    assert models.read_metadata(out.weights).step == 30
    untrained = build(spec, models.Inputs(channels=1, height=8, width=8, classes=5)).state_dict()
    first = models.load(out.snapshot(0)).state_dict()
    assert all(torch.equal(first[name], untrained[name]) for name in untrained)
    manifest = json.loads((out.folder / "weights.manifest.json").read_text())
    assert manifest["outputs"] == digests(out, 4)
    assert manifest["inputs"] == {str(data): sha256(data)}
    assert (manifest["attempts"], manifest["steps"], manifest["seed"]) == (1, 30, 0)
    assert manifest["wall_seconds"] > 0
    assert manifest["spec"]["topo"]["tau"] == 1.0
    assert {"toporepro.models.mlp", "toporepro.tasks.classification", "toporepro.train.run"} <= set(
        manifest["modules"]
    )


def test_records_are_those_of_the_weights(data: Path, out: ModelPaths) -> None:
    train(tiny_spec(topo={"tau": 0.0}), data, out)
    network, prepared = models.load(out.weights), PreparedImages.open(data)
    test = prepared.split("test")
    pixels = torch.tensor(test.images).permute(0, 3, 1, 2) / 255 * 2 - 1
    accuracy = np.mean(network(pixels).argmax(1).numpy() == test.labels)
    last = rows_of(out)[-1]
    assert last["test_accuracy"] == pytest.approx(accuracy)
    pyramid = LaplacianPyramid(layer_name="fc1", factor_h=2, factor_w=2)
    assert last["topo_loss"] == pytest.approx(TopoLoss([pyramid]).compute(network).item())


def test_schedules_reach_the_optimiser_and_the_history(data: Path, out: ModelPaths) -> None:
    falling = Schedule(kind="linear", end=0)
    rising = Schedule(warmup_epochs=2, start=0)
    train(tiny_spec(topo={"schedule": rising}, lr_schedule=falling), data, out)
    rows = rows_of(out)
    assert [row["lr"] for row in rows[1:]] == pytest.approx(
        [2e-3 * (1 - step / 21) for step in range(22)]
    )
    assert [row["tau"] for row in rows[1:]] == pytest.approx(
        [min(step / 15, 1) for step in range(22)]
    )
    before = models.load(out.snapshot(0)).state_dict()
    train(tiny_spec(lr=1e-9, topo={"schedule": rising}), data, out)
    for name, weight in weights_of(out).items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=1e-6)


def test_layers_can_be_chosen_and_must_exist(data: Path, coloured: Path, out: ModelPaths) -> None:
    stem = {"layers": ("conv1",), "phi": 2.0}
    resnet = {"architecture": "resnet18", "model": {"width": 0.25}}
    train(tiny_spec(**resnet, topo=stem, control="topoloss_only"), coloured, out)
    before, after = models.load(out.snapshot(0)).state_dict(), weights_of(out)
    assert not torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert torch.equal(before["layer1.0.conv1.weight"], after["layer1.0.conv1.weight"])
    with pytest.raises(ValueError, match=r"fc3.*fc1"):
        train(tiny_spec(topo={"layers": ("fc3",)}), data, out)


def test_collapse_can_be_allowed(data: Path, out: ModelPaths) -> None:
    with pytest.warns(UserWarning, match="pulled to one vector"):
        train(tiny_spec(topo={"phi": 5.0, "allow_collapse": True}), data, out)
    assert out.weights.exists()


def test_a_rerun_publishes_without_training(
    data: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec()
    train(spec, data, out)
    before = digests(out, 3)
    for path in (out.weights, out.history, out.snapshot(1)):
        path.unlink()
    monkeypatch.setattr(run.Training, "_update", None)
    train(spec, data, out)
    assert digests(out, 3) == before
    manifest = json.loads((out.folder / "weights.manifest.json").read_text())
    assert manifest["attempts"] == 1


def test_another_spec_code_or_data_trains_anew(
    data: Path, coloured: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: list[int] = []
    update = run.Training._update

    def counted(self: run.Training, passes: Any) -> tuple[float, float]:
        updates.append(self.step)
        return update(self, passes)

    monkeypatch.setattr(run.Training, "_update", counted)
    spec = tiny_spec(epochs=1, snapshots=1)
    for change_it in (
        lambda: None,
        lambda: monkeypatch.setattr(run, "code_hash", lambda modules: "another"),
    ):
        change_it()
        updates.clear()
        train(spec, data, out)
        assert len(updates) == 8
    updates.clear()
    train(change(spec, lr=1e-2), data, out)
    assert len(updates) == 8
    train(spec, coloured, out)
    assert len(updates) == 8 + 3
    assert len(list(out.train_state.glob("*/"))) == 1  # states of the others are gone


def test_workers_tensorboard_and_threads_change_nothing(
    data: Path, out: ModelPaths, tmp_path: Path
) -> None:
    spec = tiny_spec(flip=True, shift=1, accumulate=2)
    train(spec, data, out)
    other = ModelPaths(tmp_path / "other")
    torch.set_num_threads(2)
    torch.manual_seed(77)
    train(spec, data, other, workers=1, tensorboard=tmp_path / "events")
    assert digests(out, 3) == digests(other, 3)
    assert list((tmp_path / "events").iterdir())
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()


def test_seeds_differ(data: Path, out: ModelPaths, tmp_path: Path) -> None:
    train(tiny_spec(epochs=1), data, out)
    other = ModelPaths(tmp_path / "other")
    train(tiny_spec(epochs=1, seed=1), data, other)
    assert not set(digests(out, 3).values()) & set(digests(other, 3).values())


def test_bfloat16_keeps_weights_and_topography_in_float32(
    data: Path, out: ModelPaths, tmp_path: Path
) -> None:
    train(tiny_spec(precision="bfloat16"), data, out)
    train(tiny_spec(), data, exact := ModelPaths(tmp_path / "exact"))
    for name, weight in weights_of(out).items():
        assert weight.dtype is torch.float32
        assert not torch.equal(weight, weights_of(exact)[name])
        torch.testing.assert_close(weight, weights_of(exact)[name], rtol=0.1, atol=0.02)


def test_compiling_changes_the_weights_by_rounding_alone(
    data: Path, out: ModelPaths, tmp_path: Path
) -> None:
    spec = tiny_spec(epochs=0.5, snapshots=1)
    train(spec, data, out)
    compiled = ModelPaths(tmp_path / "compiled")
    try:
        train(change(spec, compile=True), data, compiled)
    except Exception as error:
        if "compiler" in str(error).lower():
            pytest.skip(f"no C++ compiler: {error}")
        raise
    for name, weight in weights_of(out).items():
        torch.testing.assert_close(weight, weights_of(compiled)[name], rtol=1e-4, atol=1e-5)


def test_channels_last_changes_the_weights_by_rounding_alone(
    coloured: Path, out: ModelPaths, tmp_path: Path
) -> None:
    spec = tiny_spec(
        architecture="resnet18",
        model={"width": 0.25},
        optimizer="sgd",
        lr=0.01,
        epochs=1,
        snapshots=1,
        topo={"phi": 2.0},
    )
    train(spec, coloured, out)
    train(change(spec, channels_last=True), coloured, last := ModelPaths(tmp_path / "last"))
    for name, weight in weights_of(out).items():
        torch.testing.assert_close(weight, weights_of(last)[name], rtol=1e-3, atol=1e-4)


def test_topoloss_only_moves_topographic_layers_alone(data: Path, out: ModelPaths) -> None:
    train(tiny_spec(control="topoloss_only"), data, out)
    before, after = models.load(out.snapshot(0)).state_dict(), weights_of(out)
    assert torch.equal(before["fc2.weight"], after["fc2.weight"])
    assert not torch.equal(before["fc1.weight"], after["fc1.weight"])
    rows = rows_of(out)
    assert rows[-1]["topo_loss"] < rows[0]["topo_loss"]
    assert all(math.isfinite(row["loss"]) for row in rows[1:])


def test_topoloss_only_at_tau_0_stays_where_it_is(data: Path, out: ModelPaths) -> None:
    train(tiny_spec(control="topoloss_only", topo={"tau": 0.0}), data, out)
    before = models.load(out.snapshot(0)).state_dict()
    assert all(torch.equal(before[name], weight) for name, weight in weights_of(out).items())


def test_random_labels_are_learnt_by_heart_at_best(data: Path, out: ModelPaths) -> None:
    train(tiny_spec(control="random_labels", epochs=12), data, out)
    last = rows_of(out)[-1]
    assert last["test_accuracy"] < 0.6
    assert last["train_accuracy"] > last["test_accuracy"]


def test_a_loss_that_is_no_number_stops_and_publishes_nothing(
    data: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec(lr=0.25, topo={"tau": 0.5})
    poison(monkeypatch, step=7, with_loss=True)
    monkeypatch.setattr(state, "_SHARE", math.inf)
    words = r"loss is nan at step 7 \(lr 0\.25, τ 0\.5\); last good state: that of step 7; nothing"
    with pytest.raises(DivergedError, match=words):
        train(spec, data, out, save_every=0)
    assert not out.weights.exists()
    assert not out.history.exists()
    with pytest.raises(DivergedError, match=r"that of step 7;"):  # and again from there
        train(spec, data, out, save_every=0)


def test_weights_that_are_no_numbers_are_never_saved(
    data: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, step=0, with_loss=False)
    with pytest.raises(DivergedError, match=r"layer 'fc1' is not finite.*none was saved"):
        train(tiny_spec(), data, out)
    monkeypatch.setattr(run.Training, "_record", lambda self, events: None)
    with pytest.raises(
        DivergedError, match=r"the weights are not finite at step 1 .*none was saved"
    ):
        train(tiny_spec(), data, out, save_every=0)
    assert not list(out.train_state.glob("*/*.state"))


def poison(monkeypatch: pytest.MonkeyPatch, *, step: int, with_loss: bool) -> None:
    """Spoil the weights before an update, or right after it."""
    update = run.Training._update

    def poisoned(self: run.Training, passes: Any) -> tuple[float, float]:
        spoil = self.step == step
        if spoil and with_loss:
            self.network.get_parameter("fc2.weight").data.fill_(math.nan)
        result = update(self, passes)
        if spoil:
            self.network.get_parameter("fc1.weight").data.fill_(math.inf)
        return result

    monkeypatch.setattr(run.Training, "_update", poisoned)


def test_what_cannot_be_trained(data: Path, out: ModelPaths, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"phi=5: layer fc1: .* pulled to one vector"):
        train(tiny_spec(topo={"phi": 5.0}), data, out)
    with pytest.raises(SpecError, match=r"phi=7: layer fc1: .*larger than the sheet"):
        train(tiny_spec(topo={"phi": 7.0, "allow_collapse": True}), data, out)
    with pytest.raises(SpecError, match="snapshots=99: at most 22"):
        train(tiny_spec(snapshots=99), data, out)
    with pytest.raises(DataError, match="nowhere"):
        train(tiny_spec(), tmp_path / "nowhere" / "dataset.json", out)
    assert not list(out.folder.glob("*.*"))


def test_a_training_that_runs_is_left_alone(data: Path, out: ModelPaths) -> None:
    with Lease(out.train_state, "it"), pytest.raises(LeaseError, match="is being trained by"):
        train(tiny_spec(), data, out)
    assert not out.weights.exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match=r"cannot be written \(Not a directory\): see to the disk"):
        train(tiny_spec(), data, ModelPaths(tmp_path / "file" / "model"))


def test_a_disk_full_when_publishing_keeps_the_training(
    data: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr(run.shutil, "copyfile", full)
        with pytest.raises(TrainError, match=r"No space left on device.*free some space"):
            train(tiny_spec(), data, out)
    monkeypatch.setattr(run.Training, "_update", None)
    train(tiny_spec(), data, out)
    assert out.weights.exists()
