"""``toporepro prepare``: from a dataset's spec to its folder of prepared images or text.

A dataset is a module ``toporepro.data.<source>`` with ``Options``, ``raw_files(options)`` and
``prepare(options, raw, out)``. It may add ``local_files(options, raw)``, the user's own files that
it reads; ``prepared_bytes(options)``, the room that they take; ``extent(options)``, how much
it holds (``data.extent``); and ``missing(options, raw)``, in words which of the user's own files
are absent (quickly, without torch), or ``None``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from toporepro.code import code_hash, stage_modules
from toporepro.data.fetch import fetch_all
from toporepro.data.guards import exclusive, readable, require_space
from toporepro.data.index import INDEX, DataError, Prepared
from toporepro.paths import manifest
from toporepro.plugins import find, names
from toporepro.provenance import progress, read_sealed, sha256, write_manifest
from toporepro.spec import DataSpec, SpecError, decode, encode, nearest


def prepare(spec: DataSpec, raw_root: Path, index: Path) -> None:
    """Fetch what is missing, prepare the data in a temporary folder and move them into place.

    Done again, it finds its own work by spec, code and the raw data's hashes, verifies it and
    leaves it. Started twice at once, the second process waits for the first.

    Args:
        spec: the dataset.
        raw_root: raw files lie in ``raw_root/<source>``.
        index: the file ``dataset.json`` to make; its manifest lies beside it.

    Raises:
        SpecError: if there is no such dataset, or its options cannot be.
        DataError: if raw files cannot be fetched or are wrong, or the disk is too small.
    """
    plugin = find_source(spec.source)
    options = decode(plugin.Options, spec.options)
    if index.name != INDEX:
        raise DataError(f"{index}: the index of prepared data is named {INDEX}")
    folder, raw = index.parent, raw_root / spec.source
    with exclusive(folder.with_name(f".{folder.name}.lock"), spec.source):
        started = time.monotonic()
        fetched = fetch_all(plugin.raw_files(options), raw)
        user = _digest(plugin.local_files(options, raw), raw) if _has(plugin, "local_files") else {}
        if _is_current(spec, index, fetched, user):
            progress(f"{spec.source}: {folder} is there and right")
            return
        if _has(plugin, "prepared_bytes"):
            need = int(plugin.prepared_bytes(options))
            require_space(folder, need, f"preparing {spec.source}")
            progress(f"{spec.source}: preparing {readable(need)} in {folder}")
        temporary = folder.with_name(f".{folder.name}.partial")
        _clear(temporary)
        try:
            plugin.prepare(options, raw, temporary)
            prepared = Prepared.open(temporary / INDEX)
            prepared.verify()
            write_manifest(
                verb="prepare",
                spec=dataclasses.asdict(spec),
                modules=_modules(spec),
                inputs=fetched,
                outputs=[prepared.index, *(temporary / name for name in prepared.files)],
                wall_seconds=time.monotonic() - started,
                extra={"user_files": user} if user else {},
            )
            _move(temporary, folder, list(prepared.files))
        finally:
            _clear(temporary)
    size = readable(sum(record.bytes for record in prepared.files.values()))
    progress(f"{spec.source}: {size} in {folder}")


def find_source(name: str) -> ModuleType:
    """The module of a dataset.

    Raises:
        SpecError: naming the nearest known datasets.
    """
    try:
        module = find("data", name)
    except SpecError:
        module = None
    if module is None or not _has(module, "prepare"):
        raise SpecError(f"source={name!r}: no such dataset; {nearest(name, names('data'))}")
    return module


def _has(plugin: ModuleType, name: str) -> bool:
    return hasattr(plugin, name)


def _modules(spec: DataSpec) -> tuple[str, ...]:
    return stage_modules("prepare", f"data.{spec.source}")


def _digest(paths: Sequence[Path], raw: Path) -> dict[str, Any]:
    """Number and common hash of the user's own files, by their names below ``raw`` and contents."""
    if not paths:
        return {}
    lines = "".join(f"{sha256(path)}  {path.relative_to(raw).as_posix()}\n" for path in paths)
    return {
        "folder": str(raw),
        "count": len(paths),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def _is_current(spec: DataSpec, index: Path, fetched: Sequence[Path], user: dict[str, Any]) -> bool:
    """Whether the folder holds what this spec, code and raw data make, undamaged."""
    try:
        made = read_sealed(manifest(index))
        same = (
            made["spec"] == json.loads(encode(spec))
            and made["code"] == code_hash(_modules(spec))
            and sorted(made["inputs"].values()) == sorted(sha256(path) for path in fetched)
            and made.get("user_files", {}).get("sha256") == user.get("sha256")
            and made["outputs"][INDEX] == sha256(index)
        )
        if same:
            Prepared.open(index).verify()
    except (OSError, ValueError, KeyError) as error:
        if index.exists():
            progress(f"{spec.source}: {error}; preparing it again")
        return False
    return same


def _move(temporary: Path, folder: Path, files: Sequence[str]) -> None:
    """Move a complete folder's files into place, the index last.

    File by file, since a folder cannot be swapped for another in one step; readers that have the
    old files mapped keep them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_file() and path.name not in files:
            path.unlink()  # of an older version
    for name in (*files, manifest(folder / INDEX).name, INDEX):
        (temporary / name).replace(folder / name)


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
