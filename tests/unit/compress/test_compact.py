"""A down-sampled network on disk: small, and doing exactly what up-sampled weights do."""

from pathlib import Path

import pytest
import torch
from tiny_networks import GPT, GPT_INPUTS, RESNET, RESNET_INPUTS, network, spec
from torch import nn

from toporepro.compress import compact
from toporepro.compress.compact import DownSampled, Interpolated, down_sample
from toporepro.compress.layers import replaced, vectors_of
from toporepro.compress.methods import compressed
from toporepro.models import save
from toporepro.models.checkpoint import CheckpointError, read_metadata
from toporepro.spec import TrainSpec


@pytest.mark.parametrize(
    ("made", "inputs", "shown"),
    [
        (GPT, GPT_INPUTS, torch.arange(24).reshape(3, 8)),
        (RESNET, RESNET_INPUTS, torch.linspace(-1, 1, 2 * 768).reshape(2, 3, 16, 16)),
    ],
    ids=["gpt", "resnet"],
)
@pytest.mark.parametrize("by", ["factor", "size"])
def test_small_on_disk_and_the_same_outputs(
    tmp_path: Path, made: TrainSpec, inputs: object, shown: torch.Tensor, by: str
) -> None:
    module, layers = network(made, inputs)
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    save(whole, module, made, inputs, 7)
    method = "sheet" if by == "factor" else "sheet_size"
    with torch.no_grad(), replaced(module, compressed(vectors_of(module, layers), method, 0.8)):
        expected = module(shown)
    how = DownSampled(layers=layers, sparsity=0.8, by=by)
    compact.save(small, down_sample(module, how), read_metadata(whole), how)
    with torch.no_grad():
        assert torch.equal(compact.load(small)(shown), expected)
    gone = weights(module, layers) - weights(compact.load(small), layers, "original")
    assert whole.stat().st_size - small.stat().st_size == pytest.approx(4 * gone, abs=4000)
    assert read_metadata(small) == read_metadata(whole)


def weights(module: nn.Module, layers: dict[str, int], stored: str = "") -> int:
    """Numbers that the layers' weights are made of."""
    total = 0
    for name in layers:
        layer = module.get_submodule(name)
        total += (layer.parametrizations.weight.original if stored else layer.weight).numel()
    return total


@pytest.mark.parametrize("bias", [False, True])
def test_interpolated_answers_are_those_of_interpolated_weights(bias: bool) -> None:
    module, layers = network(spec("nanogpt", **GPT.model, bias=bias), GPT_INPUTS)
    down_sample(module, DownSampled(layers=layers, sparsity=0.8))
    layer = module.get_submodule(next(iter(layers)))
    if bias:
        torch.nn.init.normal_(layer.bias)
    shown = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Interpolated(layer)(shown), layer(shown), rtol=1e-5, atol=1e-6)


def test_a_checkpoint_that_is_not_down_sampled(tmp_path: Path) -> None:
    module, _ = network(GPT, GPT_INPUTS)
    path = tmp_path / "whole.safetensors"
    save(path, module, GPT, GPT_INPUTS, 7)
    with pytest.raises(CheckpointError, match="not of a down-sampled network"):
        compact.load(path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    other = spec("nanogpt", **{**GPT.model, "mlp": 48})
    module, layers = network(other, GPT_INPUTS)
    path = tmp_path / "small.safetensors"
    how = DownSampled(layers=layers, sparsity=0.5)
    save(tmp_path / "whole.safetensors", module, GPT, GPT_INPUTS, 7)
    metadata = read_metadata(tmp_path / "whole.safetensors")
    compact.save(path, down_sample(module, how), metadata, how)
    with pytest.raises(CheckpointError, match=r"small\.safetensors: .*48 units is no layer"):
        compact.load(path)
