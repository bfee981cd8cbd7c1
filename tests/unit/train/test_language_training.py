"""The loop on text: against plain torch, killed, compiled, and learning something."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import GPT_SPEC, digests, rows_of, tiny_spec
from torch import nn
from torch.nn import functional

from toporepro import models
from toporepro.data.loader import Shard
from toporepro.data.text_store import PreparedText
from toporepro.data.windows import Windows
from toporepro.models import TextInputs
from toporepro.models.family import build
from toporepro.paths import ModelPaths
from toporepro.spec import Schedule, TrainSpec
from toporepro.tasks import open_task
from toporepro.topoloss import LaplacianPyramid, TopoLoss
from toporepro.train import run
from toporepro.train.run import train


def gpt_spec(**recipe: Any) -> TrainSpec:
    return tiny_spec(**(GPT_SPEC | recipe))


def plain_loop(spec: TrainSpec, text: Path, steps: int) -> nn.Module:
    """The same training in plain torch: whole batches, one loss."""
    data, recipe = PreparedText.open(text), spec.recipe
    network = build(spec, TextInputs(vocabulary=data.vocabulary, context=16))
    windows = Windows(split=data.split("train"), context=16, seed=spec.seed, batch=recipe.batch)
    matrices = [p for p in network.parameters() if p.ndim == 2]
    norms = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.95))
    losses = [
        LaplacianPyramid(layer_name=f"transformer.h.{block}.mlp.c_fc", factor_h=4, factor_w=4)
        for block in range(2)
    ]
    for step in range(steps):
        rate = step / 4 if step < 4 else 0.55 + 0.45 * math.cos(math.pi * (step - 4) / (steps - 5))
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * rate
        ids = torch.tensor(windows[step][0][0])
        logits = network(ids[:, :-1])[..., : data.vocabulary]
        loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        (loss + spec.topo.tau * TopoLoss(losses).compute(network)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network


@pytest.mark.parametrize("accumulate", [1, 4])
def test_it_equals_a_plain_loop_also_when_accumulating(
    text: Path, out: ModelPaths, accumulate: int
) -> None:
    schedule = Schedule(kind="cosine", warmup_steps=4, start=0.0, end=0.1)
    spec = gpt_spec(epochs=0, steps=14, lr_schedule=schedule, accumulate=accumulate)
    train(spec, text, out)
    expected = plain_loop(spec, text, 14).state_dict()
    for name, weight in models.load(out.weights).state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5)


def test_it_learns_more_than_frequencies(text: Path, out: ModelPaths, tmp_path: Path) -> None:
    longer = {"epochs": 12, "lr": 1e-2}
    train(gpt_spec(**longer), text, out)
    ids = PreparedText.open(text).split("validation")[:]
    counts = np.bincount(ids)
    shares = counts[counts > 0] / counts.sum()
    rows = rows_of(out)
    assert rows[0]["test_loss"] == pytest.approx(math.log(280), rel=0.02)
    assert rows[-1]["test_loss"] < (entropy := -(shares * np.log(shares)).sum()) / 2
    assert all(math.isnan(row["test_accuracy"]) for row in rows)
    assert all(math.isnan(row["train_accuracy"]) for row in rows)
    assert rows[-1]["topo_loss"] < rows[0]["topo_loss"] / 2
    misled = ModelPaths(tmp_path / "misled")
    spec = gpt_spec(**longer, control="random_labels")
    train(spec, text, misled)
    assert rows_of(misled)[-1]["test_loss"] == pytest.approx(entropy, rel=0.1)


@pytest.mark.parametrize("architecture", ["nanogpt", "gpt_neo_125m"])
def test_lost_in_between_it_ends_with_the_same_bytes(
    architecture: str, text: Path, out: ModelPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = gpt_spec(architecture=architecture, epochs=0, steps=12)
    train(spec, text, undisturbed := ModelPaths(tmp_path / "undisturbed"))
    update = run.Training._update

    def lost(self: run.Training, passes: Any) -> tuple[float, float]:
        if self.step == 7:
            raise ConnectionAbortedError
        return update(self, passes)

    with monkeypatch.context() as patch:
        patch.setattr(run.Training, "_update", lost)
        with pytest.raises(ConnectionAbortedError):
            train(spec, text, out, save_every=0)
    train(spec, text, out)
    assert digests(out, 3) == digests(undisturbed, 3)


def test_workers_change_nothing(text: Path, out: ModelPaths, tmp_path: Path) -> None:
    spec = gpt_spec(epochs=0, steps=6, accumulate=2)
    train(spec, text, out)
    train(spec, text, other := ModelPaths(tmp_path / "other"), workers=1)
    assert digests(out, 3) == digests(other, 3)


@pytest.mark.parametrize("architecture", ["nanogpt", "gpt_neo_125m"])
def test_network_and_loss_compile_into_one_graph(architecture: str, text: Path) -> None:
    task = open_task(gpt_spec(architecture=architecture), text)
    network = task.build()
    (batch,) = next(iter(task.batches(range(1), Shard(), workers=0, pin=False)))
    found = torch._dynamo.explain(task.loss)(network, list(batch))
    assert found.graph_break_count == 0, found.break_reasons


def test_progress_counts_tokens(
    text: Path, out: ModelPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    train(gpt_spec(epochs=0, steps=3), text, out)
    line = next(x for x in capsys.readouterr().err.splitlines() if x.startswith("step 3/3"))
    assert " tokens/s  loss " in line
    assert "  test loss " in line
