"""Compression: fewer units on the cortical sheet, or fewer weights.

``parameter_count(family, sparsity)`` says what is left of a network, without building it in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toporepro.compress.count import parameter_count

__all__ = ["parameter_count"]


def __getattr__(name: str) -> Any:
    if name == "parameter_count":
        from toporepro.compress.count import parameter_count

        return parameter_count
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
