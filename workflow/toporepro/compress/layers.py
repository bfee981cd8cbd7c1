"""Weights of topographic layers as vectors of units: read, replaced, and put back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from toporepro.topoloss.layers import unit_weights

Vectors = Mapping[str, Tensor]


def vectors_of(module: nn.Module, layers: Mapping[str, int]) -> dict[str, Tensor]:
    """Copies of the layers' weights, (units, incoming)."""
    return {
        name: unit_weights(module.get_submodule(name)).detach().clone().contiguous()
        for name in layers
    }


@contextlib.contextmanager
def replaced(module: nn.Module, vectors: Vectors) -> Iterator[None]:
    """The network with other weights in some layers; its own are back afterwards, bit for bit.

    Biases and all other parameters stay as they are.

    Args:
        vectors: layer → (units, incoming).
    """
    own = vectors_of(module, dict.fromkeys(vectors, 0))
    try:
        _insert(module, vectors)
        yield
    finally:
        _insert(module, own)


def _insert(module: nn.Module, vectors: Vectors) -> None:
    with torch.no_grad():
        for name, values in vectors.items():
            weights = unit_weights(module.get_submodule(name))
            weights.copy_(values.reshape(weights.shape).to(weights))
