"""ImageNet-1k as the gated dataset ILSVRC/imagenet-1k of the Hugging Face Hub, in Parquet files.

Files are fetched into ``parquet`` when a part needs them (``data.hub``). Where all of them were put
there by hand, neither token nor network is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toporepro.data.hub import HubFolder
from toporepro.data.raw import RawImage
from toporepro.data.store import DataError

DATASET = "ILSVRC/imagenet-1k"
_FILE = re.compile(r"(train|validation)-(\d{5})-of-(\d{5})\.parquet")
_PREFIX = {"train": "train", "test": "validation"}
_ROWS = 128


class Hub:
    """The Parquet files, here or on the hub.

    Raises:
        DataError: if they are not all here, and the hub cannot be asked; with what to do.
    """

    def __init__(self, raw: Path) -> None:
        self._folder = raw / "parquet"
        self._remote: HubFolder | None = None
        names = [path.name for path in self._folder.glob("*.parquet")]
        if not _complete(names):
            self._remote = _remote(self._folder)
            names = list(self._remote.listing())
            if not _complete(names):
                raise DataError(f"{DATASET}: the hub lists {len(names)} files, not all that it has")
        self._names = sorted(name for name in names if _FILE.fullmatch(name))

    def count(self, split: str) -> int:
        return 0

    def units(self, split: str) -> tuple[str, ...]:
        return tuple(name for name in self._names if name.startswith(f"{_PREFIX[split]}-"))

    def read(self, split: str, unit: str) -> Iterator[RawImage]:
        import pyarrow
        from pyarrow import parquet

        path = self._remote.fetch(unit) if self._remote else self._folder / unit
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS, columns=["image", "label"]):
                    for number, row in enumerate(batch.to_pylist()):
                        yield _image(unit, number, row)
        except (pyarrow.ArrowException, OSError) as error:
            yield RawImage(unit, 0, "", b"", f"a damaged file ({error})")


def _image(unit: str, number: int, row: dict[str, Any]) -> RawImage:
    image, label = row["image"] or {}, row["label"]
    source = str(image.get("path") or number)
    wnids = re.findall(r"n\d{8}", source)
    name = f"{unit}: {source}"
    if not isinstance(label, int) or label < 0 or not wnids:
        return RawImage(name, 0, "", b"", f"label {label!r} and no class in the image's name")
    data = image.get("bytes") or b""
    return RawImage(name, label, wnids[-1], data, "" if data else "no image in this row")


def _complete(names: list[str]) -> bool:
    """Whether all files of both splits are there, by the number that each name bears."""
    found: dict[str, set[int]] = {}
    totals = set()
    for match in filter(None, map(_FILE.fullmatch, names)):
        found.setdefault(match[1], set()).add(int(match[2]))
        totals.add((match[1], int(match[3])))
    return len(totals) == 2 and all(found[name] == set(range(total)) for name, total in totals)


def _remote(folder: Path) -> HubFolder:
    advice = (
        f"accept the terms at https://huggingface.co/datasets/{DATASET} with your account, make a "
        "token that may read at https://huggingface.co/settings/tokens, and set HF_TOKEN to it; or "
        f"put the Parquet files train-*.parquet and validation-*.parquet into {folder}"
    )
    if not os.environ.get("HF_TOKEN", "").strip():
        raise DataError(f"ImageNet-1k, form 'huggingface': HF_TOKEN is not set: {advice}")
    return HubFolder(DATASET, "data", folder, lambda name: bool(_FILE.fullmatch(name)), advice)
