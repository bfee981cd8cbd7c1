"""Fetching published checkpoints, whose checksums nobody has written down.

What a file must be is settled once, at its first download, and kept in a lock file that belongs
under version control (``config/checkpoints.lock.json``): address → size, SHA-256, and how it was
known. From then on nothing else passes. The first time it is known, in this order,

1. from the spec, if it gives the whole SHA-256;
2. from the Hugging Face Hub, whose ``resolve`` addresses announce the SHA-256 and the size of large
   files (``X-Linked-ETag``, ``X-Linked-Size``) before the download, together with the commit;
3. from the bytes themselves: the first download is trusted, apart from its announced size and from
   the first digits of its SHA-256 if the spec gives them, as torchvision's file names do. So is a
   file that somebody put into the folder of downloads by hand while the server cannot be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toporepro.data.fetch import PATIENT, Patience, announced, fetch
from toporepro.data.guards import exclusive
from toporepro.data.remote_file import RemoteFile
from toporepro.data.store import DataError
from toporepro.provenance import progress, sha256, write_json
from toporepro.spec import CheckpointSpec, SpecError, decode


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What is known of a published file, once and for all.

    Attributes:
        bytes, sha256: of the file.
        known: how the SHA-256 was known: ``spec``, ``hub``, ``first download``, ``file on disk``.
        commit: the publisher's commit at that time, if the hub told.
    """

    bytes: int
    sha256: str
    known: str
    commit: str | None = None


def bring(
    checkpoint: CheckpointSpec, raw: Path, lock: Path, *, patience: Patience = PATIENT
) -> tuple[Path, Pin]:
    """The checkpoint's file, fetched where needed and checked, and what it is pinned to.

    Args:
        checkpoint: its address, or its own file.
        raw: folder of downloads; the file lies in ``raw/checkpoints``, in a folder that is named by
            its address, and may be put there by hand.
        lock: the lock file; a new pin is added to it.

    Raises:
        DataError: if the file cannot be had, or is not what the spec or the lock file says.
    """
    if checkpoint.url is None:
        path = Path(checkpoint.file or "")
        if not path.is_file():
            raise DataError(f"{path}: no such file; a preset names it as a checkpoint")
        found = sha256(path)
        _compare(checkpoint, found, str(path))
        return path, Pin(bytes=path.stat().st_size, sha256=found, known="spec")
    target = raw / "checkpoints" / place(checkpoint.url)
    with exclusive(target.with_name(f".{target.name}.pin.lock"), target.name):
        pin = _pins(lock).get(checkpoint.url)
        if pin is not None:
            _compare(checkpoint, pin.sha256, f"{lock}: {checkpoint.url}")
            return fetch(_remote(checkpoint.url, pin), target.parent, patience=patience), pin
        path, pin = _first(checkpoint, checkpoint.url, target, patience)
        with exclusive(raw / "checkpoints" / ".pins.lock", lock.name):  # other jobs add theirs
            _add(lock, checkpoint.url, pin)
    progress(
        f"{target.name}: pinned to SHA-256 {pin.sha256} (known from: {pin.known}); commit {lock}"
    )
    return path, pin


def place(url: str) -> Path:
    """Folder and name of a download: ``…/a/b/c.pt`` → ``a--b/c.pt``."""
    parts = [part for part in unquote(urlsplit(url).path).split("/") if part not in ("", "..", ".")]
    if not parts:
        raise SpecError(f"url={url!r}: it names no file")
    folder = re.sub(r"[^A-Za-z0-9._-]", "_", "--".join(parts[:-1])) or "files"
    return Path(folder.lstrip(".")) / re.sub(r"[^A-Za-z0-9._-]", "_", parts[-1]).lstrip(".")


def _first(
    checkpoint: CheckpointSpec, url: str, target: Path, patience: Patience
) -> tuple[Path, Pin]:
    """The first download of a file, and the pin it gets."""
    given = checkpoint.sha256
    whole = given if given is not None and len(given) == 64 else None
    if target.exists() and whole and sha256(target) == whole:
        return target, Pin(bytes=target.stat().st_size, sha256=whole, known="spec")
    try:
        told = announced(url, patience=patience)
    except DataError as error:
        if target.exists():  # put there by hand, where there is no network
            found = sha256(target)
            _compare(checkpoint, found, str(target))
            return target, Pin(bytes=target.stat().st_size, sha256=found, known="file on disk")
        by_hand = f"Without a network, get it elsewhere and put it there by hand: {target}"
        raise DataError(f"{error}\n{by_hand}") from None
    if told.sha256:
        _compare(checkpoint, told.sha256, f"{url}, as announced by its server")
    digest = whole or told.sha256
    if digest is not None:
        known = "spec" if whole else "hub"
        pin = Pin(bytes=told.bytes, sha256=digest, known=known, commit=told.commit)
        return fetch(_remote(url, pin), target.parent, patience=patience), pin
    file = RemoteFile(name=target.name, urls=(url,), bytes=told.bytes, sha256=given, first=True)
    path = fetch(file, target.parent, patience=patience)
    found = sha256(path)
    return path, Pin(bytes=told.bytes, sha256=found, known="first download", commit=told.commit)


def _remote(url: str, pin: Pin) -> RemoteFile:
    return RemoteFile(name=place(url).name, urls=(url,), bytes=pin.bytes, sha256=pin.sha256)


def _compare(checkpoint: CheckpointSpec, found: str, what: str) -> None:
    if checkpoint.sha256 is not None and not found.startswith(checkpoint.sha256):
        raise DataError(f"{what}: SHA-256 {found}, but the preset says {checkpoint.sha256}")


def _pins(lock: Path) -> dict[str, Pin]:
    if not lock.exists():
        return {}
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            raise TypeError("an object is needed")
        return {url: decode(Pin, entry) for url, entry in content.items()}
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{lock}: not a lock file of checkpoints ({error})") from None


def _add(lock: Path, url: str, pin: Pin) -> None:
    pins = {**_pins(lock), url: pin}
    write_json(lock, {key: asdict(value) for key, value in sorted(pins.items())})
