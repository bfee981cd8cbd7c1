"""Import torchvision, also where its native extension cannot be loaded.

Beside a CPU-only torch a CUDA-built torchvision finds none of its compiled operators, and its
import then fails because it describes operators that do not exist. Declaring their schemas is
enough: networks and transforms use none of them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[Any] = []  # a library's declarations last as long as the object


def import_torchvision() -> None:
    """Make ``import torchvision`` work; does nothing where its extension loads.

    Raises:
        ModuleNotFoundError: if torchvision is not installed.
    """
    if _declared or hasattr(torch.ops.torchvision, "nms"):
        return
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("torchvision is not installed: pip install 'toporepro[workflow]'")
    for extension in sorted(Path(found.origin).parent.glob("_C*")):
        try:
            torch.ops.load_library(str(extension))  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
