"""Import torchvision, also where its native extension cannot be loaded, and without the compiler.

Beside a CPU-only torch a CUDA-built torchvision finds none of its compiled operators, and its
import then fails because it describes operators that do not exist. Declaring their schemas is
enough: networks and transforms use none of them.

One of those operators, ``roi_align``, imports ``torch._dynamo`` for a single function that it calls
when it runs: 1.5 s of the import's 1.7 s, which wait until something needs them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_COMPILER = "torch._dynamo.utils"
_declared: list[Any] = []  # a library's declarations last as long as the object


class _Later(ModuleType):
    """Stands in for ``torch._dynamo.utils`` until anything else than its one function is asked for.

    Bound by others before that, it goes on as a view of the module.
    """

    @staticmethod
    def is_compile_supported(device_type: Any) -> bool:
        real: Callable[[Any], bool] = _real().is_compile_supported
        return real(device_type)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(), name)


def _real() -> ModuleType:
    if isinstance(sys.modules.get(_COMPILER), _Later):
        del sys.modules[_COMPILER]
    return importlib.import_module(_COMPILER)


def import_torchvision() -> None:
    """Make ``import torchvision`` work, and do it; its extension is loaded where it can be.

    Raises:
        ModuleNotFoundError: if torchvision is not installed.
    """
    if "torchvision" in sys.modules:
        return
    _declare()
    if "torch._dynamo" not in sys.modules:
        sys.modules[_COMPILER] = _Later(_COMPILER)
    try:
        importlib.import_module("torchvision")
    finally:
        if isinstance(sys.modules.get(_COMPILER), _Later):
            del sys.modules[_COMPILER]


def _declare() -> None:
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
