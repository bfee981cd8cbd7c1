"""How many parameters a compressed network has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toporepro.compress.methods import Method, remaining
from toporepro.models.family import family
from toporepro.models.inputs import AnyInputs, Inputs, TextInputs
from toporepro.spec import decode

if TYPE_CHECKING:
    from torch import nn


def parameter_count(
    architecture: str,
    sparsity: float,
    method: Method = "sheet",
    *,
    options: Mapping[str, Any] | None = None,
    inputs: AnyInputs | None = None,
) -> int:
    """Parameters of a network of ours, compressed; nothing is held in memory.

    Args:
        architecture: a module of ``toporepro.models``.
        sparsity: share of the topographic layers' units, or weights, that is taken away.
        method: see ``toporepro.compress.methods``.
        options: of the architecture; its defaults where left out.
        inputs: ``toporepro.models.inputs``; by default those of the paper's data.

    Raises:
        SpecError: on an architecture, options or sparsity that cannot be.
    """
    import torch

    plugin = family(architecture)
    chosen = decode(plugin.Options, dict(options or {}))
    with torch.device("meta"):
        network = plugin.build(chosen, inputs or _paper_inputs(plugin.TASK, chosen))
    return count(network, plugin.layers(chosen), sparsity, method)


def count(network: nn.Module, layers: Mapping[str, int], sparsity: float, method: str) -> int:
    """Parameters of a network, tied ones once, less what compression takes from its layers."""
    total = sum(parameter.numel() for parameter in network.parameters())
    for name, units in layers.items():
        weights = _numel(network.get_submodule(name))
        total -= weights - remaining(units, weights // units, method, sparsity)
    return total


def _numel(layer: nn.Module) -> int:
    from torch import Tensor

    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.numel()


def _paper_inputs(task: str, options: Any) -> AnyInputs:
    if task == "language":
        return TextInputs(vocabulary=50257, context=options.context)
    return Inputs(channels=3, height=224, width=224, classes=1000)
