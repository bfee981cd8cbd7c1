"""Classification: its loss, its evaluation, its controls."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from toporepro import tasks
from toporepro.data.loader import Shard
from toporepro.data.store import DataError, ImageWriter
from toporepro.models import Inputs
from toporepro.spec import DataSpec, Recipe, Resolution, SpecError, TopoSpec, TrainSpec
from toporepro.tasks.classification import Classification, open_task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(1)
    writer = ImageWriter(
        tmp_path_factory.mktemp("data"),
        source="digits",
        options={},
        shape=(4, 5, 3),
        classes=["x", "y", "z"],
        mean=[0.2, 0.4, 0.6],
        std=[0.5, 1.0, 2.0],
    )
    for name, count in (("train", 40), ("test", 1203)):
        images = generator.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
        writer.write_split(name, count, [(images, generator.integers(0, 3, count))])
    return writer.finish()


def task_of(data: Path, *, control: Any = "none", seed: int = 0, **recipe: Any) -> Classification:
    fields: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "batch": 8, "epochs": 1}
    spec = TrainSpec(
        architecture="mlp",
        model={"hidden": 6},
        data=DataSpec(source="digits"),
        topo=TopoSpec(tau=1, phi=2),
        recipe=Recipe(**(fields | recipe)),
        seed=seed,
        control=control,
    )
    return open_task(spec, data)


def test_what_the_loop_asks_first(data: Path) -> None:
    task = task_of(data)
    assert task.samples == 40
    assert task.inputs == Inputs(channels=3, height=4, width=5, classes=3)
    network = task.build()
    assert network.training
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.parameters(), task.build().parameters(), strict=True)
    )
    assert isinstance(tasks.open_task(task.spec, data), Classification)
    assert tasks.modules("mlp") == ("models.mlp", "tasks.classification")
    with pytest.raises(SpecError, match="did you mean mlp"):
        tasks.modules("mlpp")
    with pytest.raises(DataError, match="nowhere"):
        tasks.open_task(task.spec, data.parent / "nowhere")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_cross_entropy_of_normalised_images(data: Path, smoothing: float) -> None:
    task = task_of(data, label_smoothing=smoothing)
    network = task.build()
    (batch,) = next(task.batches(range(1, 2), Shard(), workers=0, pin=False))
    found = task.loss(network, batch)
    pixels = (batch[0].numpy() / 255 - [0.2, 0.4, 0.6]) / [0.5, 1.0, 2.0]
    logits = network(torch.tensor(pixels.transpose(0, 3, 1, 2)).float())
    probabilities = logits.log_softmax(1)
    exact = -probabilities.gather(1, batch[1][:, None]).mean()
    expected = (1 - smoothing) * exact - smoothing * probabilities.mean()
    torch.testing.assert_close(found.value, expected)
    assert found.value.requires_grad
    assert found.accuracy == (logits.argmax(1) == batch[1]).float().mean()


def test_evaluation_covers_the_test_split_once_in_evaluation_mode(data: Path) -> None:
    task = task_of(data)
    modes: list[bool] = []
    network = torch.nn.Sequential(task.build(), torch.nn.Dropout(0.9))
    network.register_forward_hook(lambda m, i, o: modes.append(m.training))
    split = task.data.split("test")
    pixels = (split.images / 255 - [0.2, 0.4, 0.6]) / [0.5, 1.0, 2.0]
    logits = network[0](torch.tensor(pixels.transpose(0, 3, 1, 2)).float())
    found = task.evaluate(network, torch.device("cpu"))
    assert found.accuracy == pytest.approx((logits.argmax(1).numpy() == split.labels).mean())
    loss = functional.cross_entropy(logits, torch.tensor(split.labels))
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    assert modes == [False] * 3
    assert network.training


def test_random_labels_are_a_permutation_by_seed_of_the_training_split(data: Path) -> None:
    true = task_of(data).labels()
    found = task_of(data, control="random_labels").labels()
    np.testing.assert_array_equal(true, task_of(data).data.split("train").labels)
    assert (found != true).any()
    np.testing.assert_array_equal(np.bincount(found), np.bincount(true))
    np.testing.assert_array_equal(found, task_of(data, control="random_labels").labels())
    assert (found != task_of(data, control="random_labels", seed=1).labels()).any()


def test_random_labels_stay_with_their_images(data: Path) -> None:
    task = task_of(data, control="random_labels", epochs=2)
    seen: dict[bytes, int] = {}
    for (images, labels), *_ in task.batches(range(10), Shard(), workers=0, pin=False):
        for image, label in zip(images.numpy(), labels.tolist(), strict=True):
            assert seen.setdefault(image.tobytes(), label) == label
    assert len(seen) == 40


def test_topoloss_only_learns_nothing_but_reports(data: Path) -> None:
    task = task_of(data, control="topoloss_only")
    network = task.build()
    (batch,) = next(task.batches(range(1), Shard(), workers=0, pin=False))
    found = task.loss(network, batch)
    assert not found.value.requires_grad
    torch.testing.assert_close(found.value, task_of(data).loss(network, batch).value.detach())
    assert torch.is_grad_enabled()


def test_channels_last_is_kept_or_not(data: Path) -> None:
    seen: list[torch.Tensor] = []

    def look(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0])

    for channels_last in (True, False):
        task = task_of(data, channels_last=channels_last)
        network = task.build()
        network.register_forward_pre_hook(look)
        (batch,) = next(task.batches(range(1), Shard(), workers=0, pin=False))
        task.loss(network, batch)
    assert torch.equal(seen[0], seen[1])
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert not seen[0].is_contiguous()
    assert seen[1].is_contiguous()


def test_augmentation_reaches_the_batches(data: Path) -> None:
    plain, moved = task_of(data), task_of(data, flip=True, shift=1)
    assert dataclasses.replace(plain.spec.recipe, flip=True, shift=1) == moved.spec.recipe
    batches = [
        next(task.batches(range(1), Shard(), workers=0, pin=False))[0] for task in (plain, moved)
    ]
    assert torch.equal(batches[0][1], batches[1][1])
    assert not torch.equal(batches[0][0], batches[1][0])


@pytest.mark.parametrize("repeats", [1, 2])
def test_mixed_loss_equals_cross_entropy_with_torchvisions_soft_labels(
    data: Path, repeats: int
) -> None:
    task = task_of(data, mixup=0.8, cutmix=1.0, label_smoothing=0.1, repeats=repeats)
    network = task.build()
    for step in range(4):
        (batch,) = next(task.batches(range(step, step + 1), Shard(), workers=0, pin=False))
        images, labels, weights, share = batch
        found = task.loss(network, batch)
        pixels = (images.numpy() / 255 - [0.2, 0.4, 0.6]) / [0.5, 1.0, 2.0]
        pixels = torch.tensor(pixels.transpose(0, 3, 1, 2)).float()[repeats:]
        logits = network(pixels * weights + pixels.roll(repeats, 0) * (1 - weights))
        one_hot = torch.nn.functional.one_hot(labels[repeats:], 3).float()
        targets = share * one_hot + (1 - share) * one_hot.roll(repeats, 0)
        expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
        torch.testing.assert_close(found.value, expected)
        right = logits.argmax(1) == (labels[repeats:] if share >= 0.5 else labels[:-repeats])
        assert found.accuracy == right.float().mean()
    assert not task_of(data, mixup=0.8, control="topoloss_only").loss(network, batch).value.grad_fn


def test_tests_of_mirror_images_add_logits(data: Path) -> None:
    task = task_of(data, test_flip=True)
    network = task.build()
    split = task.data.split("test")
    logits = torch.zeros(len(split), 3)
    for images in (split.images, split.images[:, :, ::-1]):
        pixels = (images / 255 - [0.2, 0.4, 0.6]) / [0.5, 1.0, 2.0]
        logits += network(torch.tensor(pixels.transpose(0, 3, 1, 2)).float())
    expected = (logits.argmax(1).numpy() == split.labels).mean()
    found = task.evaluate(network, torch.device("cpu"))
    assert found.accuracy == pytest.approx(expected)
    loss = functional.cross_entropy(logits / 2, torch.tensor(split.labels))
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    other = task_of(data).evaluate(network, torch.device("cpu"))
    assert other.accuracy != pytest.approx(expected)


def test_an_epoch_and_a_batch_of_every_augmentation(data: Path) -> None:
    spec = task_of(
        data,
        flip=True,
        shift=1,
        auto_augment="ra",
        mixup=0.2,
        cutmix=1.0,
        repeats=3,
        accumulate=2,
    ).spec
    resolution = (Resolution(pixels=6), Resolution(pixels=8, from_epoch=0.5))
    recipe = dataclasses.replace(spec.recipe, resolution=resolution)
    convolutional = {"architecture": "resnet18", "model": {"width": 0.25}, "recipe": recipe}
    task = open_task(dataclasses.replace(spec, **convolutional), data)
    shapes = [
        [tuple(tensor.shape) for tensor in batch]
        for passes in task.batches(range(5), Shard(accumulate=2), workers=0, pin=False)
        for batch in passes
    ]
    side = [6] * 6 + [8] * 4  # two passes a step; 40 samples are five steps
    assert shapes == [[(7, s, s, 3), (7,), (s, s), ()] for s in side]


def test_sizes_that_cannot_be(data: Path) -> None:
    with pytest.raises(SpecError, match=r"test_pixels=5: .* leave it out"):
        task_of(data, test_pixels=5)
    with pytest.raises(SpecError, match=r"mlp takes images of one size; \[6\] given, and 4"):
        task_of(data, resolution=(Resolution(pixels=6),))
