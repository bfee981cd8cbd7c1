"""ImageNet-1k as the gated dataset ILSVRC/imagenet-1k of the Hugging Face Hub, in Parquet files.

Files are fetched into ``parquet`` when a part needs them, with the token in ``HF_TOKEN``, which is
sent to the hub alone and never written or shown. What the hub says of sizes and SHA-256 is noted
once, in ``parquet/listing.json``; from then on the files are what that says. All files put there by
hand need neither token nor network.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toporepro.data.fetch import RemoteFile, fetch
from toporepro.data.guards import exclusive
from toporepro.data.raw import RawImage
from toporepro.data.store import DataError
from toporepro.provenance import write_json

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
        self._remote: dict[str, dict[str, Any]] = {}
        names = [path.name for path in self._folder.glob("*.parquet")]
        if not _complete(names):
            self._remote = self._listing()
            names = list(self._remote)
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

        path = self._file(unit)
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS, columns=["image", "label"]):
                    for number, row in enumerate(batch.to_pylist()):
                        yield _image(unit, number, row)
        except (pyarrow.ArrowException, OSError) as error:
            yield RawImage(unit, 0, "", b"", f"a damaged file ({error})")

    def _file(self, name: str) -> Path:
        known = self._remote.get(name)
        if known is None:
            return self._folder / name
        file = RemoteFile(
            name=name,
            urls=(f"{_endpoint()}/datasets/{DATASET}/resolve/main/data/{name}",),
            bytes=known["bytes"],
            sha256=known["sha256"],
            token=_token() or None,
        )
        return fetch(file, self._folder)

    def _listing(self) -> dict[str, dict[str, Any]]:
        path = self._folder / "listing.json"
        with exclusive(self._folder / ".listing.lock", "the list of files"):
            if not path.exists():
                write_json(path, _ask_hub(self._folder))
        listing: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return listing


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


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _token() -> str:
    return os.environ.get("HF_TOKEN", "").strip()


def _ask_hub(folder: Path) -> dict[str, dict[str, Any]]:
    import requests

    advice = (
        f"accept the terms at https://huggingface.co/datasets/{DATASET} with your account, make a "
        "token that may read at https://huggingface.co/settings/tokens, and set HF_TOKEN to it; or "
        f"put the Parquet files train-*.parquet and validation-*.parquet into {folder}"
    )
    if not _token():
        raise DataError(f"ImageNet-1k, form 'huggingface': HF_TOKEN is not set: {advice}")
    url = f"{_endpoint()}/api/datasets/{DATASET}/tree/main/data"
    try:
        answer = requests.get(
            url,
            headers={"Authorization": f"Bearer {_token()}", "User-Agent": "toporepro"},
            timeout=60,
            allow_redirects=False,
        )
        entries = answer.json() if answer.status_code == 200 else None
    except (requests.RequestException, ValueError) as error:
        raise DataError(f"{url}: {type(error).__name__}; is there a network?") from None
    if entries is None:
        raise DataError(f"{url}: {answer.status_code} {answer.reason}: {advice}")
    try:
        return {
            Path(entry["path"]).name: {"bytes": entry["size"], "sha256": entry["lfs"]["oid"]}
            for entry in entries
            if _FILE.fullmatch(Path(entry["path"]).name)
        }
    except (KeyError, TypeError) as error:
        raise DataError(f"{url}: an answer of an unknown form ({error})") from None
