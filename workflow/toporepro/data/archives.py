"""Reading members of tar, tar.gz, tar.xz and zip archives that others made.

Nothing is ever unpacked to disk under a name from an archive: members come one after the other as
bytes, within declared limits, and an archive with a suspicious member is refused as a whole.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from toporepro.data.guards import readable
from toporepro.data.index import DataError

# Headers and padding of a tar archive come on top of its members' bytes.
_TAR_OVERHEAD_PER_MEMBER = 8 << 10


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold at most, unpacked: number of members, bytes of each and of all."""

    members: int
    member_bytes: int
    total_bytes: int


def read_members(
    archive: Path, *, wanted: Callable[[str], bool], limits: Limits
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of the wanted regular files, in the archive's order.

    Args:
        archive: a tar, tar.gz, tar.xz or zip file, told apart by its first bytes.
        wanted: called with each member's name.
        limits: refuse the archive beyond these; all members count, wanted or not.

    Raises:
        DataError: if the archive is damaged or encrypted, exceeds the limits, or holds a member
            that is a link or device, has a name twice, or a name that leads out of the archive.
            A plain tar cut between two members cannot be told from a shorter one.
    """
    guard = _Guard(archive, limits)
    try:
        with archive.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic.startswith(b"PK"):
                yield from _zip_members(file, wanted, guard)
            elif magic.startswith(b"\x1f\x8b"):
                with gzip.open(file) as plain:
                    yield from _tar_members(cast("IO[bytes]", plain), wanted, guard)
            elif magic == b"\xfd7zX":
                with lzma.open(file) as plain:
                    yield from _tar_members(cast("IO[bytes]", plain), wanted, guard)
            else:
                yield from _tar_members(file, wanted, guard)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        gzip.BadGzipFile,
        NotImplementedError,
    ) as error:
        raise DataError(
            f"{archive}: a damaged or unknown archive ({error}); remove it and fetch it again"
        ) from None
    except OSError as error:
        raise DataError(f"{archive}: {error.strerror or error}") from None


class _Guard:
    """Checks each member before any of its bytes are read."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.limits = archive, limits
        self._names: set[str] = set()
        self._total = 0

    def check(self, name: str, size: int, *, regular: bool) -> None:
        path = PurePosixPath(name)
        if (
            not name
            or path.is_absolute()
            or ".." in path.parts
            or "\\" in name
            or "\0" in name
            or re.match("[A-Za-z]:", name)
        ):
            raise self.refused(f"member {name!r} leads out of the archive")
        if not regular:
            raise self.refused(f"member {name!r} is a link or a device")
        if str(path) in self._names:
            raise self.refused(f"member {name!r} is there twice")
        self._names.add(str(path))
        self._total += size
        limits = self.limits
        if len(self._names) > limits.members:
            raise self.refused(f"more than {limits.members} members")
        if size > limits.member_bytes or self._total > limits.total_bytes:
            raise self.refused(
                f"member {name!r} ({readable(size)}, {readable(self._total)} so far) exceeds "
                f"{readable(limits.member_bytes)} each, {readable(limits.total_bytes)} in all"
            )

    def refused(self, reason: str) -> DataError:
        return DataError(f"{self.archive}: refused: {reason}")


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more bytes than an honest archive of these limits has.

    A tar header may announce gigabytes of extended attributes, which tarfile reads into memory
    before any member can be checked.
    """

    def __init__(self, stream: IO[bytes], guard: _Guard) -> None:
        self._stream, self._guard = stream, guard
        limits = guard.limits
        self._left = limits.total_bytes + _TAR_OVERHEAD_PER_MEMBER * (limits.members + 2)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise self._guard.refused(f"more than {readable(self._guard.limits.total_bytes)}")
        return data


def _tar_members(
    stream: IO[bytes], wanted: Callable[[str], bool], guard: _Guard
) -> Iterator[tuple[str, bytes]]:
    bounded = cast("IO[bytes]", _Bounded(stream, guard))
    with tarfile.open(fileobj=bounded, mode="r|") as tar:
        for member in tar:
            guard.check(member.name, member.size, regular=member.isfile() or member.isdir())
            if member.isfile() and wanted(member.name):
                opened = tar.extractfile(member)
                assert opened is not None
                data = opened.read()
                if len(data) != member.size:
                    raise EOFError(f"{member.name} ends early")
                yield member.name, data
    while bounded.read(1 << 16):
        pass  # to the end, where gzip checks its own length and sum


def _zip_members(
    file: IO[bytes], wanted: Callable[[str], bool], guard: _Guard
) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            guard.check(member.filename, member.file_size, regular=regular)
            if member.flag_bits & 1:
                raise guard.refused(f"member {member.filename!r} is encrypted")
        for member in archive.infolist():
            if not member.is_dir() and wanted(member.filename):
                with archive.open(member) as opened:
                    data = opened.read(member.file_size + 1)
                if len(data) != member.file_size:
                    raise guard.refused(f"member {member.filename!r} is larger than it says")
                yield member.filename, data
