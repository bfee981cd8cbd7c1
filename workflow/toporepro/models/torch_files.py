"""Reading weights out of files that others pickled, without executing a pickle.

``torch.load(weights_only=True)`` builds tensors and plain containers alone. Published files hold
more than that: the settings and the optimiser of their training. What such things are made of is
read off the file first, without running it, and each name stands for a hollow object while it is
loaded: nothing of it is imported or called. Names of modules that reach the system are refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from toporepro.models.checkpoint import CheckpointError

_PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and of torch.compile
_WRAPPER = "model"
_NEVER = ("os", "posix", "nt", "sys", "subprocess", "importlib", "runpy", "pty", "shutil", "socket")


class Hollow:
    """Takes the place of any object that is no tensor, and is nothing."""

    def __new__(cls, *_: object, **__: object) -> Hollow:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def read_weights(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """The state dict in a ``.pt``, ``.pth`` or ``.safetensors`` file.

    Prefixes that wrappers leave on every name (``module.``, ``_orig_mod.``) are taken off.

    Args:
        path: the file.
        key: entry that holds the state dict; ``None`` takes the whole file if it is one, else the
            entry ``model``.

    Raises:
        CheckpointError: if the file cannot be read safely or holds no state dict there; says what
            it holds.
    """
    content = _load(path)
    if key is not None:
        if not isinstance(content, Mapping) or key not in content:
            raise CheckpointError(f"{path}: no entry {key!r}; {_described(content)}")
        found = content[key]
    elif not _is_state(content) and isinstance(content, Mapping) and _WRAPPER in content:
        found = content[_WRAPPER]
    else:
        found = content
    if not _is_state(found):
        where = "" if found is content else f" under {key or _WRAPPER!r}"
        raise CheckpointError(f"{path}: no state dict{where}; {_described(content)}")
    weights = {str(name): tensor.detach() for name, tensor in found.items()}
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in weights)), None):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _load(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(_hollow(path)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        AssertionError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:
        # torch explains at length how to execute the pickle after all; its reason stands below.
        _, _, told = str(error).rpartition("WeightsUnpickler error:")
        reason = (told.split("\n\n")[0].strip().splitlines() or ["nothing more is known"])[0]
        raise CheckpointError(
            f"{path}: cannot be read safely ({type(error).__name__}: {reason})"
        ) from None


def _hollow(path: Path) -> list[Any]:
    """``Hollow`` for every name in the file's pickle that torch does not allow by itself."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":  # torch's format before 1.6: torch's own names alone
            return []
    names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    for name in names:
        if name.split(".")[0] in _NEVER:
            raise CheckpointError(f"{path}: asks for {name}, which no checkpoint needs; not loaded")
    return [(Hollow, name) for name in names]


def _is_state(content: object) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(value, Tensor) for value in content.values())
    )


def _described(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"the file holds one {type(content).__name__}"
    kinds = [
        f"{name!r}{' (a state dict)' if _is_state(value) else ''}"
        for name, value in list(content.items())[:12]
    ]
    return f"the file holds {', '.join(kinds) or 'nothing'}"
