"""Rooms whose modules are chosen by name: architectures, datasets, measures, figures.

A plugin is a module whose top level defines ``Options``; adding one is adding its file. Its top
level imports nothing heavy, so that a configuration can be checked without loading torch.
"""

from __future__ import annotations

import ast
import functools
import importlib
from pathlib import Path
from types import ModuleType

from toporepro.spec import SpecError, nearest

_MARK = {"figures": "draw"}


@functools.cache
def names(room: str) -> tuple[str, ...]:
    """All plugins of a room, by looking at its files, without importing them."""
    mark = _MARK.get(room, "Options")
    folder = Path(__file__).parent / room
    return tuple(sorted(path.stem for path in folder.glob("*.py") if _defines(path, mark)))


def find(room: str, name: str) -> ModuleType:
    """The module ``toporepro.<room>.<name>``.

    Raises:
        SpecError: if the room has no such plugin; names the nearest ones.
    """
    if name not in names(room):
        raise SpecError(f"no such module in toporepro.{room}; {nearest(name, names(room))}")
    return importlib.import_module(f"toporepro.{room}.{name}")


def _defines(path: Path, mark: str) -> bool:
    return any(mark in _names(node) for node in ast.parse(path.read_bytes()).body)


def _names(node: ast.stmt) -> list[str]:
    """What a statement defines: a class or a function, or a name for one."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
