"""Small networks, as their families build them."""

from typing import Any

from torch import nn

from toporepro.models import Inputs, family
from toporepro.models.inputs import TextInputs
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec


def spec(architecture: str, **model: Any) -> TrainSpec:
    return TrainSpec(
        architecture=architecture,
        model=model,
        data=DataSpec(source="digits"),
        topo=TopoSpec(tau=1.0, phi=2.0),
        recipe=Recipe(optimizer="adam", lr=1e-3, batch=8, epochs=1, snapshots=1),
        seed=4,
    )


GPT = spec("nanogpt", context=8, width=16, depth=2, heads=2, mlp=192)
GPT_INPUTS = TextInputs(vocabulary=40, context=8)
RESNET = spec("resnet18", width=0.25, stem="small")
RESNET_INPUTS = Inputs(channels=3, height=16, width=16, classes=3)


def network(made: TrainSpec, inputs: Any) -> tuple[nn.Module, dict[str, int]]:
    """The untrained network in evaluation mode, and its topographic layers."""
    return family.build(made, inputs).eval(), family.layers(made)
