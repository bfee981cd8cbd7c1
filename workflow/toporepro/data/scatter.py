"""``toporepro prepare`` of a dataset too large for one job: parts, and what gathers them.

Such a dataset's module has, in place of ``prepare``, ``parts(options)``, ``open_raw(options, raw)``
(``data.raw``), ``side(options, split)`` and ``expected(options, split)``, constants ``MEAN`` and
``STD``, and ``storage`` and ``quality`` among its options.

Part ``k`` reads its share of the raw images and writes one shard per split, then
``parts/{k}.json``, last, which says what it made from which spec, code and raw bytes. Gathering
checks all parts and writes labels, places and the index. Every byte but those of manifests depends
on spec, code and raw data alone: not on order, machine, or how often it was begun.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from toporepro.code import code_hash, stage_modules
from toporepro.data import shards
from toporepro.data.guards import exclusive, readable, require_space
from toporepro.data.pictures import read_picture, shrink
from toporepro.data.raw import SPLITS, RawImage, RawImages, share
from toporepro.data.store import INDEX, DataError, FileRecord, Images, Labels
from toporepro.paths import manifest, prepared_part
from toporepro.plugins import find
from toporepro.provenance import atomic, progress, sha256, write_json, write_manifest, write_text
from toporepro.spec import DataSpec, SpecError, decode, encode

_SHOWN = 10
_REPORT_SECONDS = 10.0
# Bytes per pixel of a photograph by JPEG quality, rather too many than too few.
_JPEG_BYTES = ((50, 0.18), (75, 0.28), (85, 0.38), (90, 0.48), (95, 0.75), (98, 1.1))
_MEAN_ASPECT = 1.35


@dataclasses.dataclass(frozen=True)
class _Job:
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
        return modules(self.spec)

    def made(self, part: int) -> Path:
        return prepared_part(self.index, part)

    def identity(self, part: int) -> dict[str, Any]:
        """What a finished part has to agree with."""
        return {
            "spec": json.loads(encode(self.spec)),
            "code": code_hash(self.modules),
            "part": part,
        }


def parts(spec: DataSpec) -> int:
    """Number of jobs that prepare a dataset; 0 if one job does all."""
    plugin = find("data", spec.source)
    if not hasattr(plugin, "open_raw"):
        return 0
    return int(plugin.parts(decode(plugin.Options, spec.options)))


def stored_bytes(options: Any, side: int, count: int) -> int:
    """Bytes that so many photographs take, about, whose shorter side has ``side`` pixels."""
    per_pixel = 3.0
    if options.storage == "jpeg":
        known, sizes = zip(*_JPEG_BYTES, strict=True)
        per_pixel = float(np.interp(options.quality, known, sizes))
    return int(count * side * side * _MEAN_ASPECT * per_pixel)


def modules(spec: DataSpec) -> tuple[str, ...]:
    """What the code of such a preparation starts from."""
    return stage_modules("prepare", "data.scatter", f"data.{spec.source}")


def prepare_part(spec: DataSpec, raw_root: Path, index: Path, part: int) -> None:
    """Prepare one part, unless it is there and right.

    Args:
        spec: the dataset.
        raw_root: raw files lie in ``raw_root/<source>``.
        index: the dataset's ``dataset.json``, which is not written.
        part: from 0 on.

    Raises:
        SpecError: if there is no such dataset or part, or its options cannot be.
        DataError: if raw data are missing, or any image is: then all faults are counted and listed,
            and nothing counts as prepared.
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
    raw: RawImages | None = None
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


def _job(spec: DataSpec, raw_root: Path, index: Path) -> _Job:
    plugin = find("data", spec.source)
    if index.name != INDEX:
        raise DataError(f"{index}: the index of prepared images is named {INDEX}")
    options = decode(plugin.Options, spec.options)
    return _Job(spec, plugin, options, raw_root / spec.source, index)


