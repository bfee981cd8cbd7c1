"""Operations by arithmetic, against those that torch counts on the device that holds nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from toporepro.models.family import family
from toporepro.models.inputs import Inputs, TextInputs

IMAGES = Inputs(channels=3, height=64, width=64, classes=1000)
ODD = Inputs(channels=3, height=37, width=45, classes=10)
TEXT = TextInputs(vocabulary=1000, context=48)


@pytest.mark.parametrize(
    ("architecture", "options", "inputs"),
    [
        ("mlp", {"hidden": 100}, Inputs(channels=1, height=28, width=28, classes=10)),
        ("resnet18", {}, IMAGES),
        ("resnet18", {"width": 0.25, "stem": "small"}, ODD),
        ("resnet18", {"blurpool": False}, ODD),
        ("resnet50", {}, IMAGES),
        ("resnet50", {"width": 0.5, "stem": "small"}, ODD),
        ("vit_b_32", {}, IMAGES),
        ("vit_b_32", {"patch": 8, "width": 96, "depth": 3, "heads": 4, "mlp": 200}, IMAGES),
        ("nanogpt", {"context": 48, "width": 96, "depth": 3, "heads": 4, "mlp": 200}, TEXT),
        ("gpt_neo_125m", {"context": 48, "width": 96, "depth": 4, "heads": 4, "mlp": 200}, TEXT),
    ],
)
def test_flops_are_those_of_a_forward_pass(
    architecture: str, options: dict[str, Any], inputs: Any
) -> None:
    plugin: Any = family(architecture)
    chosen = plugin.Options(**options)
    with torch.device("meta"):
        network = plugin.build(chosen, inputs).eval()
        if isinstance(inputs, TextInputs):
            sample = torch.zeros(1, inputs.context, dtype=torch.int64)
        else:
            sample = torch.zeros(1, inputs.channels, inputs.height, inputs.width)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(sample)
    assert plugin.flops(chosen, inputs) == counter.get_total_flops()
