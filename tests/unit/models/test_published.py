"""Published files become checkpoints of ours: same logits, and nothing in them is executed."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import published_files as files
import pytest
import safetensors.torch
import torch
from torch import nn

from toporepro import models
from toporepro.models.checkpoint import CheckpointError
from toporepro.models.family import build
from toporepro.models.inputs import Inputs
from toporepro.models.published import fitted, network
from toporepro.models.torch_files import Hollow, read_weights
from toporepro.paths import ModelPaths
from toporepro.spec import NOT_TRAINED, CheckpointSpec, DataSpec, TopoSpec, TrainSpec
from toporepro.train.convert import convert, convert_file

CLASSES = 12


def spec_of(
    architecture: str, *, model: dict[str, Any] | None = None, **checkpoint: Any
) -> TrainSpec:
    known = {"classes": CLASSES, "height": 32, "width": 32, **checkpoint}
    return TrainSpec(
        architecture=architecture,
        model=model or {},
        data=DataSpec(source="digits"),
        topo=TopoSpec(tau=1, phi=3),
        recipe=NOT_TRAINED,
        seed=0,
        checkpoint=CheckpointSpec(file="there.pt", **known),
    )


def converted(spec: TrainSpec, content: object, folder: Path) -> nn.Module:
    torch.save(content, folder / "there.pt")
    convert_file(spec, folder / "there.pt", folder / "ours.safetensors")
    return models.load(folder / "ours.safetensors")


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_a_plain_state_dict_with_blurpool_gives_the_same_logits(
    architecture: str, tmp_path: Path
) -> None:
    theirs = files.source(architecture, CLASSES, blurpool=True)
    ours = converted(spec_of(architecture), theirs.state_dict(), tmp_path)
    images = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_a_vit_pickled_with_its_training_gives_the_same_logits(tmp_path: Path) -> None:
    theirs = files.source("vit_b_32", CLASSES, blurpool=False)
    spec = spec_of("vit_b_32", height=224, width=224)
    ours = converted(spec, files.training_file(theirs), tmp_path)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_torchvisions_own_file_without_blurpool(tmp_path: Path) -> None:
    theirs = files.source("resnet18", CLASSES, blurpool=False)
    spec = spec_of("resnet18", model={"blurpool": False})
    ours = converted(spec, theirs.state_dict(), tmp_path)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_the_checkpoint_knows_where_it_is_from(tmp_path: Path) -> None:
    spec = spec_of("resnet18", steps=110_000)
    converted(spec, files.source("resnet18", CLASSES, True).state_dict(), tmp_path)
    found = models.read_metadata(tmp_path / "ours.safetensors")
    assert (found.spec, found.step) == (spec, 110_000)
    assert (found.inputs.height, found.inputs.classes) == (32, CLASSES)


def test_an_untrained_network_is_what_its_training_would_start_from(tmp_path: Path) -> None:
    spec = replace(
        spec_of("resnet18"),
        checkpoint=CheckpointSpec(untrained=True, classes=CLASSES, height=32, width=32),
    )
    for place in ("one", "another"):
        convert(spec, tmp_path, tmp_path / "lock.json", ModelPaths(tmp_path / place))
    one, another = (ModelPaths(tmp_path / place).weights for place in ("one", "another"))
    assert one.read_bytes() == another.read_bytes()
    assert models.read_metadata(one).step == 0
    start = build(spec, Inputs(channels=3, height=32, width=32, classes=CLASSES))
    for name, tensor in models.load(one).state_dict().items():
        torch.testing.assert_close(tensor, start.state_dict()[name], rtol=0, atol=0)
    assert not (tmp_path / "lock.json").exists()
    with pytest.raises(CheckpointError, match="an untrained network has no file"):
        convert_file(spec, tmp_path / "there.pt", tmp_path / "ours.safetensors")


TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        collections.OrderedDict(TENSORS),
        {"model": TENSORS, "epoch": 3},
        {f"module.{name}": tensor for name, tensor in TENSORS.items()},
        {"model": {f"_orig_mod.module.{name}": tensor for name, tensor in TENSORS.items()}},
        {name: nn.Parameter(tensor) for name, tensor in TENSORS.items()},
    ],
    ids=["plain", "ordered", "model", "module.", "_orig_mod.", "parameters"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_reading(content: object, legacy: bool, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "f.pt", _use_new_zipfile_serialization=not legacy)
    found = read_weights(tmp_path / "f.pt")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())


def test_reading_safetensors(tmp_path: Path) -> None:
    safetensors.torch.save_file(TENSORS, tmp_path / "f.safetensors")
    assert read_weights(tmp_path / "f.safetensors").keys() == TENSORS.keys()


def test_an_entry_can_be_named(tmp_path: Path) -> None:
    torch.save({"model": {}, "model_ema": TENSORS, "epoch": 1}, tmp_path / "f.pt")
    assert read_weights(tmp_path / "f.pt", "model_ema").keys() == TENSORS.keys()
    with pytest.raises(CheckpointError, match=r"no entry 'ema'.*'model_ema' \(a state dict\)"):
        read_weights(tmp_path / "f.pt", "ema")
    with pytest.raises(CheckpointError, match=r"no state dict under 'epoch'"):
        read_weights(tmp_path / "f.pt", "epoch")


class Attack:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_a_call_of_the_system_is_refused(legacy: bool, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    content = {"model": TENSORS, "args": Attack(os.system, f"touch {mark}")}
    torch.save(content, tmp_path / "f.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"posix\.system.*not loaded|cannot be read safely"):
        read_weights(tmp_path / "f.pt")
    assert not mark.exists()


def test_no_other_call_in_a_file_happens(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    attacks = [
        Attack(eval, f"open({str(mark)!r}, 'w')"),
        Attack(open, str(mark), "w"),
        Attack(getattr, Attack(__import__, "os"), "system"),
        Attack(Path.touch, mark),
    ]
    for number, attack in enumerate(attacks):
        torch.save({"model": TENSORS, "args": attack}, tmp_path / f"{number}.pt")
        with contextlib.suppress(CheckpointError):  # calls of what a call gave are refused
            read_weights(tmp_path / f"{number}.pt")
    assert not mark.exists()
    assert read_weights(tmp_path / "0.pt").keys() == TENSORS.keys()
    with pytest.raises(CheckpointError, match=r"3\.pt: cannot be read safely") as caught:
        read_weights(tmp_path / "3.pt")
    assert "weights_only" not in str(caught.value)


def test_a_hollow_tensor_is_no_weight(tmp_path: Path) -> None:
    torch.save({"a": TENSORS["a.bias"], "b": Attack(eval, "1")}, tmp_path / "f.pt")
    with pytest.raises(CheckpointError, match="no state dict; the file holds 'a', 'b'"):
        read_weights(tmp_path / "f.pt")
    assert vars(Hollow(1, x=2)) == {}


@pytest.mark.parametrize(
    "content", [b"", b"PK nothing", b"\x80\x04garbage", pickle.dumps({"a": 1})]
)
def test_files_that_are_no_checkpoints(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"f\.pt: (cannot be read safely|no state dict)"):
        read_weights(tmp_path / "f.pt")
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "absent.pt")


def test_another_architecture_is_told_by_names_and_shapes(tmp_path: Path) -> None:
    torch.save(files.source("resnet18", 5, True).state_dict(), tmp_path / "f.pt")
    with pytest.raises(CheckpointError) as caught:
        network(spec_of("resnet50"), tmp_path / "f.pt")
    message = str(caught.value)
    assert "as resnet50: another network's weights" in message
    assert "missing: layer1.0.conv3.weight" in message
    with pytest.raises(CheckpointError) as caught:
        network(spec_of("resnet18"), tmp_path / "f.pt")
    assert "2 of another shape: fc.weight is (5, 512) and not (12, 512)" in str(caught.value)
    with pytest.raises(
        CheckpointError, match=r"not of this network: layer2\.0\.conv1\.blur_filter"
    ):
        network(spec_of("resnet18", model={"blurpool": False}, classes=5), tmp_path / "f.pt")


def test_half_precision_and_missing_counts_are_brought_up_to_date(tmp_path: Path) -> None:
    theirs = files.source("resnet18", CLASSES, True)
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in theirs.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    ours = converted(spec_of("resnet18"), state, tmp_path)
    assert ours.get_parameter("fc.weight").dtype == torch.float32
    assert torch.equal(ours.get_parameter("fc.weight"), state["fc.weight"].float())


def test_older_names_of_a_transformer() -> None:
    module = nn.Module()
    module.mlp = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Dropout(0), nn.Linear(3, 2))
    outer = nn.ModuleDict({"encoder": module})
    old = {
        name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): tensor
        for name, tensor in outer.state_dict().items()
    }
    assert "encoder.mlp.linear_2.bias" in old
    found = fitted(outer, old, "f")
    assert found.keys() == outer.state_dict().keys()