class _FaultyError(DataError):
    """Images that cannot be used, and their number."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


def _ensure(job: _Job, part: int, raw: RawImages | None) -> RawImages | None:
    """Make a part unless it is there and right; returns the raw images if it opened them."""
    made = job.made(part)
    with exclusive(made.with_suffix(".lock"), f"{job.spec.source}, part {part}"):
        if _is_current(job, part):
            return raw
        made.unlink(missing_ok=True)
        if raw is None:
            raw = job.plugin.open_raw(job.options, job.raw)
            assert raw is not None
            _require_space(job, raw)
        _make(job, part, raw)
        return raw


def _is_current(job: _Job, part: int) -> bool:
    try:
        content = json.loads(job.made(part).read_text(encoding="utf-8"))
        if content["identity"] != job.identity(part):
            return False
        for name, record in content["files"].items():
            FileRecord(**record).check(job.folder / name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if job.made(part).exists():
            progress(f"{job.spec.source}: {error}; preparing part {part} again")
        return False
    return True


def _require_space(job: _Job, raw: RawImages) -> None:
    """Room for all parts that are not there yet; so the first job that starts already says no."""
    need = sum(_bytes(job, raw, split) for split in SPLITS)
    missing = [part for part in range(job.parts) if not job.made(part).exists()]
    left = need * len(missing) // job.parts
    progress(
        f"{job.spec.source}: about {readable(need)} in {job.folder}, in {job.parts} parts; "
        f"{len(missing)} of them to do: {readable(left)}"
    )
    require_space(job.folder, left, f"preparing {job.spec.source}")


def _bytes(job: _Job, raw: RawImages, split: str) -> int:
    expected = job.plugin.expected(job.options, split)
    count = raw.count(split) if expected is None else expected
    return stored_bytes(job.options, job.plugin.side(job.options, split), count)


def _make(job: _Job, part: int, raw: RawImages) -> None:
    """Write a part's shards and then its JSON."""
    tally = _Tally(job, part)
    files: dict[str, FileRecord] = {}
    splits, inputs = {}, {}
    for split in SPLITS:
        name = shards.shard_file(split, part)
        for stale in job.folder.glob(f".{Path(name).stem}.*.partial*"):
            stale.unlink()  # of a process that was killed; this one holds the part's lock
        side = job.plugin.side(job.options, split)
        with (
            atomic(job.folder / name) as temporary,
            shards.ShardWriter(temporary, job.options.storage, job.options.quality) as writer,
        ):
            wanted = job.plugin.expected(job.options, split) != 0
            for unit in share(raw.units(split) if wanted else (), part, job.parts):
                digest = hashlib.sha256()
                for image in raw.read(split, unit):
                    _digest(digest, image)
                    if (picture := tally.read(image)) is not None:
                        writer.add(shrink(picture, side), image.label)
                inputs[f"{split}/{unit}"] = digest.hexdigest()
        rows = f"{job.made(part).parent.name}/{Path(name).stem}.npy"
        files[name] = writer.record
        files[rows] = FileRecord(**_save(job.folder / rows, writer.rows()))
        splits[split] = {"shard": name, "rows": rows, "count": writer.count}
    tally.refuse_faults()
    write_json(
        job.made(part),
        {
            "identity": job.identity(part),
            "splits": splits,
            "classes": {str(label): name for label, name in sorted(tally.classes.items())},
            "oddities": dict(sorted(tally.oddities.items())),
            "inputs": inputs,
            "files": {name: dataclasses.asdict(record) for name, record in files.items()},
        },
    )
    counts = ", ".join(f"{split['count']} {name}" for name, split in splits.items())
    progress(f"{job.spec.source}, part {part}: {counts} images")


def _digest(digest: Any, image: RawImage) -> None:
    digest.update(f"{image.name}\0{image.label}\0{len(image.data)}\0".encode())
    digest.update(image.data)


class _Tally:
    """What a part has met so far: classes, oddities, and faults, which are listed in a file."""

    def __init__(self, job: _Job, part: int) -> None:
        self.classes: dict[int, str] = {}
        self.oddities: Counter[str] = Counter()
        self._faults: list[str] = []
        self._name = f"{job.spec.source}, part {part}"
        self._list = job.made(part).with_suffix(".faults.txt")
        self._list.unlink(missing_ok=True)
        self._seen = 0
        self._began = self._last = time.monotonic()

    def read(self, image: RawImage) -> Images | None:
        """The pixels of an image; ``None``, and a fault more, if it cannot be used."""
        self._seen += 1
        self._show()
        if image.fault:
            self._faults.append(f"{image.name}: {image.fault}")
            return None
        if self.classes.setdefault(image.label, image.class_name) != image.class_name:
            known = self.classes[image.label]
            self._faults.append(f"{image.name}: class {image.class_name}, with {known}'s label")
            return None
        try:
            picture = read_picture(image.data)
        except DataError as error:
            self._faults.append(f"{image.name}: {error}")
            return None
        self.oddities.update(picture.oddities)
        return picture.pixels

    def refuse_faults(self) -> None:
        """Raises ``DataError`` if there are any."""
        if not self._faults:
            return
        write_text(self._list, "".join(f"{fault}\n" for fault in self._faults))
        count = len(self._faults)
        shown = "".join(f"\n  {fault}" for fault in self._faults[:_SHOWN])
        more = f"\n  and {count - _SHOWN} more" if count > _SHOWN else ""
        raise _FaultyError(
            f"{self._name}: {count} faults in {self._seen} images, so that it was not prepared "
            f"(all in {self._list}):{shown}{more}",
            count,
        )

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            rate = self._seen / (now - self._began)
            progress(f"{self._name}: {self._seen} images, {rate:.0f}/s")


