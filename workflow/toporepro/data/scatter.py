"""``toporepro prepare`` of a dataset too large for one job: parts, and what gathers them.

Such a dataset's module has, in place of ``prepare``, ``SCATTERED``, the name of the module here
that knows what its parts are made of (``scatter_images``, ``scatter_text``), ``parts(options)`` and
``open_raw(options, raw)``. Where a person may add files, so that parts have to be shared out anew,
it also has ``listed(options, raw)``: the raw files' names and sizes.

Part ``k`` reads its share of the raw data, writes its files and then ``parts/{k}.json``, last,
which says what it made from which spec, code and raw bytes. Gathering checks all parts and writes
the index. Every byte but those of manifests depends on spec, code and raw data alone: not on order,
machine, or how often it was begun.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from toporepro.code import code_hash, stage_modules
from toporepro.data.guards import exclusive, readable, require_space
from toporepro.data.index import INDEX, DataError, FileRecord
from toporepro.paths import manifest, prepared_part
from toporepro.plugins import find
from toporepro.provenance import (
    progress,
    read_sealed,
    sha256,
    write_json,
    write_manifest,
    write_sealed,
    write_text,
)
from toporepro.spec import DataSpec, SpecError, decode, encode

_SHOWN = 10
_REPORT_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Job:
    """A dataset and where it lies."""

    spec: DataSpec
    plugin: ModuleType
    options: Any
    raw: Path
    index: Path

    @property
    def folder(self) -> Path:
        return self.index.parent

    @property
    def parts(self) -> int:
        return int(self.plugin.parts(self.options))

    @property
    def modules(self) -> tuple[str, ...]:
        return stage_modules("prepare", *plugins(self.spec))

    def made(self, part: int) -> Path:
        return prepared_part(self.index, part)

    def identity(self, part: int) -> dict[str, Any]:
        """What a finished part has to agree with."""
        return {
            "spec": json.loads(encode(self.spec)),
            "code": code_hash(self.modules),
            "part": part,
            "raw": self._listed(),
        }

    def _listed(self) -> str | None:
        """A hash of the raw files' names and sizes; ``None`` if there are none, or no matter."""
        listed = self.plugin.listed(self.options, self.raw) if _lists(self.plugin) else None
        return hashlib.sha256(encode(listed).encode()).hexdigest()[:16] if listed else None


