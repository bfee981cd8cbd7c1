"""A published file: where it is, and how to tell that one on disk is it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file and the places that publish it.

    Attributes:
        name: its name on disk.
        urls: mirrors of the same bytes, tried in this order.
        bytes: its exact size.
        sha256, md5: its checksums in hexadecimal, as far as its makers publish them; at least one.
        first: of a file that nobody has published a checksum of: the caller notes the one it finds.
            None is needed then, and ``sha256`` may be its first digits.
        token: sent as a bearer token, to the hosts of ``urls`` alone; never shown.
    """

    name: str
    urls: tuple[str, ...]
    bytes: int
    sha256: str | None = None
    md5: str | None = None
    first: bool = False
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name.startswith("."):
            raise ValueError(f"name={self.name!r}: a plain file name is needed")
        if not self.urls or any(urlsplit(url).scheme not in ("http", "https") for url in self.urls):
            raise ValueError(f"{self.name}: urls={self.urls}: http or https addresses are needed")
        if not self.first and not self.checksums:
            raise ValueError(f"{self.name}: a checksum is needed")
        if self.bytes < 1:
            raise ValueError(f"{self.name}: bytes={self.bytes}: at least 1")

    @property
    def checksums(self) -> dict[str, str]:
        """Algorithm → expected hexadecimal digest."""
        known = {"sha256": self.sha256, "md5": self.md5}
        return {name: value.lower() for name, value in known.items() if value}

    def _agrees(self, found: str, expected: str) -> bool:
        return found.startswith(expected) if self.first else found == expected

    def fault(self, path: Path) -> str | None:
        """What is wrong with a file on disk, or ``None`` if it is this one."""
        size = path.stat().st_size
        if size != self.bytes:
            return f"{size} bytes found, {self.bytes} expected"
        for name, expected in self.checksums.items():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, name).hexdigest()
            if not self._agrees(found, expected):
                return f"{name} {found} found, {expected} expected"
        return None
