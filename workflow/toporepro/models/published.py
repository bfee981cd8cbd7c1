"""From weights made elsewhere to a checkpoint of ours: names, types, shapes, and what is known.

The authors' files (Hugging Face, organisation ``murtylab``) are state dicts of torchvision's
networks, the residual ones with BlurPool (``….conv.weight``, ``….blur_filter``), whose names ours
share; or states of nanoGPT's trainings, with the network under ``model``.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from toporepro.models.checkpoint import CheckpointError, insert, own_tensors
from toporepro.models.family import build, inputs_of, text_inputs
from toporepro.models.gpt_files import translated
from toporepro.models.inputs import AnyInputs, Inputs, TextInputs
from toporepro.models.torch_files import read_weights
from toporepro.spec import TrainSpec

# torchvision before 0.13 called the two linear layers of a transformer's MLP so.
_RENAMED = (
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)
_SHOWN = 4


def network(spec: TrainSpec, file: Path | None) -> tuple[nn.Module, AnyInputs]:
    """The network of a spec with the weights of its checkpoint, in evaluation mode.

    Args:
        spec: with a ``checkpoint``.
        file: the checkpoint's file; ``None`` for an untrained one.

    Raises:
        CheckpointError: if the file cannot be read safely, or holds another network.
        SpecError: if the spec's options are not those of its architecture.
    """
    checkpoint = spec.checkpoint
    if checkpoint is None:
        raise CheckpointError(f"{file}: the spec names no checkpoint")
    if (file is None) != checkpoint.untrained:
        raise CheckpointError(f"{file}: an untrained network has no file, and every other has one")
    language = inputs_of(spec.architecture) is TextInputs
    inputs = (
        text_inputs(spec, checkpoint.vocabulary)
        if language
        else Inputs(
            channels=checkpoint.channels,
            height=checkpoint.height,
            width=checkpoint.width,
            classes=checkpoint.classes,
        )
    )
    module = build(spec, inputs)
    if file is None:
        return module.eval(), inputs
    weights = read_weights(file, checkpoint.key)
    if language:
        try:
            weights = translated(weights, module.state_dict(), checkpoint.vocabulary)
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {error}") from None
    insert(module, fitted(module, weights, f"{file}: as {spec.architecture}"), str(file))
    return module.eval(), inputs


def fitted(module: nn.Module, weights: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """The weights by the network's own names and types.

    Older names are brought up to date; a batch normalisation's count of batches, which plays no
    part in evaluation, may be missing; numbers may be of another precision.

    Raises:
        CheckpointError: naming what is missing, what is too much and what has another shape.
    """
    own = module.state_dict()
    found = {_renamed(name): tensor for name, tensor in weights.items()}
    for name, tensor in own.items():
        if name.endswith(".num_batches_tracked"):
            found.setdefault(name, torch.zeros_like(tensor))
    missing = [name for name in own if name not in found]
    unknown = [name for name in found if name not in own]
    shapes = [
        f"{name} is {tuple(found[name].shape)} and not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if missing or unknown or shapes:
        parts = [
            f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', …' if names[_SHOWN:] else ''}"
            for what, names in (
                ("missing", missing),
                ("not of this network", unknown),
                ("of another shape", shapes),
            )
            if names
        ]
        raise CheckpointError(f"{source}: another network's weights; {'; '.join(parts)}")
    return {name: found[name].to(tensor.dtype) for name, tensor in own_tensors(module).items()}


def _renamed(name: str) -> str:
    for pattern, now in _RENAMED:
        name = pattern.sub(now, name)
    return name
