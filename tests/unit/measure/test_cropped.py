"""Images stored at full size stand in for images of one size, in training and in tests."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toporepro.data import loader
from toporepro.data.cropped import CroppedImages, open_images
from toporepro.data.crops import centre_crops, random_resized_crops
from toporepro.data.loader import Batches
from toporepro.data.shards import FORMAT, ShardWriter, join, labels_file, places_file, shard_file
from toporepro.data.store import DataError, ImageWriter, PreparedImages
from toporepro.measure.run import measure
from toporepro.models.inputs import Inputs
from toporepro.paths import ModelPaths
from toporepro.provenance import sha256
from toporepro.spec import DataSpec, MeasureSpec, Recipe, Resolution, SpecError, TopoSpec, TrainSpec
from toporepro.tasks.classification import open_task
from toporepro.train.run import train


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three classes, each of its own brightness, in two shards a split."""
    folder = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    splits, shards, names = {}, {}, []
    for split, count in (("train", 30), ("test", 12)):
        rows = []
        for part in range(2):
            name = shard_file(split, part)
            with ShardWriter(folder / name, "jpeg", 90) as writer:
                for number in range(count // 2):
                    label = number % 3
                    sides = (*generator.integers(24, 60, 2), 3)
                    noise = generator.integers(0, 60, sides)
                    writer.add((noise + 90 * label).astype(np.uint8), label)
                rows.append(writer.rows())
            shards.setdefault(split, []).append(name)
        labels, places = join(rows)
        np.save(folder / labels_file(split), labels)
        np.save(folder / places_file(split), places)
        splits[split] = {"count": count}
        names += [labels_file(split), places_file(split), *shards[split]]
    content = {
        "source": "imagenet",
        "options": {},
        "format": FORMAT,
        "storage": "jpeg",
        "classes": ["x", "y", "z"],
        "categories": {},
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.2],
        "splits": splits,
        "shards": shards,
        "files": {
            name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
            for name in names
        },
        "extra": {},
    }
    path = folder / "dataset.json"
    path.write_text(json.dumps(content))
    return path


def opened(index: Path, pixels: int = 16) -> CroppedImages:
    images = open_images(index, pixels, 0.75)
    assert isinstance(images, CroppedImages)
    return images


def test_a_split_is_like_an_array_of_centre_crops(index: Path) -> None:
    images = opened(index)
    split = images.split("test")
    assert images.splits["test"].count == 12
    images.verify()
    assert images.shape == split.images.shape[1:] == (16, 16, 3)
    assert len(split) == len(split.images) == 12
    expected = centre_crops(images.stored.split("test"), np.arange(12), size=16, ratio=0.75)
    np.testing.assert_array_equal(split.images[:], expected)
    np.testing.assert_array_equal(split.images[3:7], expected[3:7])
    np.testing.assert_array_equal(split.images[np.array([5, 1])], expected[[5, 1]])
    parts = list(loader.in_order(split, 5))
    np.testing.assert_array_equal(torch.cat([part for part, _ in parts]), expected)
    np.testing.assert_array_equal(torch.cat([labels for _, labels in parts]), split.labels)
    assert (images.source, images.classes, images.std) == ("imagenet", ("x", "y", "z"), (0.2,) * 3)
    assert (images.index, dict(images.categories), images.mean[0]) == (index, {}, 0.4)


def test_batches_are_random_crops_of_each_turns_own(index: Path) -> None:
    split = opened(index).split("train")
    resolution = (Resolution(pixels=8), Resolution(pixels=12, from_epoch=1))
    batches = Batches(
        split=split,
        labels=split.labels,
        seed=4,
        batch=10,
        flip=True,
        repeats=2,
        resolution=resolution,
    )
    for step, side in ((0, 8), (3, 12)):
        ((images, labels),) = batches[step]
        turns, samples = batches.draw(step)
        expected = random_resized_crops(
            split.images.stored, samples, seed=4, epoch=turns, size=side, flip=True
        )
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, split.labels[samples])


def spec_of(**recipe: object) -> TrainSpec:
    fields = {"optimizer": "adam", "lr": 0.003, "batch": 10, "epochs": 8, "snapshots": 1}
    return TrainSpec(
        architecture="mlp",
        model={"hidden": 16},
        data=DataSpec(source="imagenet"),
        topo=TopoSpec(tau=1, phi=2),
        recipe=Recipe(**(fields | recipe)),  # type: ignore[arg-type]
        seed=0,
    )


def test_a_network_learns_from_them(index: Path, tmp_path: Path) -> None:
    spec = spec_of(resolution=(Resolution(pixels=16),), test_pixels=16, test_flip=True, flip=True)
    task = open_task(spec, index)
    assert task.inputs == Inputs(channels=3, height=16, width=16, classes=3)
    assert task.samples == 30
    out = ModelPaths(tmp_path / "model")
    train(spec, index, out)
    tested = float(out.history.read_text().split(",")[-1])
    assert tested > 0.8
    measures: dict[str, dict[str, object]] = {"accuracy": {}}
    identity = {"preset": "p", "family": "f", "tau": "1", "seed": 0, "threads": 1}
    measure(MeasureSpec(**identity, measures=measures), out, index)  # type: ignore[arg-type]
    rows = [line.split(",") for line in out.measures.read_text().splitlines()]
    measured = next(row for row in rows if row[4] != "0" and row[8] == "accuracy")
    assert float(measured[9]) == pytest.approx(tested)


def test_what_cannot_be(index: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"test_pixels: the images of .* have many sizes"):
        open_task(spec_of(), index)
    with pytest.raises(SpecError, match=r"recipe\.resolution: the images of .* have many sizes"):
        open_task(spec_of(test_pixels=24), index)
    with pytest.raises(DataError, match="no split"):
        opened(index).split("validation")
    with pytest.raises(DataError, match="No such file"):
        open_images(tmp_path / "dataset.json", None)


def test_images_of_one_size_are_opened_as_before(tmp_path: Path) -> None:
    writer = ImageWriter(
        tmp_path,
        source="digits",
        options={},
        shape=(4, 4, 1),
        classes=["a"],
        mean=[0.5],
        std=[0.5],
    )
    for name in ("train", "test"):
        writer.write_split(name, 1, [(np.zeros((1, 4, 4, 1), np.uint8), [0])])
    path = writer.finish()
    assert open_images(path, None) == PreparedImages.open(path)
    with pytest.raises(SpecError, match=r"test_pixels=8: images of .* have a size; leave it out"):
        open_images(path, 8)
