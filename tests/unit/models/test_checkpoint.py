"""Checkpoints: what is loaded is what was saved, bytes are equal, damage is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from toporepro import models
from toporepro.models import Inputs, checkpoint
from toporepro.models.checkpoint import CheckpointError
from toporepro.models.family import build, layers
from toporepro.spec import DataSpec, Recipe, SpecError, TopoSpec, TrainSpec, encode

INPUTS = Inputs(channels=3, height=8, width=8, classes=4)


def spec_of(architecture: str = "mlp", **options: object) -> TrainSpec:
    return TrainSpec(
        architecture=architecture,
        model=options,
        data=DataSpec(source="digits"),
        topo=TopoSpec(tau=1.5, phi=2),
        recipe=Recipe(optimizer="sgd", lr=0.1, batch=4, epochs=1),
        seed=3,
    )


def equal_states(left: nn.Module, right: nn.Module) -> bool:
    a, b = left.state_dict(), right.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "spec", [spec_of(hidden=12), spec_of("resnet18", width=0.0625, stem="small")], ids=["mlp", "rn"]
)
def test_round_trip(tmp_path: Path, spec: TrainSpec) -> None:
    network = build(spec, INPUTS)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.add_(1)
    path = tmp_path / "deep" / "weights.safetensors"
    models.save(path, network, spec, INPUTS, 17)
    loaded = models.load(path)
    assert equal_states(network, loaded)
    assert not loaded.training
    metadata = models.read_metadata(path)
    assert (metadata.spec, metadata.inputs, metadata.step) == (spec, INPUTS, 17)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_any_reader_of_safetensors_reads_it(tmp_path: Path) -> None:
    network, path = build(spec_of(), INPUTS), tmp_path / "w.safetensors"
    models.save(path, network, spec_of(), INPUTS, 1)
    weights = safetensors.torch.load_file(path)
    assert torch.equal(weights["fc1.weight"], network.state_dict()["fc1.weight"])
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {
            "spec": encode(spec_of()),
            "inputs": '{"channels":3,"classes":4,"height":8,"width":8}',
            "step": "1",
        }


def test_bytes_are_the_same_each_time_and_in_any_memory_format() -> None:
    spec = spec_of("resnet18", width=0.0625)
    network = build(spec, INPUTS)
    copies = {checkpoint.dump(network, spec, INPUTS, 5) for _ in range(8)}
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    copies.add(checkpoint.dump(network, spec, INPUTS, 5))
    assert len(copies) == 1


def test_tied_tensors_are_stored_once_and_come_back_tied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tied(spec: TrainSpec, inputs: Inputs) -> nn.Module:
        network = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        network[1].weight = network[0].weight
        return network

    monkeypatch.setattr(checkpoint, "build", tied)
    network, path = tied(spec_of(), INPUTS), tmp_path / "w.safetensors"
    models.save(path, network, spec_of(), INPUTS, 0)
    assert list(safetensors.torch.load_file(path)) == ["0.weight"]
    loaded = models.load(path)
    assert torch.equal(loaded.state_dict()["1.weight"], network.state_dict()["0.weight"])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    models.save(path, build(spec_of(), INPUTS), spec_of(), INPUTS, 1)
    return path


def rewrite(path: Path, **changes: torch.Tensor | None) -> None:
    """Change tensors of a checkpoint, keeping its metadata."""
    weights = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    for key, value in changes.items():
        name = key.replace("_", ".")
        weights.pop(name, None)
        if value is not None:
            weights[name] = value
    safetensors.torch.save_file(weights, path, metadata)


def test_wrong_tensors_are_named(saved: Path) -> None:
    rewrite(saved, fc1_weight=torch.zeros(2, 2), fc2_weight=None, fc3_weight=torch.zeros(1))
    with pytest.raises(CheckpointError) as caught:
        models.load(saved)
    message = str(caught.value)
    assert str(saved) in message
    assert "fc2.weight is missing" in message
    assert "fc3.weight is not a tensor of this network" in message
    assert "fc1.weight is float32 (2, 2), float32 (256, 192) is needed" in message


def test_another_precision_is_an_error(saved: Path) -> None:
    rewrite(saved, fc1_weight=torch.zeros(256, 192, dtype=torch.bfloat16))
    with pytest.raises(CheckpointError, match=r"fc1\.weight is bfloat16"):
        models.load(saved)


def test_files_that_are_no_checkpoints(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        models.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        models.load(tmp_path / "text.safetensors")
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        models.load(saved)
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="lacks inputs, spec, step; not one of ours"):
        models.read_metadata(tmp_path / "foreign.safetensors")


def test_metadata_that_no_longer_holds(tmp_path: Path) -> None:
    def write(spec: str) -> Path:
        path = tmp_path / "w.safetensors"
        metadata = {"spec": spec, "inputs": encode(INPUTS), "step": "1"}
        safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata)
        return path

    spec = json.loads(encode(spec_of()))
    with pytest.raises(CheckpointError, match="unknown key"):
        models.load(write(json.dumps({**spec, "colour": 1})))
    with pytest.raises(CheckpointError, match="did you mean mlp"):
        models.load(write(json.dumps({**spec, "architecture": "mlpp"})))
    with pytest.raises(CheckpointError, match="hidden=0"):
        models.load(write(json.dumps({**spec, "model": {"hidden": 0}})))


def test_building_is_pure_and_shared_by_all_tau() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = build(spec_of(), INPUTS), build(spec_of(), INPUTS)
    assert torch.equal(before, torch.get_rng_state())
    assert equal_states(first, second)


def test_options_are_checked_strictly() -> None:
    with pytest.raises(SpecError, match=r"hiden: unknown key; did you mean hidden"):
        build(spec_of(hiden=3), INPUTS)
    with pytest.raises(SpecError, match="did you mean resnet18"):
        layers(spec_of("resnet81"))


def test_reading_options_loads_no_heavy_library() -> None:
    code = (
        "import sys; from toporepro.models import resnet18, mlp;"
        "resnet18.layers(resnet18.Options());"
        "print(sorted({'torch', 'torchvision', 'safetensors'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_mlp_loads_no_torchvision(saved: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; from toporepro import models;"
        f"models.load(Path({str(saved)!r})); print('torchvision' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        models.nothing  # noqa: B018