class Kind(Protocol):
    """What a module named by ``SCATTERED`` has."""

    def stored(self, job: Job, raw: Any) -> int:
        """Bytes that all parts together take, about."""

    def make(self, job: Job, part: int, raw: Any) -> dict[str, Any]:
        """Write a part's files; returns what ``parts/{part}.json`` says of them.

        That has at least ``files``, name → record, and ``inputs``, unit → hash of its raw bytes.
        """

    def gather(self, job: Job, contents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
        """The index, and a line on what there is, from what all parts say."""


def parts(spec: DataSpec) -> int:
    """Number of jobs that prepare a dataset; 0 if one job does all."""
    plugin = find("data", spec.source)
    if not hasattr(plugin, "SCATTERED"):
        return 0
    return int(plugin.parts(decode(plugin.Options, spec.options)))


def plugins(spec: DataSpec) -> tuple[str, ...]:
    """Modules that a preparation chooses by name, for ``toporepro.code.stage_modules``."""
    name = getattr(find("data", spec.source), "SCATTERED", None)
    scattered = ("data.scatter", f"data.{name}") if name else ()
    return (f"data.{spec.source}", *scattered)


def prepare_part(spec: DataSpec, raw_root: Path, index: Path, part: int) -> None:
    """Prepare one part, unless it is there and right.

    Args:
        spec: the dataset.
        raw_root: raw files lie in ``raw_root/<source>``.
        index: the dataset's ``dataset.json``, which is not written.
        part: from 0 on.

    Raises:
        SpecError: if there is no such dataset or part, or its options cannot be.
        DataError: if raw data are missing, or any are wrong: then all faults are counted and
            listed, and nothing counts as prepared.
    """
    job = _job(spec, raw_root, index)
    if not 0 <= part < job.parts:
        raise SpecError(f"part={part}: from 0 to {job.parts - 1}")
    _ensure(job, part, None)


def prepare_all(spec: DataSpec, raw_root: Path, index: Path) -> None:
    """Gather the parts into a dataset; those that are missing or wrong are made first.

    Raises:
        SpecError, DataError: as ``prepare_part``; or if the parts do not make up the dataset.
    """
    job = _job(spec, raw_root, index)
    started = time.monotonic()
    raw = None
    faults = []
    with exclusive(job.folder.with_name(f".{job.folder.name}.lock"), spec.source):
        for part in range(job.parts):
            try:
                raw = _ensure(job, part, raw)
            except _FaultyError as error:
                faults.append(error)
        if faults:
            total = sum(fault.count for fault in faults)
            raise DataError(
                f"{spec.source}: {total} faults in {len(faults)} of {job.parts} parts; nothing was "
                "gathered:\n" + "\n".join(map(str, faults))
            )
        _gather(job, started)


def _job(spec: DataSpec, raw_root: Path, index: Path) -> Job:
    plugin = find("data", spec.source)
    if index.name != INDEX:
        raise DataError(f"{index}: the index of prepared data is named {INDEX}")
    options = decode(plugin.Options, spec.options)
    return Job(spec, plugin, options, raw_root / spec.source, index)


class _FaultyError(DataError):
    """Raw data that cannot be used, and the number of faults."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


def _lists(plugin: ModuleType) -> bool:
    return hasattr(plugin, "listed")


def _kind(plugin: ModuleType) -> Kind:
    """The module that knows what a dataset's parts are made of."""
    found: Kind = importlib.import_module(f"toporepro.data.{plugin.SCATTERED}")
    return found


def _ensure(job: Job, part: int, raw: Any) -> Any:
    """Make a part unless it is there and right; returns the raw data if it opened them."""
    made = job.made(part)
    with exclusive(made.with_suffix(".lock"), f"{job.spec.source}, part {part}"):
        if _is_current(job, part):
            return raw
        made.unlink(missing_ok=True)
        if raw is None:
            raw = job.plugin.open_raw(job.options, job.raw)
            _require_space(job, _kind(job.plugin).stored(job, raw))
        content = _kind(job.plugin).make(job, part, raw)
        write_sealed(made, {"identity": job.identity(part), **content})
        return raw


def _is_current(job: Job, part: int) -> bool:
    try:
        content = read_sealed(job.made(part))
        wanted = job.identity(part)
        if wanted["raw"] is None:  # raw files may be taken away once they have been read
            wanted["raw"] = content["identity"]["raw"]
        if content["identity"] != wanted:
            return False
        for name, record in content["files"].items():
            FileRecord(**record).check(job.folder / name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if job.made(part).exists():
            progress(f"{job.spec.source}: {error}; preparing part {part} again")
        return False
    return True


def _require_space(job: Job, need: int) -> None:
    """Room for all parts that are not there yet; so the first job that starts already says no."""
    missing = [part for part in range(job.parts) if not job.made(part).exists()]
    left = need * len(missing) // job.parts
    progress(
        f"{job.spec.source}: about {readable(need)} in {job.folder}, in {job.parts} parts; "
        f"{len(missing)} of them to do: {readable(left)}"
    )
    require_space(job.folder, left, f"preparing {job.spec.source}")


class Tally:
    """What a part has met so far, and its faults, which are listed in a file.

    Args:
        what: the things counted, in the plural.
    """

    def __init__(self, job: Job, part: int, what: str) -> None:
        self.seen = 0
        self._what = what
        self._faults: list[str] = []
        self._name = f"{job.spec.source}, part {part}"
        self._list = job.made(part).with_suffix(".faults.txt")
        self._list.unlink(missing_ok=True)
        self._began = self._last = time.monotonic()

    def fault(self, text: str) -> None:
        self._faults.append(text)

    def refuse_faults(self) -> None:
        """Raises ``DataError`` if there are any."""
        if not self._faults:
            return
        write_text(self._list, "".join(f"{fault}\n" for fault in self._faults))
        count = len(self._faults)
        shown = "".join(f"\n  {fault}" for fault in self._faults[:_SHOWN])
        more = f"\n  and {count - _SHOWN} more" if count > _SHOWN else ""
        raise _FaultyError(
            f"{self._name}: {count} faults in {self.seen} {self._what}, so that it was not "
            f"prepared (all in {self._list}):{shown}{more}",
            count,
        )

    def show(self, done: float | None = None, more: str = "") -> None:
        """A line of progress, now and then.

        Args:
            done: share of the part that is done, if known.
            more: what else to say.
        """
        now = time.monotonic()
        if now - self._last < _REPORT_SECONDS:
            return
        self._last, spent = now, now - self._began
        left = f", {100 * done:.0f} %, {spent * (1 / done - 1):.0f} s left" if done else ""
        progress(f"{self._name}: {self.seen} {self._what}, {self.seen / spent:.0f}/s{more}{left}")


def _gather(job: Job, started: float) -> None:
    """Write manifest and index from finished parts."""
    contents = [read_sealed(job.made(part)) for part in range(job.parts)]
    index, summary = _kind(job.plugin).gather(job, contents)
    if _is_gathered(job, index):
        progress(f"{job.spec.source}: {job.folder} is there and right")
        return
    inputs = {unit: digest for content in contents for unit, digest in content["inputs"].items()}
    staged = job.made(0).with_name(INDEX)
    write_json(staged, index)
    hashes = {name: record["sha256"] for name, record in index["files"].items()}
    made = write_manifest(
        verb="prepare",
        spec=dataclasses.asdict(job.spec),
        modules=job.modules,
        inputs=(),
        outputs=[staged],
        wall_seconds=time.monotonic() - started,
        extra={"raw_units": inputs, "files": hashes},
    )
    job.index.unlink(missing_ok=True)
    made.replace(manifest(job.index))
    staged.replace(job.index)
    progress(f"{job.spec.source}: {summary} in {job.folder}")


def _is_gathered(job: Job, index: dict[str, Any]) -> bool:
    try:
        there = json.loads(job.index.read_text(encoding="utf-8"))
        made = read_sealed(manifest(job.index))
        return bool(
            there == index
            and made["code"] == code_hash(job.modules)
            and made["outputs"][INDEX] == sha256(job.index)
        )
    except (OSError, ValueError, KeyError):
        return False
