"""Images in parts: one shard per part and split, then labels and places over all parts.

The dataset's module has ``side(options, split)`` and ``expected(options, split)``, constants
``MEAN`` and ``STD``, ``storage`` and ``quality`` among its options, and its ``open_raw`` gives
``data.raw.RawImages``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toporepro.data import shards
from toporepro.data.index import DataError, FileRecord
from toporepro.data.pictures import read_picture, shrink
from toporepro.data.raw import SPLITS, RawImage, RawImages, share
from toporepro.data.scatter import Job, Tally
from toporepro.data.store import Images, Labels
from toporepro.provenance import atomic, progress, sha256
from toporepro.spec import encode

# Bytes per pixel of a photograph by JPEG quality, rather too many than too few.
_JPEG_BYTES = ((50, 0.18), (75, 0.28), (85, 0.38), (90, 0.48), (95, 0.75), (98, 1.1))
_MEAN_ASPECT = 1.35


def stored_bytes(options: Any, side: int, count: int) -> int:
    """Bytes that so many photographs take, about, whose shorter side has ``side`` pixels."""
    per_pixel = 3.0
    if options.storage == "jpeg":
        known, sizes = zip(*_JPEG_BYTES, strict=True)
        per_pixel = float(np.interp(options.quality, known, sizes))
    return int(count * side * side * _MEAN_ASPECT * per_pixel)


def stored(job: Job, raw: RawImages) -> int:
    """Bytes that the shards of all parts take, about."""
    return sum(_bytes(job, raw, split) for split in SPLITS)


def _bytes(job: Job, raw: RawImages, split: str) -> int:
    expected = job.plugin.expected(job.options, split)
    count = raw.count(split) if expected is None else expected
    return stored_bytes(job.options, job.plugin.side(job.options, split), count)


def make(job: Job, part: int, raw: RawImages) -> dict[str, Any]:
    """Write a part's shards; returns what there is to say of them."""
    tally = _Tally(job, part, "images")
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
    counts = ", ".join(f"{split['count']} {name}" for name, split in splits.items())
    progress(f"{job.spec.source}, part {part}: {counts} images")
    return {
        "splits": splits,
        "classes": {str(label): name for label, name in sorted(tally.classes.items())},
        "oddities": dict(sorted(tally.oddities.items())),
        "inputs": inputs,
        "files": {name: dataclasses.asdict(record) for name, record in files.items()},
    }


def _digest(digest: Any, image: RawImage) -> None:
    digest.update(f"{image.name}\0{image.label}\0{len(image.data)}\0".encode())
    digest.update(image.data)


class _Tally(Tally):
    """Also the classes and oddities of the images met."""

    def __init__(self, job: Job, part: int, what: str) -> None:
        super().__init__(job, part, what)
        self.classes: dict[int, str] = {}
        self.oddities: Counter[str] = Counter()

    def read(self, image: RawImage) -> Images | None:
        """The pixels of an image; ``None``, and a fault more, if it cannot be used."""
        self.seen += 1
        self.show()
        if image.fault:
            self.fault(f"{image.name}: {image.fault}")
            return None
        if self.classes.setdefault(image.label, image.class_name) != image.class_name:
            known = self.classes[image.label]
            self.fault(f"{image.name}: class {image.class_name}, with {known}'s label")
            return None
        try:
            picture = read_picture(image.data)
        except DataError as error:
            self.fault(f"{image.name}: {error}")
            return None
        self.oddities.update(picture.oddities)
        return picture.pixels


def gather(job: Job, contents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
    """Write labels and places; returns the index, and how many images of which kinds there are."""
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
        "format": shards.FORMAT,
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
    counts = ", ".join(f"{split['count']} {name}" for name, split in splits.items())
    odd = "; of the files, " + ", ".join(f"{n} {name}" for name, n in sorted(oddities.items()))
    return index, f"{counts} images{odd if oddities else ''}"


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


def _classes(job: Job, contents: Sequence[Mapping[str, Any]]) -> list[str]:
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


def _check_split(job: Job, split: str, labels: Labels, classes: int) -> None:
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
