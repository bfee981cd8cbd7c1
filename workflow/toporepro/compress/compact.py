"""A down-sampled network as small as it really is, on disk and in memory.

Each compressed layer keeps its (kept, …) weights and interpolates the (units, …) ones when they are
read, as a parametrisation of torch's: the layer itself, its hooks and its bias stay as they are.
The file is a checkpoint of ours, whose metadata also say what was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from toporepro.compress.sampling import By, Sampling, sampling
from toporepro.models.checkpoint import CheckpointError, Metadata, dump, insert, read_metadata
from toporepro.models.family import build, layers
from toporepro.provenance import atomic
from toporepro.spec import SpecError, decode, encode

_KEY = "down_sampled"


@dataclass(frozen=True, kw_only=True)
class DownSampled:
    """What was done to a network.

    Attributes:
        layers: compressed layers and their numbers of units.
        sparsity: share of the units that was taken away, about.
        by: see ``toporepro.compress.sampling.sampling``.
    """

    layers: Mapping[str, int]
    sparsity: float
    by: By = "factor"


class _Expanded(nn.Module):
    """Weights interpolated from small ones; its inverse makes small ones from whole ones."""

    def __init__(self, shape: torch.Size, operators: Sampling) -> None:
        super().__init__()
        self.shape, self.operators = shape, operators

    def forward(self, small: Tensor) -> Tensor:
        return self.operators.expand(small.flatten(1)).reshape(self.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return self.operators.shrink(weight.flatten(1)).reshape(-1, *self.shape[1:])


def down_sample(module: nn.Module, how: DownSampled) -> nn.Module:
    """Shrink layers of a network, in place; it then computes what up-sampled weights would.

    Weights are those of Linear and convolutional layers: units along the first axis.

    Raises:
        SpecError: if the sparsity leaves nothing of a sheet.
    """
    for name, units in how.layers.items():
        layer = module.get_submodule(name)
        assert isinstance(layer.weight, Tensor)
        expanded = _Expanded(layer.weight.shape, sampling(units, how.sparsity, how.by))
        parametrize.register_parametrization(layer, "weight", expanded)
    return module


def save(path: Path, module: nn.Module, metadata: Metadata, how: DownSampled) -> None:
    """Write a network that :func:`down_sample` shrank, atomically.

    Args:
        metadata: of the whole network's checkpoint.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(dumped(module, metadata, how))


def dumped(module: nn.Module, metadata: Metadata, how: DownSampled) -> bytes:
    """The bytes of that file."""
    extra = {_KEY: encode(how)}
    return dump(module, metadata.spec, metadata.inputs, metadata.step, extra)


def load(path: Path) -> nn.Module:
    """The network of such a file, still small, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: if the file is missing or damaged, or not of a down-sampled network.
    """
    metadata = read_metadata(path)
    with safetensors.safe_open(path, framework="pt") as file:
        found = (file.metadata() or {}).get(_KEY)
    if found is None:
        raise CheckpointError(f"{path}: not of a down-sampled network")
    try:
        how = decode(DownSampled, found)
        known = layers(metadata.spec)
        for name, units in how.layers.items():
            if known.get(name) != units:
                raise SpecError(f"{name!r} with {units} units is no layer of the network")
        module = down_sample(build(metadata.spec, metadata.inputs), how)
    except SpecError as error:
        raise CheckpointError(f"{path}: {error}") from None
    with torch.no_grad():
        insert(module, safetensors.torch.load_file(path), str(path))
    return module.eval()


class Interpolated(nn.Module):
    """A down-sampled linear layer that computes the kept units and interpolates their answers.

    Fewer products than the up-sampled layer takes; equal but for rounding.
    """

    def __init__(self, layer: nn.Linear) -> None:
        """``layer``: one that :func:`down_sample` shrank."""
        super().__init__()
        parametrised: Any = layer.parametrizations
        of_weight = parametrised.weight
        operators: Sampling = of_weight[0].operators
        self.shape = operators.small
        self.small = of_weight.original
        self.bias = layer.bias
        self.up_h: Tensor
        self.up_w: Tensor
        self.register_buffer("up_h", operators.up_h.to(self.small))
        self.register_buffer("up_w", operators.up_w.to(self.small))

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, incoming) → (…, units)."""
        kept = functional.linear(inputs, self.small)
        kept = kept.reshape(*inputs.shape[:-1], *self.shape)
        answers: Tensor = (self.up_h @ (kept @ self.up_w.T)).flatten(-2)
        return answers if self.bias is None else answers + self.bias
