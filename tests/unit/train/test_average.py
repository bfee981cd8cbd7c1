"""The moving average of weights against its closed form."""

from pathlib import Path

import pytest
import torch
from tiny_training import digests, rows_of, tiny_spec
from torch import nn

from toporepro import models
from toporepro.data.store import PreparedImages
from toporepro.paths import ModelPaths
from toporepro.spec import Averaging
from toporepro.train.average import Average
from toporepro.train.run import Training, train


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))


def test_average_of_weights_and_statistics_is_the_closed_form() -> None:
    trained = network()
    averaging = Averaging(decay=0.75, every=2, from_epoch=3.0)
    average = Average(trained, averaging)
    values = [2.0, -1.0, 4.0, 8.0, 1.0, 5.0, 7.0, 3.0]
    for step, value in enumerate(values, start=1):
        for tensor in trained.state_dict().values():
            tensor.fill_(value)
        average.update(step, epoch=float(step))
    # Step 2 is before epoch 3: a copy; then 4, 6 and 8 enter.
    expected = -1.0
    for value in (8.0, 5.0, 3.0):
        expected = 0.75 * expected + 0.25 * value
    state = average.network.state_dict()
    for name, tensor in state.items():
        wanted = 3.0 if name.endswith("num_batches_tracked") else expected
        assert tensor.float().item() == pytest.approx(wanted), name
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_without_averaging_the_network_itself_is_published() -> None:
    trained = network()
    average = Average(trained, None)
    average.update(1, 1.0)
    assert average.network is trained


def test_what_is_published_and_tested_is_the_average(
    data: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    update = Training._update

    def watched(self: Training, passes: object) -> tuple[float, float]:
        result = update(self, passes)  # type: ignore[arg-type]
        seen.append({n: t.clone() for n, t in self.network.state_dict().items()})
        return result

    monkeypatch.setattr(Training, "_update", watched)
    spec = tiny_spec(average=Averaging(decay=0.5, every=2), epochs=1, snapshots=2)
    train(spec, data, out)
    expected = models.load(out.snapshot(0)).state_dict()
    for state in seen[1::2]:
        expected = {name: 0.5 * tensor + 0.5 * state[name] for name, tensor in expected.items()}
    published = models.load(out.weights)
    for name, tensor in published.state_dict().items():
        torch.testing.assert_close(tensor, expected[name])
        assert not torch.equal(tensor, seen[-1][name])
    test = PreparedImages.open(data).split("test")
    pixels = torch.tensor(test.images).permute(0, 3, 1, 2) / 255 * 2 - 1
    accuracy = (published(pixels).argmax(1) == torch.tensor(test.labels)).float().mean()
    assert rows_of(out)[-1]["test_accuracy"] == pytest.approx(float(accuracy))


def test_an_average_that_forgets_at_once_is_the_network(
    data: Path, out: ModelPaths, tmp_path: Path
) -> None:
    train(tiny_spec(), data, plain := ModelPaths(tmp_path / "plain"))
    train(tiny_spec(average=Averaging(decay=0.0)), data, out)
    left, right = (models.load(paths.weights).state_dict() for paths in (plain, out))
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert digests(plain, 3)["history.csv"] == digests(out, 3)["history.csv"]
