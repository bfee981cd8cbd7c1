"""The task of language against brute force."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro import tasks
from toporepro.data.loader import Shard
from toporepro.data.store import DataError, ImageWriter
from toporepro.data.text_store import TextWriter
from toporepro.data.tokenizer import train_tokenizer
from toporepro.models import TextInputs
from toporepro.models.family import build
from toporepro.spec import DataSpec, Recipe, Resolution, SpecError, TopoSpec, TrainSpec
from toporepro.tasks import language
from toporepro.tasks.language import Language

CPU = torch.device("cpu")
WORDS = ["one two three", "two three one one", "three one two two three"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [WORDS[number] for number in np.random.default_rng(1).integers(0, 3, 60)]
    tokenizer = train_tokenizer(lines, 262)
    folder = tmp_path_factory.mktemp("words")
    writer = TextWriter(folder, source="grammar", options={}, tokenizer=tokenizer)
    writer.write_split("train", lines)
    writer.write_split("validation", lines[:9])
    return writer.finish()


def task_of(text: Path, control: Any = "none", **recipe: Any) -> Language:
    fields = {"optimizer": "adamw", "lr": 0.01, "batch": 6, "epochs": 1, "snapshots": 1}
    spec = TrainSpec(
        architecture="nanogpt",
        model={"context": 8, "width": 16, "depth": 2, "heads": 2, "mlp": 64},
        data=DataSpec(source="grammar"),
        topo=TopoSpec(tau=1, phi=4),
        recipe=Recipe(**(fields | recipe)),
        seed=5,
        control=control,
    )
    task = tasks.open_task(spec, text)
    assert isinstance(task, Language)
    return task


def batch_of(task: Language, step: int, **shard: int) -> list[list[Tensor]]:
    batches = task.batches(range(step, step + 1), Shard(**shard), workers=0, pin=False)
    return [list(found) for found in next(iter(batches))]


class Padded(nn.Module):
    """Logits of a network, except for those that pad the vocabulary, which are huge."""

    def __init__(self, network: nn.Module, vocabulary: int) -> None:
        super().__init__()
        self.network, self.vocabulary = network, vocabulary

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.network(tokens).clone()
        assert logits.shape[-1] > self.vocabulary
        logits[..., self.vocabulary :] = 1e4
        return logits


def test_what_it_is_made_of(text: Path) -> None:
    task = task_of(text)
    train = task.data.split("train")
    assert task.samples == (len(train) - 1) // 8
    assert task.inputs == TextInputs(vocabulary=task.data.vocabulary, context=8)
    assert task.work.unit == "tokens"
    assert task.work.per_sample == 8
    # 6 for each parameter but positions and norms, and attention, as in PaLM's appendix B.
    network = task.build()
    assert network.training
    counted = sum(p.numel() for p in network.parameters() if p.ndim > 1) - 8 * 16
    assert task.work.flops == 8 * (6 * counted + 12 * 2 * 16 * 8)


def test_loss_is_cross_entropy_over_the_real_vocabulary(text: Path) -> None:
    task = task_of(text)
    ((tokens,),) = batch_of(task, 0)
    assert tokens.shape == (6, 9)
    assert tokens.dtype == torch.int64
    network = task.build()
    logits = network(tokens[:, :-1])[..., : task.data.vocabulary]
    rows = [
        -torch.log_softmax(logits[n, t].double(), 0)[tokens[n, t + 1]]
        for n in range(6)
        for t in range(8)
    ]
    expected = torch.stack(rows).mean().float()
    for one in (network, Padded(network, task.data.vocabulary)):
        found = task.loss(one, [tokens])
        assert found.accuracy is None
        torch.testing.assert_close(found.value, expected)
    assert found.value.requires_grad


def test_passes_are_shares_of_the_batch(text: Path) -> None:
    task = task_of(text)
    ((whole,),) = batch_of(task, 3)
    parts = [batch_of(task, 3, rank=rank, world=2, accumulate=3) for rank in range(2)]
    joined = [parts[rank][number][0] for number in range(3) for rank in range(2)]
    assert torch.equal(torch.cat(joined), whole)


def test_validation_covers_every_window_once(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(text)
    network = nn.Sequential(task.build(), nn.Dropout(0.9))
    modes: list[bool] = []
    network.register_forward_hook(lambda m, i, o: modes.append(m.training))
    ids = task.data.split("validation")[:].astype(np.int64)
    count = (len(ids) - 1) // 8
    rows = torch.tensor(np.stack([ids[8 * w : 8 * w + 9] for w in range(count)]))
    each = functional.cross_entropy(
        network[0](rows[:, :-1])[..., : task.data.vocabulary].flatten(0, 1),
        rows[:, 1:].flatten(),
        reduction="none",
    )
    monkeypatch.setitem(language._LOGITS, "cpu", 3 * 8 * task.data.vocabulary)
    found = task.evaluate(network, CPU)
    assert found.accuracy is None
    assert found.loss == pytest.approx(each.mean().item(), rel=1e-5)
    assert modes == [False] * -(-count // 3)
    assert network.training
    monkeypatch.setattr(language, "_EVALUATED", 2 * 3 * 8)  # of a longer text: its first windows
    assert task.evaluate(network, CPU).loss == pytest.approx(each[: 6 * 8].mean().item(), rel=1e-5)


def test_validation_has_the_recipes_precision(text: Path) -> None:
    types = []
    task = task_of(text, precision="bfloat16")
    network = task.build()
    network.register_forward_hook(lambda m, i, o: types.append(o.dtype))
    low = task.evaluate(network, CPU).loss
    high = task_of(text).evaluate(network, CPU).loss
    assert types == [torch.bfloat16, torch.float32]
    assert low == pytest.approx(high, rel=1e-2)
    assert low != high


def test_random_labels_are_continuations_of_other_windows(text: Path) -> None:
    task, true = task_of(text, control="random_labels"), task_of(text)
    steps = range(task.samples // 6)
    told = [batch_of(task, step)[0] for step in steps]
    seen, shown = (torch.cat([pair[part] for pair in told]) for part in (0, 1))
    assert torch.equal(seen, torch.cat([batch_of(true, step)[0][0] for step in steps]))
    assert (seen != shown).any(1).float().mean() > 0.8
    later = batch_of(task, task.samples)  # of the second epoch, another order
    windows = {tuple(row.tolist()) for row in shown}
    assert sum(tuple(row.tolist()) in windows for row in later[0][1]) >= 5
    network = task.build()
    first = told[0]
    mixed = torch.cat([first[0][:, :1], first[1][:, 1:]], 1)
    value = task.loss(network, first).value
    logits = network(first[0][:, :-1])[..., : task.data.vocabulary]
    expected = functional.cross_entropy(logits.flatten(0, 1), mixed[:, 1:].flatten())
    torch.testing.assert_close(value, expected)
    assert task.evaluate(network, CPU) == true.evaluate(network, CPU)
    other = dataclasses.replace(task, spec=dataclasses.replace(task.spec, seed=6))
    assert not torch.equal(batch_of(other, 0)[0][1], first[1])


def test_topoloss_only_learns_nothing_from_text(text: Path) -> None:
    task, true = task_of(text, control="topoloss_only"), task_of(text)
    network = task.build()
    found = task.loss(network, batch_of(task, 0)[0])
    assert not found.value.requires_grad
    assert found.value == true.loss(network, batch_of(true, 0)[0]).value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flip": True}, "recipe.flip=True: language has no such thing"),
        ({"resolution": (Resolution(pixels=9),)}, "recipe.resolution="),
        ({"repeats": 3}, "recipe.repeats=3"),
        ({"label_smoothing": 0.1}, "recipe.label_smoothing=0.1"),
    ],
)
def test_what_only_images_have(text: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        task_of(text, **change)


def test_a_text_shorter_than_the_context(text: Path) -> None:
    spec = dataclasses.replace(task_of(text).spec, model={"context": 10_000})
    with pytest.raises(SpecError, match="context=10000: the split has"):
        tasks.open_task(spec, text)


def test_images_are_no_text(text: Path, tmp_path: Path) -> None:
    writer = ImageWriter(
        tmp_path, source="digits", options={}, shape=(2, 2, 1), classes=["a"], mean=[0], std=[1]
    )
    for name in ("train", "test"):
        writer.write_split(name, 1, [(np.zeros((1, 2, 2, 1), np.uint8), [0])])
    with pytest.raises(DataError, match="prepared text"):
        tasks.open_task(task_of(text).spec, writer.finish())


def test_networks_of_all_tau_start_alike(text: Path) -> None:
    task = task_of(text)
    again = build(dataclasses.replace(task.spec, topo=TopoSpec(tau=50, phi=4)), task.inputs)
    for left, right in zip(task.build().parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)
