"""Fetching files as their makers publish them: resumable, checked, mirrored, atomic.

A download grows as ``.{name}.part`` beside its target and is resumed there by HTTP ranges, also
from another mirror: the makers' size and checksum decide in the end, whatever the way was.
"""

from __future__ import annotations

import collections
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from toporepro.data.guards import exclusive, readable, require_space
from toporepro.data.index import DataError
from toporepro.data.remote_file import RemoteFile
from toporepro.provenance import progress

if TYPE_CHECKING:
    import requests

_REDIRECTS = 10
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What a server says of a file without sending it.

    Attributes:
        bytes: its size.
        sha256: its SHA-256, if the server is one that announces it (the Hugging Face Hub).
        commit: the publisher's commit that holds it, if the server tells.
    """

    bytes: int
    sha256: str | None
    commit: str | None


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to bear with servers.

    Attributes:
        attempts: rounds over all mirrors without any progress before giving up.
        pause: seconds before the second round; doubled each round.
        connect: seconds until a server must accept the connection.
        stall: seconds of silence after which a connection is given up.
        report: seconds between lines of progress.
    """

    attempts: int = 4
    pause: float = 1.0
    connect: float = 20.0
    stall: float = 60.0
    report: float = 5.0


PATIENT = Patience()


class _UnusableError(Exception):
    """This address will not give the file, however often it is asked."""


class _InterruptedError(Exception):
    """This attempt failed; another one may succeed, after ``pause`` seconds if the server says."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _SpoiltError(Exception):
    """All bytes have come, and they are not the file's."""


def fetch(file: RemoteFile, folder: Path, *, patience: Patience = PATIENT) -> Path:
    """Bring a file into a folder, unless it is there and right, and return its path.

    A wrong file of that name is kept as ``{name}.bad`` once the right one has come. Several
    processes may fetch the same file: one does, the others wait for it.

    Raises:
        DataError: if no mirror gives the file; the message says which were asked, what they
            answered, and where to put the file by hand.
    """
    target = folder / file.name
    if target.exists() and file.fault(target) is None:
        return target
    with exclusive(folder / f".{file.name}.lock", file.name):
        fault = file.fault(target) if target.exists() else "absent"
        if fault is None:
            return target
        part = folder / f".{file.name}.part"
        require_space(folder, file.bytes - min(_size(part), file.bytes), f"fetching {file.name}")
        try:
            _download(file, part, patience)
        except DataError as error:
            there = "" if fault == "absent" else f"{target} is there, but wrong: {fault}\n"
            advice = "Without a network, get it elsewhere and put it there by hand:"
            raise DataError(f"{there}{error}\n{advice}\n{_by_hand(file, folder)}") from None
        with part.open("rb") as written:
            os.fsync(written.fileno())
        if target.exists():
            aside = _set_aside(target)
            progress(f"{target}: {fault}; kept as {aside.name}")
        part.replace(target)
    return target


def fetch_all(
    files: Iterable[RemoteFile], folder: Path, *, patience: Patience = PATIENT
) -> tuple[Path, ...]:
    """``fetch`` each file; a failure also says which others are still missing.

    Raises:
        DataError: as ``fetch`` does, or if all of them together do not fit on the disk.
    """
    files = tuple(files)
    missing = [file for file in files if not (folder / file.name).exists()]
    need = sum(
        file.bytes - min(_size(folder / f".{file.name}.part"), file.bytes) for file in missing
    )
    if missing:
        require_space(folder, need, f"fetching {', '.join(file.name for file in missing)}")
    paths = []
    for file in files:
        try:
            paths.append(fetch(file, folder, patience=patience))
        except DataError as error:
            others = [other for other in missing if other is not file]
            lines = [
                _by_hand(other, folder) for other in others if not (folder / other.name).exists()
            ]
            raise DataError("\n".join([str(error), *lines])) from None
    return tuple(paths)


def announced(url: str, *, patience: Patience = PATIENT) -> Announcement:
    """Ask a server about a file: its size, and its SHA-256 where the server is the hub.

    Raises:
        DataError: if the server does not answer, or does not know the size.
    """
    import requests

    answer = "not asked"
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(min(patience.pause * 2 ** (attempt - 1), _LONGEST_PAUSE))
        try:
            with requests.Session() as session:
                return _ask(session, url, patience)
        except requests.RequestException as error:
            answer = _reason(error, patience)
        except _InterruptedError as error:
            answer = str(error)
        except _UnusableError as error:
            answer = str(error)
            break
    raise DataError(f"{_shown(url)}: {answer}")


