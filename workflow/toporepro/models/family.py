"""From a spec to a network: the plugin, its options, its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from toporepro.models.inputs import AnyInputs, Inputs, TextInputs
from toporepro.plugins import find
from toporepro.sheet import check_sheet
from toporepro.spec import SpecError, TrainSpec, decode, nearest

if TYPE_CHECKING:
    from torch import nn


class Family(Protocol):
    """What a module in ``toporepro.models`` has if it is a family of networks.

    One whose networks take images of one size alone also has ``FIXED_SIZE = True``. One with
    ``flops(options, inputs)``, the operations of a forward pass of one sample, can be planned for.
    """

    TASK: str
    Options: type[Any]

    def layers(self, options: Any) -> dict[str, int]:
        """Topographic layers and their numbers of units; arithmetic, no torch."""

    def build(self, options: Any, inputs: Any) -> nn.Module:
        """The untrained network."""


def family(architecture: str) -> Family:
    """The module of an architecture.

    Raises:
        SpecError: if there is no such architecture; names the nearest ones.
    """
    return cast(Family, find("models", architecture))


def inputs_of(architecture: str) -> type[AnyInputs]:
    """What an architecture's ``build`` takes: the inputs of its task.

    Raises:
        SpecError: if there is no such architecture.
    """
    return TextInputs if family(architecture).TASK == "language" else Inputs


def text_inputs(spec: TrainSpec, vocabulary: int) -> TextInputs:
    """What a language network takes in: tokens of the data, as many as its options say.

    Raises:
        SpecError: if the options are not those of the architecture.
    """
    options = decode(family(spec.architecture).Options, spec.model)
    return TextInputs(vocabulary=vocabulary, context=options.context)


def layers(spec: TrainSpec) -> dict[str, int]:
    """All topographic layers of the architecture, and their numbers of units.

    Raises:
        SpecError: if the options are not those of the architecture.
    """
    plugin = family(spec.architecture)
    return plugin.layers(decode(plugin.Options, spec.model))


def topographic_layers(spec: TrainSpec) -> dict[str, int]:
    """The layers under TopoLoss and their numbers of units: those named, or all that there are.

    Raises:
        SpecError: if a named layer is not one of the architecture's; gives the nearest names.
    """
    known = layers(spec)
    names = spec.topo.layers or tuple(known)
    for name in names:
        if name not in known:
            raise SpecError(f"layers: {name!r}: {nearest(name, known)}")
    return {name: known[name] for name in names}


def check_sheets(spec: TrainSpec) -> None:
    """Refuse factors φ under which a sheet collapses, unless the spec allows it.

    Named layers that are none of the architecture's own, such as a stem, are left to the loss.

    Raises:
        SpecError: naming the layer and what is allowed.
    """
    units = layers(spec)
    for name in spec.topo.layers or units:
        for problem in check_sheet(units[name], spec.topo.phi) if name in units else ():
            if problem.fatal or not spec.topo.allow_collapse:
                raise SpecError(f"phi={spec.topo.phi:g}: layer {name}: {problem.message}")


def build(spec: TrainSpec, inputs: AnyInputs) -> nn.Module:
    """The untrained network: a pure function; torch's own generator is left alone.

    Networks of one seed start alike whatever their τ, which makes their comparison a paired one.

    Raises:
        SpecError: if the options are not those of the architecture.
    """
    import torch

    plugin = family(spec.architecture)
    options = decode(plugin.Options, spec.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return plugin.build(options, inputs)
