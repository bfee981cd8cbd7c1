"""Any classifier of torchvision's, by its name there: for measuring a checkpoint of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError, nearest

if TYPE_CHECKING:
    from torch import nn

TASK = "classification"
_BLUR_FROM = 16  # as in ffcv-imagenet


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``external``.

    Attributes:
        network: name of a function in ``torchvision.models``, such as ``resnet34``.
        layers: convolutions or linear layers to measure, by name → number of output units.
        blurpool: blur before every convolution with stride above 1 and at least 16 inputs.
    """

    network: str
    layers: Mapping[str, int]
    blurpool: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise SpecError("layers: at least one layer to measure is needed")
        for name, units in self.layers.items():
            if units < 1:
                raise SpecError(f"layers.{name}={units}: its number of output units is needed")


def layers(options: Options) -> dict[str, int]:
    """Measured layers and their numbers of units."""
    return dict(options.layers)


def build(options: Options, inputs: Inputs) -> nn.Module:
    """The untrained network; takes images N×3×H×W, gives logits N×classes.

    Raises:
        SpecError: if torchvision has no such network, or the network no such layers.
    """
    from toporepro.models.blurpool import add_blurpool
    from toporepro.models.vision import import_torchvision

    import_torchvision()
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if options.network not in known:
        raise SpecError(f"network={options.network!r}: {nearest(options.network, known)}")
    if inputs.channels != 3:
        raise SpecError(f"network={options.network!r}: takes 3 channels, not {inputs.channels}")
    network: nn.Module = torchvision.models.get_model(
        options.network, weights=None, num_classes=inputs.classes
    )
    if options.blurpool:
        add_blurpool(network, _BLUR_FROM)
    _check_layers(options, network)
    return network


def _check_layers(options: Options, network: nn.Module) -> None:
    from torch import nn

    units = {
        name: module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    for name, count in options.layers.items():
        if name not in units:
            raise SpecError(f"layers: {options.network} has no {name!r}; {nearest(name, units)}")
        if units[name] != count:
            raise SpecError(
                f"layers.{name}={count}: {options.network} has {units[name]} units there"
            )
