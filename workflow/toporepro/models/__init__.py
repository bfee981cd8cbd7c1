"""Networks and their checkpoint format.

One file, one family: a plugin module has ``TASK``, ``Options``, ``layers(options)`` and
``build(options, inputs)``. ``load``, ``save`` and ``read_metadata`` are in ``models.checkpoint``,
which is loaded on first use, so that a configuration can be checked without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toporepro.models.inputs import AnyInputs, Inputs, TextInputs

if TYPE_CHECKING:
    from toporepro.models.checkpoint import load, read_metadata, save

__all__ = ["AnyInputs", "Inputs", "TextInputs", "load", "read_metadata", "save"]


def __getattr__(name: str) -> Any:
    if name in ("load", "read_metadata", "save"):
        from toporepro.models import checkpoint

        return getattr(checkpoint, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
