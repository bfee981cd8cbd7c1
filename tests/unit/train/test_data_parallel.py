"""Several processes train as one does with the same batch."""

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import GPT_SPEC, start_group, tiny_spec
from torch import nn

from toporepro import models
from toporepro.paths import ModelPaths
from toporepro.spec import Averaging
from toporepro.train.distributed import connect
from toporepro.train.run import train

RESNET: dict[str, Any] = {
    "architecture": "resnet18",
    "model": {"width": 0.25},
    "optimizer": "sgd",
    "lr": 0.01,
    "epochs": 1,  # three steps: soon after, rounding decides on which side of a ReLU a unit falls
    "topo": {"tau": 2.0},
}


def largest_difference(left: ModelPaths, right: ModelPaths) -> float:
    a, b = (models.load(out.weights).state_dict() for out in (left, right))
    return max(float((a[name].float() - b[name].float()).abs().max()) for name in a)


def test_two_processes_equal_one_over_50_steps(data: Path, out: ModelPaths, tmp_path: Path) -> None:
    spec = tiny_spec(
        optimizer="sgd", lr=0.05, epochs=50 * 16 / 120, accumulate=2, clip=1.0, shift=1
    )
    train(spec, data, one := ModelPaths(tmp_path / "one"))
    start_group(spec, data, out, 2)
    assert models.read_metadata(out.weights).step == 50
    assert largest_difference(one, out) < 1e-5
    rows = [path.read_text().splitlines() for path in (one.history, out.history)]
    for left, right in zip(*rows, strict=True):
        for a, b in zip(left.split(","), right.split(","), strict=True):
            assert a == b or float(a) == pytest.approx(float(b), rel=1e-4)


def test_two_processes_equal_one_with_batchnorm(
    coloured: Path, out: ModelPaths, tmp_path: Path
) -> None:
    spec = tiny_spec(**RESNET)
    train(spec, coloured, one := ModelPaths(tmp_path / "one"))
    start_group(spec, coloured, out, 2)
    assert largest_difference(one, out) < 1e-5


def test_two_processes_train_a_gpt_as_one(text: Path, out: ModelPaths, tmp_path: Path) -> None:
    spec = tiny_spec(**(GPT_SPEC | {"optimizer": "sgd", "lr": 0.1, "accumulate": 2, "epochs": 1}))
    train(spec, text, one := ModelPaths(tmp_path / "one"))
    start_group(spec, text, out, 2)
    assert models.read_metadata(out.weights).step > 10
    assert largest_difference(one, out) < 1e-5


def test_two_processes_mix_repeat_and_average_as_one(
    data: Path, out: ModelPaths, tmp_path: Path
) -> None:
    spec = tiny_spec(
        optimizer="sgd",
        lr=0.05,
        epochs=2,
        accumulate=2,
        flip=True,
        mixup=0.4,
        cutmix=1.0,
        repeats=3,
        average=Averaging(decay=0.8, every=2, from_epoch=0.5),
    )
    train(spec, data, one := ModelPaths(tmp_path / "one"))
    start_group(spec, data, out, 2)
    assert largest_difference(one, out) < 1e-5


def _normalise(rank: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = (Path(folder) / "port").read_text()
    with connect() as group:
        torch.manual_seed(0)
        network = group.synchronise_batchnorm(nn.Sequential(nn.BatchNorm2d(3)))
        images = torch.load(Path(folder) / "images.pt")[rank::2].requires_grad_()
        for _ in range(2):
            output = network(images)
        (output * torch.arange(4.0)).square().sum().backward()
        average = group.average(network.parameters(), torch.tensor([float(rank)]))
        gradients = torch.cat([p.grad for p in network.parameters() if p.grad is not None])
        evaluated = network.eval()(images)
        torch.save(
            {
                "output": output.detach(),
                "evaluated": evaluated.detach(),
                "images": images.grad,
                "gradients": gradients,
                "state": network.state_dict(),
                "average": average,
                "shared": group.share(f"from {rank}"),
            },
            Path(folder) / f"{rank}.pt",
        )


def test_batchnorm_over_processes_equals_torchs_over_the_batch(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(str(probe.getsockname()[1]))
    whole = torch.randn(6, 3, 5, 4) * 3 + 1
    torch.save(whole, tmp_path / "images.pt")
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_normalise, args=(rank, str(tmp_path))) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    norm = nn.Sequential(nn.BatchNorm2d(3))
    whole.requires_grad_()
    for _ in range(2):
        expected = norm(whole)
    (expected * torch.arange(4.0)).square().sum().backward()
    assert whole.grad is not None
    gradient = torch.cat([p.grad for p in norm.parameters() if p.grad is not None])
    state = norm.state_dict()
    evaluated = norm.eval()(whole)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(found["output"], expected[rank::2])
        torch.testing.assert_close(found["evaluated"], evaluated[rank::2])
        torch.testing.assert_close(found["images"], whole.grad[rank::2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found["gradients"] * 2, gradient, rtol=1e-4, atol=1e-3)
        assert list(found["state"]) == list(state)
        for name in state:
            torch.testing.assert_close(found["state"][name], state[name])
        assert found["average"].item() == 0.5
        assert found["shared"] == "from 0"
