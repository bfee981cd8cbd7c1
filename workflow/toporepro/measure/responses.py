"""Responses of topographic layers to stimuli, in batches, by forward hooks.

The response of a unit is the output of its layer itself: of a convolution before batch
normalisation and before the rectifier (as the authors' hooks take it), averaged over positions; of
a linear layer, averaged over tokens where there are several (patches of an image), or, of text,
token by token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toporepro.measure.precision import Precision


class ResponseError(RuntimeError):
    """Responses that cannot be measured; the message names the layer."""


def stream(
    module: nn.Module,
    layers: Sequence[str],
    batches: Iterable[Tensor],
    precision: Precision,
    reduce: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Run a network over batches of inputs and yield each batch's responses and outputs.

    Args:
        module: the network, in evaluation mode, on the inputs' device.
        layers: names of its layers.
        batches: inputs, one batch after the other.
        precision: of the forward pass; ``bfloat16`` is autocast. Averages over positions and all
            that is yielded are float32.
        reduce: what becomes of a layer and its output; left out, :func:`per_unit`.

    Yields:
        Responses by layer, each (stimuli, units), and the network's outputs.

    Raises:
        ResponseError: if a layer took no part, or answers with values that are not finite.
    """
    with _recording(module, layers, reduce or per_unit) as found:
        for inputs in batches:
            found.clear()
            kind, mixed = inputs.device.type, precision == "bfloat16"
            with (
                torch.inference_mode(),
                torch.autocast(kind, torch.bfloat16, enabled=mixed),
                _exact_float32(),
            ):
                outputs = module(inputs)
            for layer in layers:
                if layer not in found:
                    raise ResponseError(f"layer {layer!r} takes no part in the forward pass")
                if not torch.isfinite(found[layer]).all():
                    raise ResponseError(f"layer {layer!r}: responses that are not finite")
            yield dict(found), outputs.float()


@contextlib.contextmanager
def _recording(
    module: nn.Module, layers: Sequence[str], reduce: Callable[[nn.Module, Tensor], Tensor]
) -> Iterator[dict[str, Tensor]]:
    found: dict[str, Tensor] = {}

    def hook(name: str) -> Any:
        def record(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            found[name] = reduce(layer, output)

        return record

    with contextlib.ExitStack() as stack:
        for name in layers:
            handle = module.get_submodule(name).register_forward_hook(hook(name))
            stack.callback(handle.remove)
        yield found


def per_unit(layer: nn.Module, output: Tensor) -> Tensor:
    """A layer's output as (stimuli, units), float32: averaged over positions or tokens."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return output.flatten(start_dim=2).mean(dim=2, dtype=torch.float32)
    if output.ndim > 2:
        return output.flatten(start_dim=1, end_dim=-2).mean(dim=1, dtype=torch.float32)
    return output.to(torch.float32, copy=True)  # a rectifier that follows may work in place


def per_token(layer: nn.Module, output: Tensor) -> Tensor:
    """A linear layer's output as it is, (stimuli, tokens, units), float32."""
    return output.to(torch.float32, copy=True)


@contextlib.contextmanager
def _exact_float32() -> Iterator[None]:
    """Convolutions on a GPU otherwise round float32 inputs to ten bits (TF32)."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
