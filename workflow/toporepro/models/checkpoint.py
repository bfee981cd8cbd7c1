"""Checkpoints: safetensors files that know the spec they were trained by.

Metadata, all strings: ``spec`` (``toporepro.spec.encode`` of the ``TrainSpec``), ``inputs`` (JSON),
``step``. Equal networks give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from toporepro.models.family import build, inputs_of
from toporepro.models.inputs import AnyInputs
from toporepro.provenance import atomic
from toporepro.spec import SpecError, TrainSpec, decode, encode


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: names the file and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a checkpoint says of itself: how it is being trained, for what, and how far it is."""

    spec: TrainSpec
    inputs: AnyInputs
    step: int


def save(path: Path, module: nn.Module, spec: TrainSpec, inputs: AnyInputs, step: int) -> None:
    """Write a network atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(dump(module, spec, inputs, step))


def dump(
    module: nn.Module,
    spec: TrainSpec,
    inputs: AnyInputs,
    step: int,
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a checkpoint: parameters and buffers, tied ones once, and the metadata.

    Args:
        extra: more of the metadata, of files that are not a whole network.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in own_tensors(module).items()}
    metadata = {"spec": encode(spec), "inputs": encode(inputs), "step": str(step), **(extra or {})}
    data = safetensors.torch.save(tensors, metadata)
    # The library writes the header's keys in an order of its own, another one each time.
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def read_metadata(path: Path) -> Metadata:
    """What a checkpoint says of itself; reads no weights.

    Raises:
        CheckpointError: if there is no such file, or it is not one of ours.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found: dict[str, str] = file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None
    missing = sorted({"spec", "inputs", "step"} - found.keys())
    if missing:
        raise CheckpointError(f"{path}: its metadata lacks {', '.join(missing)}; not one of ours")
    try:
        spec = decode(TrainSpec, found["spec"])
        inputs = decode(inputs_of(spec.architecture), found["inputs"])
        return Metadata(spec=spec, inputs=inputs, step=int(found["step"]))
    except ValueError as error:
        raise CheckpointError(f"{path}: metadata: {error}") from None


def load(path: Path) -> nn.Module:
    """The network of a checkpoint, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: if the file is missing or damaged, or its weights are not those that its
            own spec asks for.
    """
    metadata = read_metadata(path)
    try:
        module = build(metadata.spec, metadata.inputs)
    except SpecError as error:
        raise CheckpointError(f"{path}: {error}") from None
    try:
        weights = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None
    insert(module, weights, str(path))
    return module.eval()


def insert(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Copy weights into a network whose tensors have just these names, shapes and types.

    Raises:
        CheckpointError: naming ``source`` and the tensors that differ.
    """
    own = own_tensors(module)
    problems = [f"{name} is missing" for name in own if name not in weights]
    problems += [f"{name} is not a tensor of this network" for name in weights if name not in own]
    for name, tensor in own.items():
        if name in weights and _kind(weights[name]) != _kind(tensor):
            problems.append(f"{name} is {_kind(weights[name])}, {_kind(tensor)} is needed")
    if problems:
        shown = "; ".join(problems[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(f"{source}: {shown}{more}")
    for name, tensor in own.items():
        tensor.copy_(weights[name])


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state dict, by sorted name, tied tensors under their first name only."""
    own: dict[Any, tuple[str, Tensor]] = {}
    for name, tensor in sorted(module.state_dict().items()):
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else name
        own.setdefault(place, (name, tensor))
    return dict(own.values())


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