def _ask(session: requests.Session, url: str, patience: Patience) -> Announcement:
    commit = None
    for _ in range(_REDIRECTS):
        response = session.head(
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "toporepro"},
            allow_redirects=False,
            timeout=(patience.connect, patience.stall),
        )
        headers, status = response.headers, response.status_code
        commit = headers.get("X-Repo-Commit", commit)
        digest = headers.get("X-Linked-ETag", "").removeprefix("W/").strip('"').lower()
        linked = headers.get("X-Linked-Size", "")
        if status < 400 and re.fullmatch(r"[0-9a-f]{64}", digest) and linked.isdigit():
            return Announcement(bytes=int(linked), sha256=digest, commit=commit)
        if response.is_redirect:
            url = _redirected(url, headers["Location"])
            continue
        if status in (408, 425, 429) or status >= 500:
            raise _InterruptedError(f"{status} {response.reason or ''}".strip())
        if status != 200:
            raise _UnusableError(f"{status} {response.reason or ''}".strip())
        length = headers.get("Content-Length", "")
        if not length.isdigit():
            raise _UnusableError("does not say how large the file is")
        return Announcement(bytes=int(length), sha256=None, commit=commit)
    raise _UnusableError(f"more than {_REDIRECTS} redirects")


def _download(file: RemoteFile, part: Path, patience: Patience) -> None:
    """Fill ``part`` with the file's bytes and check them."""
    usable, answers = list(file.urls), dict.fromkeys(file.urls, "not asked")
    spoilt: collections.Counter[str] = collections.Counter()
    fruitless, best, pause = 0, _size(part), 0.0
    while usable and fruitless < patience.attempts:
        if fruitless:
            time.sleep(min(max(pause, patience.pause * 2 ** (fruitless - 1)), _LONGEST_PAUSE))
        pause = 0.0
        for url in tuple(usable):
            try:
                _receive(file, url, part, patience)
                fault = file.fault(part)
                if fault is None:
                    return
                raise _SpoiltError(fault)
            except _InterruptedError as error:
                answers[url], pause = str(error), max(pause, error.pause)
            except _UnusableError as error:
                answers[url] = str(error)
                usable.remove(url)
            except _SpoiltError as error:
                # The part may have been begun by another mirror or an older run: once more,
                # from the first byte, before this address is given up.
                answers[url] = str(error)
                part.unlink()
                best = 0
                spoilt[url] += 1
                if spoilt[url] > 1:
                    usable.remove(url)
            progress(f"{file.name}: {_shown(url)}: {answers[url]}")
        # A hundredth of the file per round, so that their number is bounded.
        grown = _size(part) - best >= max(1, file.bytes // 100)
        fruitless = 0 if grown else fruitless + 1
        best = max(best, _size(part))
    tried = "".join(f"\n  {_shown(url)}: {answer}" for url, answer in answers.items())
    raise DataError(f"{file.name} could not be fetched:{tried}")


def _receive(file: RemoteFile, url: str, part: Path, patience: Patience) -> None:
    """Append what is missing of ``part`` from one address; return once it has its full size."""
    import requests
    from urllib3.exceptions import HTTPError

    have = _size(part)
    if have > file.bytes:
        part.unlink()
        have = 0
    if have == file.bytes:
        return
    try:
        with (
            requests.Session() as session,
            _open(session, url, have, patience, file.token) as response,
        ):
            start = _start(file, response, part, have)
            size, meter = start, _Meter(file, start, patience.report)
            with part.open("ab" if start else "wb") as output:
                while data := response.raw.read1(1 << 18, decode_content=False):
                    size += len(data)
                    if size > file.bytes:
                        break
                    output.write(data)
                    meter.show(size)
    except (requests.RequestException, HTTPError) as error:
        reached = f" after {_size(part)} of {file.bytes} bytes" if _size(part) else ""
        raise _InterruptedError(_reason(error, patience) + reached) from None
    if size > file.bytes:
        part.unlink()
        raise _UnusableError(f"sends more than the {file.bytes} bytes expected")
    if size < file.bytes:
        raise _InterruptedError(f"broke off after {size} of {file.bytes} bytes")


def _open(
    session: requests.Session, url: str, have: int, patience: Patience, token: str | None
) -> requests.Response:
    """Ask for the bytes from ``have`` on, following safe redirects."""
    # Without "identity" a server may compress on the fly, and ranges then count other bytes.
    headers = {"Accept-Encoding": "identity", "User-Agent": "toporepro"}
    if have:
        headers["Range"] = f"bytes={have}-"
    host = urlsplit(url)[:2]
    for _ in range(_REDIRECTS):
        headers.pop("Authorization", None)
        if token and urlsplit(url)[:2] == host:
            headers["Authorization"] = f"Bearer {token}"
        response = session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(patience.connect, patience.stall),
        )
        if not response.is_redirect:
            return response
        response.close()
        url = _redirected(url, response.headers["Location"])
    raise _UnusableError(f"more than {_REDIRECTS} redirects")


