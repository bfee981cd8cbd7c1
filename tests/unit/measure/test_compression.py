"""Performance under compression, against networks whose weights were replaced by hand."""

from pathlib import Path

import pytest
import torch
from measured import train_spec, write_data, write_model
from measured_text import drawn_pairs, text_subject, write_text
from torch.nn import functional
from torch.nn.utils import prune

from toporepro.compress import compact, parameter_count
from toporepro.compress.compact import DownSampled, down_sample
from toporepro.data.pairs import PreparedPairs
from toporepro.data.store import PreparedImages
from toporepro.measure import compression
from toporepro.measure.pair_scores import decide
from toporepro.measure.subject import Subject
from toporepro.measure.text_subject import TextSubject
from toporepro.sheet import sheet_shape
from toporepro.spec import SpecError

Found = dict[tuple[str, float], float]
METHODS = ("sheet", "sheet_size", "l1", "l1_global", "sheet_sorted", "knock_out")


def measured(subject: object, **options: object) -> Found:
    result = compression.measure(subject, compression.Options(**options))
    found = {(row.metric, row.sparsity): row.value for row in result.rows}
    assert len(found) == len(result.rows)
    return found


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> TextSubject:
    data = write_text(tmp_path_factory.mktemp("text"), pairs=drawn_pairs(20))
    folder = tmp_path_factory.mktemp("model")
    return text_subject(folder, data, stimuli={"text": PreparedPairs.open(data)})


@pytest.fixture(scope="module")
def found(subject: TextSubject) -> Found:
    return measured(subject, methods=METHODS, sparsities=(0.5,), stimuli=("text/pairs",))


def test_nothing_taken_away_is_the_network_itself(subject: TextSubject, found: Found) -> None:
    loss = subject.statistics(None, "float32").scores["loss"]
    decisions = decide(subject, subject.pairs("text/pairs"), "float32")
    for method in METHODS[:-1]:
        assert found[f"loss.{method}", 0] == pytest.approx(loss, rel=1e-6)
        assert found[f"pair_accuracy.{method}", 0] == decisions.accuracy
    for paradigm, share in decisions.by_paradigm().items():
        assert found[f"pair_accuracy.sheet.{paradigm}", 0] == share


def test_the_sheet_is_interpolated(subject: TextSubject, found: Found) -> None:
    own = {name: subject.module.get_submodule(name).weight.clone() for name in subject.layers}
    with torch.no_grad():
        for name, weight in own.items():
            image = weight.reshape(*sheet_shape(24), 16).permute(2, 0, 1)[None]
            small = functional.interpolate(image, scale_factor=0.5**0.5, mode="bilinear")
            whole = functional.interpolate(small, size=image.shape[2:], mode="bilinear")
            subject.module.get_submodule(name).weight.copy_(
                whole[0].permute(1, 2, 0).reshape(24, 16)
            )
        loss = subject.scores("validation", "float32")["loss"]
        accuracy = decide(subject, subject.pairs("text/pairs"), "float32").accuracy
        for name, weight in own.items():
            subject.module.get_submodule(name).weight.copy_(weight)
    assert found["loss.sheet", 0.5] == pytest.approx(loss, rel=1e-5)
    assert found["pair_accuracy.sheet", 0.5] == accuracy
    assert found["loss.sheet", 0.5] != pytest.approx(found["loss.sheet", 0], rel=1e-3)


def test_weights_are_pruned_by_torch(tmp_path: Path, subject: TextSubject, found: Found) -> None:
    data = subject.text.index
    other = text_subject(tmp_path, data)
    for name in other.layers:
        prune.l1_unstructured(other.module.get_submodule(name), "weight", amount=0.5)
    loss = other.scores("validation", "float32")["loss"]
    assert found["loss.l1", 0.5] == pytest.approx(loss, rel=1e-6)


def test_knocked_out_layers_say_nothing(tmp_path: Path, subject: TextSubject, found: Found) -> None:
    other = text_subject(tmp_path, subject.text.index)
    for name in other.layers:
        parent = name.rpartition(".")[0]
        torch.nn.init.zeros_(other.module.get_submodule(parent).c_proj.weight)
    loss = other.scores("validation", "float32")["loss"]
    assert found["loss.knock_out", 1] == pytest.approx(loss, rel=1e-6)
    assert ("loss.knock_out", 0) not in found


def test_sizes_are_those_of_the_network(tmp_path: Path, subject: TextSubject, found: Found) -> None:
    total = sum(parameter.numel() for parameter in subject.module.parameters())
    inputs, model = subject.inputs, subject.spec.model
    assert found["parameters.l1", 0] == total
    assert found["parameters.l1", 0.5] == total - 24 * 16
    assert found["parameters.knock_out", 1] == total - 2 * 24 * 16
    count = parameter_count("nanogpt", 0.5, options=model, inputs=inputs)
    assert found["parameters.sheet", 0.5] == count
    other = text_subject(tmp_path, subject.text.index)
    how = DownSampled(layers=other.layers, sparsity=0.5)
    path = tmp_path / "small.safetensors"
    compact.save(path, down_sample(other.module, how), other.metadata, how)
    assert found["bytes.sheet", 0.5] == path.stat().st_size


def test_the_network_is_left_as_it_was(subject: TextSubject, found: Found) -> None:
    again = measured(subject, methods=("sheet",), sparsities=(0.5,))
    assert again["loss.sheet", 0.5] == found["loss.sheet", 0.5]
    assert again["loss.sheet", 0] == found["loss.sheet", 0]


def test_fewer_windows_and_pairs(subject: TextSubject) -> None:
    few = measured(
        subject, methods=("sheet",), sparsities=(0.5,), stimuli=("text/pairs",), limit=2, most=1
    )
    loss = subject.scores("validation", "float32", 2)["loss"]
    assert few["loss.sheet", 0] == pytest.approx(loss, rel=1e-6)
    assert few["pair_accuracy.sheet", 0] in (0, 0.5, 1)


def test_networks_of_images_too(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", images=60)
    model, _ = write_model(tmp_path / "model", train_spec())
    images = PreparedImages.open(data)
    subject = Subject.load(model.weights, images, seed=0, final=True, device="cpu")
    found = measured(subject, sparsities=(0.5,))
    scores = subject.statistics(None, "float32").scores
    assert found["accuracy.sheet", 0] == scores["accuracy"]
    assert found["loss.l1", 0] == pytest.approx(scores["loss"], rel=1e-6)
    assert 0 <= found["accuracy.sheet", 0.5] <= 1
    with pytest.raises(SpecError, match="pairs are for language networks"):
        measured(subject, stimuli=("text/pairs",))


@pytest.mark.parametrize("options", [{"sparsities": (0.0,)}, {"limit": 0}, {"most": 0}])
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        compression.Options(**options)


def test_an_unknown_method_is_named(subject: TextSubject) -> None:
    with pytest.raises(SpecError, match="did you mean sheet"):
        measured(subject, methods=("sheets",))
