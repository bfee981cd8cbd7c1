"""Networks that were trained elsewhere: what they may be shown, and what is then known."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import measured
import numpy as np
import pytest
import torch
from tests.unit.data import ilsvrc

from toporepro import models
from toporepro.data import imagenet, scatter
from toporepro.data.cropped import open_images
from toporepro.data.store import INDEX
from toporepro.measure.run import measure
from toporepro.models import Inputs
from toporepro.models.family import build
from toporepro.paths import ModelPaths
from toporepro.spec import NOT_TRAINED, CheckpointSpec, DataSpec, SpecError, TrainSpec

CLASSES = len(ilsvrc.WNIDS)


def spec_of(architecture: str = "resnet18", classes: int = CLASSES, **recipe: object) -> TrainSpec:
    model = {"resnet18": {"width": 0.125, "stem": "small"}, "mlp": {"hidden": 24}}[architecture]
    return replace(
        measured.train_spec(architecture, **model),
        recipe=replace(NOT_TRAINED, **recipe),  # type: ignore[arg-type]
        checkpoint=CheckpointSpec(file="f.pt", height=24, width=24, classes=classes),
    )


def write(folder: Path, spec: TrainSpec) -> ModelPaths:
    made = spec.checkpoint
    assert made is not None
    inputs = Inputs(channels=3, height=24, width=24, classes=made.classes)
    paths = ModelPaths(folder)
    models.save(paths.weights, build(spec, inputs), spec, inputs, 1)
    return paths


def rows_of(paths: ModelPaths, metric: str) -> list[dict[str, str]]:
    with paths.measures.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["metric"] == metric]


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("validation")
    ilsvrc.write_tars(root / "imagenet", ilsvrc.train_images(), ilsvrc.validation_images())
    (root / "imagenet" / "ILSVRC2012_img_train.tar").unlink()
    options = {"train_images": 0, "test_images": 10, "shards": 2, "side": 32, "test_side": 40}
    index = root / "prepared" / INDEX
    scatter.prepare_all(DataSpec(source="imagenet", options=options), root, index)
    return index


def test_accuracy_on_imagenets_own_validation_images(validation: Path, tmp_path: Path) -> None:
    spec = spec_of(test_pixels=28, test_flip=True)
    paths = write(tmp_path, spec)
    measures = {"accuracy": {}, "smoothness": {"shuffles": 2}}
    measure(replace(measured.measure_spec(measures), images=6), paths, validation)
    chosen = [0, 1, 3, 5, 6, 8]
    split = open_images(validation, 28, 0.875).split("test")
    pixels = torch.tensor(split.images[np.array(chosen)]).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (imagenet.MEAN, imagenet.STD))
    shown = (pixels - mean) / std
    network = models.load(paths.weights)
    with torch.no_grad():
        logits = network(shown) + network(shown.flip(3))
    expected = float((logits.argmax(1) == torch.tensor(split.labels[chosen])).double().mean())
    (accuracy,) = rows_of(paths, "accuracy")
    assert float(accuracy["value"]) == pytest.approx(expected)
    assert [row["value"] for row in rows_of(paths, "images")] == ["6"]
    assert all(float(row["value"]) > 0 for row in rows_of(paths, "smoothness"))


def test_images_of_other_classes_are_stimuli_without_labels(tmp_path: Path) -> None:
    paths = write(tmp_path / "m", spec_of(classes=11))
    data = measured.write_data(tmp_path / "data", side=20, channels=3, images=40)
    measure(measured.measure_spec({"accuracy": {}, "effective_dimensionality": {}}), paths, data)
    assert [row["value"] for row in rows_of(paths, "accuracy")] == ["nan"]
    values = [float(row["value"]) for row in rows_of(paths, "effective_dimensionality")]
    assert all(math.isfinite(value) for value in values)
    assert rows_of(paths, "images") == []


def test_a_network_of_one_size_is_shown_no_other(tmp_path: Path) -> None:
    paths = write(tmp_path / "m", spec_of("mlp"))
    data = measured.write_data(tmp_path / "data", side=20, channels=3, images=40)
    with pytest.raises(SpecError, match="built for"):
        measure(measured.measure_spec({"accuracy": {}}), paths, data)


def test_a_network_trained_here_is_shown_its_own_classes_alone(tmp_path: Path) -> None:
    spec = measured.train_spec("resnet18", width=0.125, stem="small")
    inputs = Inputs(channels=3, height=20, width=20, classes=11)
    paths = ModelPaths(tmp_path / "m")
    for path in (paths.weights, paths.snapshot(0)):
        models.save(path, build(spec, inputs), spec, inputs, 1)
    data = measured.write_data(tmp_path / "data", side=20, channels=3, images=40)
    with pytest.raises(SpecError, match="built for"):
        measure(measured.measure_spec({"accuracy": {}}), paths, data)