def _redirected(url: str, location: str) -> str:
    """The next address, unless it leaves http(s) or gives up encryption."""
    target = urljoin(url, location)
    before, after = urlsplit(url).scheme, urlsplit(target).scheme
    if after not in ("http", "https") or (before == "https" and after == "http"):
        raise _UnusableError(f"redirects from {before} to {after} ({_shown(target)}): refused")
    return target


def _start(file: RemoteFile, response: requests.Response, part: Path, have: int) -> int:
    """The offset at which a response's body begins, once its status and sizes fit the file."""
    status, headers = response.status_code, response.headers
    if status == 200:
        length = headers.get("Content-Length", "")
        if length.isdigit() and int(length) != file.bytes:
            raise _UnusableError(f"offers {length} bytes, {file.bytes} expected")
        return 0
    if status == 206 and have:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if not found or int(found[1]) != have or found[2] not in ("*", str(file.bytes)):
            raise _UnusableError(
                f"answers Content-Range {headers.get('Content-Range')!r}, "
                f"bytes {have}-{file.bytes - 1}/{file.bytes} expected"
            )
        return have
    answer = f"{status} {response.reason or ''}".strip()
    if status == 416:
        part.unlink(missing_ok=True)
        raise _InterruptedError(f"{answer}: starting again from the first byte")
    if status in (408, 425, 429) or status >= 500:
        wait = headers.get("Retry-After", "")
        raise _InterruptedError(answer, float(wait) if wait.isdigit() else 0.0)
    raise _UnusableError(answer)


class _Meter:
    """Lines of progress: size, rate and time left."""

    def __init__(self, file: RemoteFile, start: int, interval: float) -> None:
        self._file, self._start, self._interval = file, start, interval
        self._began = self._last = time.monotonic()

    def show(self, size: int) -> None:
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        rate = (size - self._start) / max(now - self._began, 1e-9)
        total = self._file.bytes
        progress(
            f"{self._file.name}: {readable(size)} of {readable(total)} ({size / total:.0%}), "
            f"{readable(rate)}/s, {(total - size) / max(rate, 1e-9):.0f} s left"
        )


def _reason(error: BaseException, patience: Patience) -> str:
    """What went wrong, in few words and without the address, which may carry a token."""
    name = type(error).__name__
    if "ConnectTimeout" in name:
        return f"no connection within {patience.connect:g} s"
    if "ReadTimeout" in name:
        return f"nothing came for {patience.stall:g} s"
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if type(error).__name__ == "IncompleteRead":
        return "broke off"
    detail = getattr(error, "strerror", None)
    return f"{type(error).__name__}{f' ({detail})' if detail else ''}"


def _shown(url: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _by_hand(file: RemoteFile, folder: Path) -> str:
    sums = ", ".join(f"{name} {value}" for name, value in file.checksums.items())
    path = folder / file.name
    return f"  {_shown(file.urls[0])} → {path} ({file.bytes} bytes, {sums})"


def _set_aside(path: Path) -> Path:
    """Rename a file to the first free of ``{name}.bad``, ``{name}.bad2``, …"""
    number = 1
    while (aside := path.with_name(f"{path.name}.bad{number if number > 1 else ''}")).exists():
        number += 1
    return path.rename(aside)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
