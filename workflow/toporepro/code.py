"""What a stage's code is: the syntax trees of its modules and of what they import from here.

Comments, docstrings and formatting leave the hash alone; any other edit changes it. A change known
to be harmless is recorded in ``accepted.json`` (module, hash before, hash after, reason), and the
hash before then keeps standing for it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "toporepro"
ROOT = Path(__file__).parent
ACCEPTED = ROOT / "accepted.json"
# These say where results go, which card makes them and what is noted of them, never what is in
# them; and of a spec every field is compared by itself.
_NAMES = ("cards", "code", "codec", "paths", "plugins", "provenance", "spec")
BOOKKEEPING = {f"{PACKAGE}.{name}" for name in _NAMES}


def stage_modules(stage: str, *plugins: str) -> tuple[str, ...]:
    """The modules that a stage starts from.

    Args:
        stage: ``prepare``, ``train``, ``convert``, ``measure``, ``tables``, ``figure``, ``claims``,
            ``calibrate``, ``report``, ``explorer``.
        plugins: modules chosen by name at run time, which no import statement shows, such as
            ``models.resnet18``.
    """
    entry = {
        "prepare": "data.prepare",
        "train": "train.run",
        "convert": "train.convert",
        "measure": "measure.run",
        "tables": "report.tables",
        "figure": "figures.run",
        "claims": "report.claims",
        "calibrate": "report.calibration",
        "report": "report.page",
        "explorer": "report.explorer",
    }[stage]
    return tuple(f"{PACKAGE}.{name}" for name in (entry, *plugins))


def code_hash(modules: Iterable[str]) -> str:
    """One hash over the closure of ``modules``."""
    return hashlib.sha256(json.dumps(module_hashes(tuple(modules))).encode()).hexdigest()[:16]


@functools.cache
def module_hashes(modules: tuple[str, ...]) -> dict[str, str]:
    """Hash of each module in the closure of ``modules``, by name, sorted."""
    pending, seen = list(modules), set()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += _module(name)[1]
    return {name: _module(name)[0] for name in sorted(seen)}


def accepted_changes(modules: Iterable[str]) -> list[dict[str, str]]:
    """The accepted changes that stand in the closure of ``modules``, with their reasons."""
    closure = module_hashes(tuple(modules))
    return [
        entry
        for entry in _accepted()
        if entry["module"] in closure and raw_hash(entry["module"]) == entry["after"]
    ]


def raw_hash(name: str) -> str:
    """Hash of a module's own syntax tree, accepted changes not applied."""
    return _parse(_file(name))[0]


@functools.cache
def _accepted() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(ACCEPTED.read_text()) if ACCEPTED.exists() else []
    return entries


@functools.cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    digest, imports = _parse(_file(name))
    for entry in reversed(_accepted()):
        if entry["module"] == name and entry["after"] == digest:
            digest = entry["before"]
    return digest, imports


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _parse(path: Path) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes(), str(path))
    own = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = own[: -node.level] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            imports |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    mine = {name for name in imports if name.split(".")[0] == PACKAGE}
    for name in tuple(mine):
        parts = name.split(".")
        mine |= {".".join(parts[:depth]) for depth in range(1, len(parts))}
    found = tuple(sorted(name for name in mine - BOOKKEEPING if _file(name).exists()))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16], found


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
