"""The multi-layer perceptron of the authors' demonstration: 784–256–10, without biases."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import nn

TASK = "classification"
FIXED_SIZE = True  # one weight per pixel


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``mlp``.

    Attributes:
        hidden: units of the hidden layer ``fc1``, laid out on the cortical sheet.
    """

    hidden: int = 256

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise SpecError(f"hidden={self.hidden}: at least 1")


def layers(options: Options) -> dict[str, int]:
    """Topographic layers and their numbers of units."""
    return {"fc1": options.hidden}


def flops(options: Options, inputs: Inputs) -> int:
    """Operations of a forward pass of one image; a multiply-add is two."""
    pixels = inputs.channels * inputs.height * inputs.width
    return 2 * options.hidden * (pixels + inputs.classes)


def build(options: Options, inputs: Inputs) -> nn.Module:
    """The untrained network; takes images N×C×H×W, gives logits N×classes."""
    from torch import nn

    pixels = inputs.channels * inputs.height * inputs.width
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(pixels, options.hidden, bias=False),
            relu=nn.ReLU(),
            fc2=nn.Linear(options.hidden, inputs.classes, bias=False),
        )
    )
