"""Networks that are slow, silent, wrong or hostile: the right bytes, or one error that says why."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.clock import JUMP, Clock, needed
from tests.faults.conftest import Injected
from tests.faults.stages import WAYS
from tests.unit.data import misbehaving_server as web
from toporepro.data.fetch import Patience, RemoteFile, fetch
from toporepro.data.index import DataError

CONTENT = random.Random(7).randbytes(60_000)
OTHER = bytes(255 - byte for byte in CONTENT)
PATIENCE = Patience(attempts=4, pause=0, connect=5, stall=0.5, report=60)
SECRET = "hf_verysecret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[web.Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with web.serving() as running:
        yield running


def remote(url: str) -> RemoteFile:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return RemoteFile(name="file.bin", urls=(url,), bytes=len(CONTENT), sha256=digest)


def slow(handler: web.Handler) -> None:
    handler.head(200, Content_Length=len(CONTENT))
    for start in range(0, len(CONTENT), 6_000):
        handler.state.closing.wait(0.05)
        handler.body(CONTENT[start : start + 6_000])


def reset(handler: web.Handler) -> None:
    """Half of it, then no orderly end of the connection."""
    handler.head(200, Content_Length=len(CONTENT))
    handler.body(CONTENT[: len(CONTENT) // 2])
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.hang_up()


MENDED: dict[str, list[web.Answer]] = {
    "slow": [slow],
    "stalled half-way": [web.stalled(CONTENT, 30_000), web.right(CONTENT)],
    "reset half-way": [reset, web.right(CONTENT)],
    "cut half-way": [web.truncated(CONTENT, 30_000), web.right(CONTENT)],
    "busy (503), then right": [web.status(503), web.right(CONTENT)],
    "other bytes, then right": [web.right(OTHER), web.right(CONTENT)],
}
REFUSED: dict[str, tuple[web.Answer, str]] = {
    "a page in place of the file": (web.right(b"<html>sign in</html>"), "offers 20 bytes"),
    "more bytes than announced": (web.endless(CONTENT), "sends more than"),
    "other bytes": (web.right(OTHER), r"sha256 \w+ found"),
    "a redirect to a file": (web.redirect("file:///etc/passwd"), "refused"),
    "a redirect to FTP": (web.redirect("ftp://127.0.0.1/x"), "refused"),
    "not found": (web.status(404), "404"),
}


@pytest.mark.parametrize("what", MENDED)
def test_the_right_bytes_come_in_the_end(
    what: str, server: web.Server, tmp_path: Path, injected: Injected
) -> None:
    url = server.put("/a", *MENDED[what])
    assert fetch(remote(url), tmp_path, patience=PATIENCE).read_bytes() == CONTENT
    injected("network", what, 1, "the right bytes")


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_answers_are_refused(
    what: str, server: web.Server, tmp_path: Path, injected: Injected
) -> None:
    answer, says = REFUSED[what]
    with pytest.raises(DataError, match=says) as caught:
        fetch(remote(server.put("/a", answer)), tmp_path, patience=PATIENCE)
    assert "/a" in str(caught.value)
    assert not (tmp_path / "file.bin").exists()
    injected("network", what, 1, "refused, the address named")


FETCH = (
    "import sys; from pathlib import Path; from toporepro.data.fetch import RemoteFile, fetch; "
    "fetch(RemoteFile(name='file.bin', urls=(sys.argv[1],), bytes=int(sys.argv[2]), "
    "sha256=sys.argv[3]), Path(sys.argv[4]))"
)


@pytest.mark.parametrize("way", WAYS)
def test_a_fetch_that_is_killed_goes_on(
    way: str, server: web.Server, tmp_path: Path, injected: Injected
) -> None:
    url = server.put("/a", slow, web.right(CONTENT))
    digest = hashlib.sha256(CONTENT).hexdigest()
    command = [sys.executable, "-c", FETCH, url, str(len(CONTENT)), digest, str(tmp_path)]
    part = tmp_path / ".file.bin.part"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while not part.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(random.Random(way).uniform(0, 0.3))
        with contextlib.suppress(ProcessLookupError):
            WAYS[way](process.pid)
    assert not (tmp_path / "file.bin").exists() or way == "out of memory (RLIMIT_AS)"
    assert fetch(remote(url), tmp_path, patience=PATIENCE).read_bytes() == CONTENT
    assert not part.exists()
    injected(way, "fetch", 1, "the next start goes on; the right bytes")


@needed
def test_a_fetch_sees_the_clock_jump(
    server: web.Server, tmp_path: Path, injected: Injected
) -> None:
    clock, folder = Clock(tmp_path), tmp_path / "raw"
    digest = hashlib.sha256(CONTENT).hexdigest()
    words = [server.put("/a", slow), str(len(CONTENT)), digest, str(folder)]
    with subprocess.Popen([*clock.command, sys.executable, "-c", FETCH, *words]) as process:
        while not (folder / ".file.bin.part").exists():
            assert process.poll() is None
            time.sleep(0.01)
        clock.set(3)
    assert process.returncode == 0
    assert (folder / "file.bin").read_bytes() == CONTENT
    injected(JUMP, "fetch", 1, "the right bytes")


@pytest.mark.parametrize("how", ["full disk", "read-only folder"])
def test_a_fetch_that_cannot_be_written_is_said(
    how: str, server: web.Server, tmp_path: Path, injected: Injected
) -> None:
    if os.geteuid():
        pytest.skip("not root: a disk of its own cannot be mounted")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = "size=16k" if how == "full disk" else "ro"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        with pytest.raises((DataError, OSError), match=r"disk|Read-only"):
            fetch(remote(server.put("/a", web.right(CONTENT))), folder, patience=PATIENCE)
        assert not (folder / "file.bin").exists()
        subprocess.run(["mount", "-o", "remount,rw,size=128m", str(folder)], check=True)
        url = server.put("/a", web.right(CONTENT))
        assert fetch(remote(url), folder, patience=PATIENCE).read_bytes() == CONTENT
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    injected(how, "fetch", 1, "one error with the path; afterwards identical files")


def test_a_proxy_is_used(
    server: web.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, injected: Injected
) -> None:
    url = "http://example.invalid/file.bin"
    server.answers = {url: [web.right(CONTENT)]}  # a proxy is asked by the whole address
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch(remote(url), tmp_path, patience=PATIENCE).read_bytes() == CONTENT
    assert [request.path for request in server.requests] == [url]
    injected("network", "a proxy", 1, "used")


@pytest.mark.parametrize("place", ["query", "user"])
def test_secrets_of_an_address_are_not_repeated(
    place: str,
    server: web.Server,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    injected: Injected,
) -> None:
    url = server.put(f"/a?token={SECRET}", web.status(403))
    if place == "user":
        url = server.put("/a", web.status(403)).replace("http://", f"http://me:{SECRET}@")
    with pytest.raises(DataError) as caught:
        fetch(remote(url), tmp_path, patience=PATIENCE)
    said = str(caught.value) + "".join(capfd.readouterr())
    assert SECRET not in said
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
    injected("network", f"a secret in an address's {place}", 1, "in no message and no file")