def _gather(job: _Job, started: float) -> None:
    """Write labels, places, manifest and index from finished parts."""
    contents = [json.loads(job.made(part).read_text(encoding="utf-8")) for part in range(job.parts)]
    files = {
        name: record
        for content in contents
        for name, record in content["files"].items()
        if not name.endswith(".npy")
    }
    splits: dict[str, dict[str, Any]] = {}
    names: dict[str, list[str]] = {}
    classes = _classes(job, contents)
    for split in SPLITS:
        rows = [np.load(job.folder / content["splits"][split]["rows"]) for content in contents]
        labels, places = shards.join(rows)
        _check_split(job, split, labels, len(classes))
        for name, array in (
            (shards.labels_file(split), labels),
            (shards.places_file(split), places),
        ):
            files[name] = _save(job.folder / name, array)
        splits[split] = {
            "count": len(labels),
            "labels": shards.labels_file(split),
            "places": shards.places_file(split),
        }
        names[split] = [content["splits"][split]["shard"] for content in contents]
    oddities: Counter[str] = Counter()
    for content in contents:
        oddities.update(content["oddities"])
    index = {
        "source": job.spec.source,
        "options": json.loads(encode(dataclasses.asdict(job.options))),
        "storage": job.options.storage,
        "classes": classes,
        "categories": {},
        "mean": list(job.plugin.MEAN),
        "std": list(job.plugin.STD),
        "splits": splits,
        "shards": names,
        "files": files,
        "extra": {"oddities": dict(sorted(oddities.items()))},
    }
    if _is_gathered(job, index):
        progress(f"{job.spec.source}: {job.folder} is there and right")
        return
    inputs = {unit: digest for content in contents for unit, digest in content["inputs"].items()}
    staged = job.made(0).with_name(INDEX)
    write_json(staged, index)
    made = write_manifest(
        verb="prepare",
        spec=dataclasses.asdict(job.spec),
        modules=job.modules,
        inputs=(),
        outputs=[staged],
        wall_seconds=time.monotonic() - started,
        extra={"raw_units": inputs, "files": {name: f["sha256"] for name, f in files.items()}},
    )
    job.index.unlink(missing_ok=True)
    made.replace(manifest(job.index))
    staged.replace(job.index)
    counts = ", ".join(f"{split['count']} {name}" for name, split in splits.items())
    odd = "; of the files, " + ", ".join(f"{n} {name}" for name, n in sorted(oddities.items()))
    progress(f"{job.spec.source}: {counts} images in {job.folder}{odd if oddities else ''}")


def _save(path: Path, array: Labels) -> dict[str, Any]:
    """Write an array unless the file already holds it; returns its hash and size."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    if not path.exists() or sha256(path) != digest:
        with atomic(path) as temporary:
            temporary.write_bytes(data)
    return {"sha256": digest, "bytes": len(data)}


def _is_gathered(job: _Job, index: dict[str, Any]) -> bool:
    try:
        there = json.loads(job.index.read_text(encoding="utf-8"))
        made = json.loads(manifest(job.index).read_text(encoding="utf-8"))
        return bool(
            there == index
            and made["code"] == code_hash(job.modules)
            and made["outputs"][INDEX] == sha256(job.index)
        )
    except (OSError, ValueError, KeyError):
        return False


def _classes(job: _Job, contents: list[dict[str, Any]]) -> list[str]:
    """Names by label, agreed upon by all parts."""
    found: dict[int, str] = {}
    for content in contents:
        for label, name in content["classes"].items():
            if found.setdefault(int(label), name) != name:
                raise DataError(
                    f"{job.spec.source}: label {label} is {found[int(label)]} in one part and "
                    f"{name} in another"
                )
    names = [found[label] for label in sorted(found)]
    if sorted(found) != list(range(len(found))) or len(set(names)) != len(names) or not names:
        raise DataError(
            f"{job.spec.source}: {len(found)} classes, {len(set(names))} names, labels up to "
            f"{max(found, default=0)}: some are missing"
        )
    return names


def _check_split(job: _Job, split: str, labels: Labels, classes: int) -> None:
    expected = job.plugin.expected(job.options, split)
    if expected is not None and len(labels) != expected:
        raise DataError(
            f"{job.spec.source}: {len(labels)} {split} images found, {split}_images={expected}; "
            f"for a subset, set {split}_images to its number, or to null"
        )
    if expected == 0:
        return
    missing = sorted(set(range(classes)) - set(np.unique(labels).tolist()))
    if missing:
        raise DataError(f"{job.spec.source}: no {split} images of classes {missing[:5]} …")
