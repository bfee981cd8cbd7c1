"""The topographic loss of a whole model."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal, Self, overload

import torch
from torch import Tensor, nn

from . import layers
from .errors import TopoLossError
from .foreach import UnitWeights, sheet_losses
from .pyramid import (
    LaplacianPyramid,
    LaplacianPyramidOnBias,
    LaplacianPyramidOnInput,
    PyramidLoss,
)

_KINDS: dict[str, type[PyramidLoss]] = {
    kind.__name__: kind
    for kind in (LaplacianPyramid, LaplacianPyramidOnBias, LaplacianPyramidOnInput)
}


class TopoLoss:
    """Topographic losses on the layers of a model, to be added to its task loss.

    Code written for the package ``topoloss`` 0.0.2 runs with it. What differs:

    - Two losses on one layer both count; there the later replaces the earlier. In dictionaries the
      second is called ``"fc#2"``.
    - Factors are checked against the sheet; there against the wrong axis.
    - A unit of length zero receives no gradient; there one of order 1e8.
    - Conv1d, Conv3d and transformers' Conv1D are layers too, and any weight can be named.
    - The result can be differentiated once only.

    Args:
        losses: at least one.
        strict_layer_type: refuse layers other than Linear, Conv1d, Conv2d, Conv3d and
            transformers' Conv1D, unless the loss names the weight itself.

    Raises:
        TopoLossError: ``losses`` is empty.

    Source: Deb, Deb & Ratan Murty (ICLR 2025), section 3.1, equation 2: the total loss is the task
    loss plus the mean over layers of τ·L.
    """

    def __init__(self, losses: list[PyramidLoss], strict_layer_type: bool = True) -> None:
        if not losses:
            raise TopoLossError("TopoLoss needs at least one loss")
        self.losses = losses
        self.strict_layer_type = strict_layer_type

    def get_layerwise_topo_losses(
        self, model: nn.Module, do_scaling: bool = True
    ) -> dict[str, Tensor]:
        """The loss of each layer by name, scalars, in the order of ``losses``.

        With ``do_scaling`` each is multiplied by its ``scale``, and those with ``scale=None`` are
        left out; without, all are there, unscaled.

        Raises:
            TopoLossError: a layer, weight or bias does not exist, its type or sheet is not
                allowed, or its weights hold NaN or infinity.
        """
        keys, values = self._values(model, do_scaling)
        return dict(zip(keys, values, strict=True))

    @overload
    def compute(
        self, model: nn.Module, reduce_mean: Literal[True] = True, do_scaling: bool = True
    ) -> Tensor: ...

    @overload
    def compute(
        self, model: nn.Module, reduce_mean: Literal[False], do_scaling: bool = True
    ) -> dict[str, Tensor]: ...

    def compute(
        self, model: nn.Module, reduce_mean: bool = True, do_scaling: bool = True
    ) -> Tensor | dict[str, Tensor]:
        """Mean of the scaled losses, a scalar to add to the task loss.

        Losses with ``scale=None`` enter neither the sum nor the number of layers; if there are no
        others, the result is a zero without gradient.

        Args:
            reduce_mean: if false, return the dictionary of :meth:`get_layerwise_topo_losses`.
            do_scaling: if false, the unscaled losses of all layers.

        Raises:
            TopoLossError: as :meth:`get_layerwise_topo_losses`.
        """
        if not reduce_mean:
            return self.get_layerwise_topo_losses(model, do_scaling)
        keys, values = self._values(model, do_scaling)
        if not keys:
            return next(model.parameters()).new_zeros(())
        return values.sum() / len(keys)

    def get_wandb_logging_dict(self, model: nn.Module) -> dict[str, float]:
        """All unscaled losses as floats, and their mean as ``"mean"``."""
        with torch.no_grad():
            values = self.get_layerwise_topo_losses(model, do_scaling=False)
        numbers = {key: value.item() for key, value in values.items()}
        return numbers | {"mean": sum(numbers.values()) / len(numbers)}

    def check_layer_type(self, layer: nn.Module) -> None:
        """Raise TopoLossError unless the layer is of a type that ``strict_layer_type`` allows."""
        layers.check_layer_type(layer, type(layer).__name__)

    def save_json(self, filename: str | Path) -> None:
        """Write the losses, in the published package's format (a list of their fields)."""
        data = [asdict(loss) | {"name": type(loss).__name__} for loss in self.losses]
        Path(filename).write_text(json.dumps(data, indent=4) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, filename: str | Path, strict_layer_type: bool = True) -> Self:
        """Read what :meth:`save_json` or the published package wrote.

        Raises:
            TopoLossError: the file is not such a list, or has fields that no loss has.
        """
        data = json.loads(Path(filename).read_text(encoding="utf-8"))
        losses = []
        for entry in data if isinstance(data, list) else [data]:
            try:
                fields = dict(entry)
                losses.append(_KINDS[fields.pop("name")](**fields))
            except (KeyError, TypeError, ValueError) as error:
                raise TopoLossError(
                    f"{filename}: {entry!r} is not a loss ({error}); allowed names: "
                    f"{', '.join(_KINDS)}"
                ) from error
        return cls(losses, strict_layer_type=strict_layer_type)

    def _values(self, model: nn.Module, do_scaling: bool) -> tuple[list[str], Tensor]:
        """Names of the layers that count and their losses, as one vector."""
        keys: list[str] = []
        entries: list[UnitWeights | Tensor] = []
        tensors: list[Tensor] = []
        scales: list[float] = []
        for loss in self.losses:
            if do_scaling and loss.scale is None:
                continue
            layer = layers.find_layer(model, loss.layer_name)
            if self.strict_layer_type and loss.custom_weight_attribute_name is None:
                layers.check_layer_type(layer, loss.layer_name)
            keys.append(_key(loss.layer_name, keys))
            entries.append(loss.entry(layer))
            tensors.append(loss.tensor(layer))
            scales.append(loss.scale if do_scaling and loss.scale is not None else 1.0)
        if not keys:
            return keys, torch.empty(0)
        values = sheet_losses(entries)
        _check_finite(keys, values, tensors)
        if len(set(scales)) == 1:
            return keys, values * scales[0]
        scaled = [value * scale for value, scale in zip(values.unbind(), scales, strict=True)]
        return keys, torch.stack(scaled)


def _key(name: str, taken: list[str]) -> str:
    key, count = name, 1
    while key in taken:
        count += 1
        key = f"{name}#{count}"
    return key


def _check_finite(keys: list[str], values: Tensor, tensors: list[Tensor]) -> None:
    if torch.compiler.is_compiling() or _is_capturing():
        return
    # One transfer for all layers: each would wait for the device.
    for key, tensor, good in zip(keys, tensors, values.isfinite().tolist(), strict=True):
        if not good:
            bad = layers.count_not_finite(tensor)
            raise TopoLossError(
                f"the topographic loss of layer {key!r} is not finite: {bad} of the "
                f"{tensor.numel()} weights (shape {tuple(tensor.shape)}) are NaN or infinite"
            )


def _is_capturing() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
