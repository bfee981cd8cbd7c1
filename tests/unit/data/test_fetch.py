import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import misbehaving_server as web
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from misbehaving_server import Server

from toporepro.data import fetch as fetching
from toporepro.data.fetch import Patience, RemoteFile, fetch, fetch_all
from toporepro.data.store import DataError

CONTENT = random.Random(5).randbytes(100_000)
OTHER = bytes(255 - byte for byte in CONTENT)
HASTY = Patience(attempts=3, pause=0, connect=30, stall=30, report=60)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with web.serving() as running:
        yield running


def remote(*urls: str, content: bytes = CONTENT, name: str = "file.bin") -> RemoteFile:
    digest = hashlib.sha256(content).hexdigest()
    return RemoteFile(name=name, urls=urls, bytes=len(content), sha256=digest)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_file_arrives_whole_and_alone(server: Server, tmp_path: Path) -> None:
    path = fetch(remote(server.put("/a", web.right(CONTENT))), tmp_path / "new", patience=HASTY)
    assert path.read_bytes() == CONTENT
    assert visible(tmp_path / "new") == {"file.bin"}
    assert [request.range for request in server.requests] == [None]


def test_md5_alone_is_enough(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.right(CONTENT))
    md5 = hashlib.md5(CONTENT).hexdigest().upper()
    file = RemoteFile(name="f", urls=(url,), bytes=len(CONTENT), md5=md5)
    assert fetch(file, tmp_path, patience=HASTY).read_bytes() == CONTENT


def test_a_right_file_is_kept_without_touching_net_or_folder(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    before = (tmp_path / "file.bin").stat()
    fetch(remote(server.put("/a", web.right(CONTENT))), tmp_path)
    assert (tmp_path / "file.bin").stat() == before
    assert server.requests == []
    assert {path.name for path in tmp_path.iterdir()} == {"file.bin"}


@pytest.mark.parametrize("wrong", [b"short", OTHER])
def test_a_wrong_file_is_set_aside_never_deleted(
    server: Server, tmp_path: Path, wrong: bytes
) -> None:
    (tmp_path / "file.bin").write_bytes(wrong)
    (tmp_path / "file.bin.bad").write_bytes(b"an older one")
    fetch(remote(server.put("/a", web.right(CONTENT))), tmp_path, patience=HASTY)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert (tmp_path / "file.bin.bad").read_bytes() == b"an older one"
    assert (tmp_path / "file.bin.bad2").read_bytes() == wrong


def test_a_wrong_file_stays_while_no_right_one_comes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(OTHER)
    with pytest.raises(DataError, match=r"is there, but wrong: sha256 .* found, .* expected"):
        fetch(remote(server.put("/a", web.status(404))), tmp_path, patience=HASTY)
    assert (tmp_path / "file.bin").read_bytes() == OTHER


def test_resuming_asks_only_for_what_is_missing(server: Server, tmp_path: Path) -> None:
    url = server.put(
        "/a", web.truncated(CONTENT, 30_000), web.truncated(CONTENT, 25_000), web.right(CONTENT)
    )
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT
    ranges = [request.range for request in server.requests]
    assert ranges == [None, "bytes=30000-", "bytes=55000-"]
    assert server.sent == len(CONTENT)


def test_resuming_goes_on_at_another_mirror(server: Server, tmp_path: Path) -> None:
    first = server.put("/a", web.truncated(CONTENT, 30_000))
    second = server.put("/b", web.right(CONTENT))
    fetch(remote(first, second), tmp_path, patience=HASTY)
    assert [(r.path, r.range) for r in server.requests] == [("/a", None), ("/b", "bytes=30000-")]
    assert server.sent == len(CONTENT)


def test_slow_but_steady_progress_outlasts_the_attempts(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", *[web.truncated(CONTENT, 5_000)] * 19, web.right(CONTENT))
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT
    assert len(server.requests) == 20
    assert server.sent == len(CONTENT)


def test_a_killed_process_leaves_what_the_next_one_resumes(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.stalled(CONTENT, 40_000), web.right(CONTENT))
    code = (
        "import sys; from pathlib import Path; from toporepro.data.fetch import *;"
        "fetch(RemoteFile(name='file.bin', urls=(sys.argv[1],), bytes=100000, sha256=sys.argv[2]),"
        "Path(sys.argv[3]))"
    )
    arguments = [url, hashlib.sha256(CONTENT).hexdigest(), str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", code, *arguments]) as process:
        deadline = time.monotonic() + 60
        part = tmp_path / ".file.bin.part"
        while not (server.sent == 40_000 and part.exists()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    kept = part.stat().st_size
    server.requests.clear()
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT
    assert [request.range for request in server.requests] == [f"bytes={kept}-" if kept else None]
    assert server.sent == len(CONTENT) - kept


def test_a_server_that_ignores_ranges_begins_again(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.truncated(CONTENT, 30_000), web.ignoring_range(CONTENT))
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT
    assert server.requests[1].range == "bytes=30000-"


def test_truncation_at_one_point_for_ever_ends(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.ignoring_range(CONTENT, 30_000))
    with pytest.raises(DataError, match="broke off after 30000 of 100000 bytes"):
        fetch(remote(url), tmp_path, patience=HASTY)
    assert len(server.requests) == 1 + HASTY.attempts


def test_a_complete_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").write_bytes(CONTENT)
    fetch(remote(server.put("/a", web.status(404))), tmp_path, patience=HASTY)
    assert server.requests == []


@pytest.mark.parametrize("part", [OTHER[:50_000], OTHER, CONTENT + b"x"])
def test_a_spoilt_part_is_begun_again(server: Server, tmp_path: Path, part: bytes) -> None:
    (tmp_path / ".file.bin.part").write_bytes(part)
    url = server.put("/a", web.right(CONTENT))
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT
    assert server.requests[-1].range is None


def test_corruption_is_noticed_and_another_mirror_asked(server: Server, tmp_path: Path) -> None:
    corrupt, good = server.put("/a", web.right(OTHER)), server.put("/b", web.right(CONTENT))
    assert fetch(remote(corrupt, good), tmp_path, patience=HASTY).read_bytes() == CONTENT


def test_lasting_corruption_is_an_error_after_two_downloads(server: Server, tmp_path: Path) -> None:
    expected, found = (hashlib.sha256(data).hexdigest() for data in (CONTENT, OTHER))
    with pytest.raises(DataError, match=f"sha256 {found} found, {expected} expected"):
        fetch(remote(server.put("/a", web.right(OTHER))), tmp_path, patience=HASTY)
    assert len(server.requests) == 2
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_final_no_is_not_repeated(server: Server, tmp_path: Path, code: int) -> None:
    first, second = server.put("/a", web.status(code)), server.put("/b", web.right(CONTENT))
    fetch(remote(first, second), tmp_path / "x", patience=HASTY)
    assert [request.path for request in server.requests] == ["/a", "/b"]
    with pytest.raises(DataError, match=f"127.0.0.1:[0-9]*/a: {code}"):
        fetch(remote(first), tmp_path / "y", patience=HASTY)
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_trouble_is_waited_out(
    server: Server, tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(fetching.time, "sleep", pauses.append)
    busy = web.status(code, Retry_After=7)
    url = server.put("/a", busy, web.status(code), web.status(code), web.right(CONTENT))
    patience = Patience(attempts=4, pause=2, connect=30, stall=30)
    assert fetch(remote(url), tmp_path, patience=patience).read_bytes() == CONTENT
    assert [pause for pause in pauses if pause >= 1] == [7, 4, 8]


def test_trouble_without_end_is_given_up(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.status(503))
    with pytest.raises(DataError, match="/a: 503 Service Unavailable"):
        fetch(remote(url), tmp_path, patience=HASTY)
    assert len(server.requests) == HASTY.attempts


def test_a_silent_server_is_left_and_resumed_elsewhere(server: Server, tmp_path: Path) -> None:
    urls = server.put("/a", web.stalled(CONTENT, 20_000)), server.put("/b", web.right(CONTENT))
    patience = Patience(attempts=5, pause=0, connect=30, stall=1)
    assert fetch(remote(*urls), tmp_path, patience=patience).read_bytes() == CONTENT
    assert server.requests[1].range == "bytes=20000-"


def test_silence_is_named(server: Server, tmp_path: Path) -> None:
    def mute(handler: web.Handler) -> None:
        handler.state.closing.wait()

    patience = Patience(attempts=1, pause=0, connect=5, stall=0.2)
    with pytest.raises(DataError, match=r"nothing came for 0\.2 s"):
        fetch(remote(server.put("/a", mute)), tmp_path, patience=patience)


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.put("/b", web.right(CONTENT))
    for location in ("/b", f"{server.url}/b"):
        url = server.put("/a", web.redirect(location))
        assert fetch(remote(url), tmp_path / str(len(location)), patience=HASTY).exists()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/file.bin"])
def test_a_redirect_out_of_http_is_refused(server: Server, tmp_path: Path, location: str) -> None:
    with pytest.raises(DataError, match=r"redirects from http to (file|ftp) .*refused"):
        fetch(remote(server.put("/a", web.redirect(location))), tmp_path, patience=HASTY)
    assert len(server.requests) == 1


def test_encryption_is_not_given_up() -> None:
    assert fetching._redirected("http://a/x", "https://a/x") == "https://a/x"
    assert fetching._redirected("https://a/x/", "//b/y") == "https://b/y"
    with pytest.raises(fetching._UnusableError, match=r"from https to http \(http://b/y\)"):
        fetching._redirected("https://a/x", "http://b/y?token=secret")


def test_redirects_end(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 10 redirects"):
        fetch(remote(server.put("/a", web.redirect("/a"))), tmp_path, patience=HASTY)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (web.right(b"<html>sign in</html>"), "offers 20 bytes, 100000 expected"),
        (web.endless(CONTENT), "sends more than the 100000 bytes"),
        (web.unannounced(CONTENT + b"tail"), "sends more than the 100000 bytes"),
    ],
)
def test_another_length_is_refused(
    server: Server, tmp_path: Path, answer: web.Answer, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fetch(remote(server.put("/a", answer)), tmp_path, patience=HASTY)
    assert len(server.requests) == 1


def test_an_unannounced_length_is_fine(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.unannounced(CONTENT))
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT


@pytest.mark.parametrize("span", ["bytes 0-99999/100000", "bytes 10-99999/70", "nonsense"])
def test_a_wrong_range_is_refused(server: Server, tmp_path: Path, span: str) -> None:
    (tmp_path / ".file.bin.part").write_bytes(CONTENT[:10])
    url = server.put("/a", web.wrong_range(CONTENT[10:], span))
    with pytest.raises(DataError, match="answers Content-Range"):
        fetch(remote(url), tmp_path, patience=HASTY)


def test_an_unsatisfiable_range_begins_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").write_bytes(CONTENT[:10])
    url = server.put("/a", web.status(416), web.right(CONTENT))
    assert fetch(remote(url), tmp_path, patience=HASTY).read_bytes() == CONTENT
    assert [request.range for request in server.requests] == ["bytes=10-", None]


def test_a_full_disk_is_said_before_anything_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    file = remote(server.put("/a", web.right(CONTENT)))
    for attempt in (lambda: fetch(file, tmp_path), lambda: fetch_all([file], tmp_path)):
        with pytest.raises(DataError, match=r"needs 67\.2 MB, 1\.0 MB are free"):
            attempt()
    assert server.requests == []


def test_many_at_once_download_once(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", web.truncated(CONTENT, 50_000), web.right(CONTENT))
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=fetch, args=(remote(url), tmp_path), kwargs={"patience": HASTY})
        for _ in range(3)
    ]
    threads = [
        threading.Thread(target=fetch, args=(remote(url), tmp_path), kwargs={"patience": HASTY})
        for _ in range(3)
    ]
    for worker in (*processes, *threads):
        worker.start()
    for worker in (*processes, *threads):
        worker.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    file = remote(f"http://user:word@127.0.0.1:{port}/x/file.bin?token=secret")
    with pytest.raises(DataError) as caught:
        fetch(file, tmp_path / "mnist", patience=HASTY)
    message = str(caught.value)
    assert "file.bin could not be fetched" in message
    assert f"http://127.0.0.1:{port}/x/file.bin: ConnectionRefusedError" in message
    assert f"/x/file.bin → {tmp_path / 'mnist' / 'file.bin'} (100000 bytes, sha256 " in message
    assert "secret" not in message
    assert "word" not in message


def test_progress_names_file_share_rate_and_time_left(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.put("/a?token=secret", web.truncated(CONTENT, 50_000), web.right(CONTENT))
    patience = Patience(attempts=2, pause=0, connect=30, stall=30, report=0)
    fetch(remote(url), tmp_path, patience=patience)
    lines = capsys.readouterr().err
    assert "file.bin: 50.0 kB of 100.0 kB (50%), " in lines
    assert "kB/s, " in lines or "MB/s, " in lines
    assert " s left\n" in lines
    assert "secret" not in lines


def test_several_files_and_all_that_is_missing(server: Server, tmp_path: Path) -> None:
    good = server.put("/a", web.right(CONTENT))
    bad = server.put("/b", web.status(404))
    files = [
        remote(good, name="one"),
        remote(bad, name="two"),
        remote(bad, name="three"),
        remote(good, name="four"),
    ]
    with pytest.raises(DataError) as caught:
        fetch_all(files, tmp_path, patience=HASTY)
    message = str(caught.value)
    assert "two could not be fetched" in message
    for name, named in (("one", False), ("two", True), ("three", True), ("four", True)):
        assert (f"→ {tmp_path / name} (" in message) is named
    paths = fetch_all([files[0], files[3]], tmp_path, patience=HASTY)
    assert paths == (tmp_path / "one", tmp_path / "four")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a/b"},
        {"name": ".hidden"},
        {"urls": ()},
        {"urls": ("file:///etc/passwd",)},
        {"sha256": None},
        {"bytes": 0},
    ],
)
def test_impossible_files_are_refused(change: dict[str, object]) -> None:
    values = {"name": "a", "urls": ("https://a/b",), "bytes": 1, "sha256": "00"} | change
    with pytest.raises(ValueError, match=r"needed|at least 1"):
        RemoteFile(**values)  # type: ignore[arg-type]


faults = st.one_of(
    st.integers(0, 99_999).map(lambda n: web.truncated(CONTENT, n)),
    st.integers(0, 99_999).map(lambda n: web.ignoring_range(CONTENT, n)),
    st.sampled_from([web.status(503), web.status(416), web.ignoring_range(CONTENT)]),
)


@settings(max_examples=25)
@given(st.lists(faults, max_size=6), st.integers(0, 100_001))
def test_whatever_happens_on_the_way_the_bytes_are_right(
    troubles: list[web.Answer], part: int
) -> None:
    os.environ["NO_PROXY"] = "127.0.0.1"
    patience = Patience(attempts=8, pause=0, connect=30, stall=30)
    with web.serving() as server, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".file.bin.part").write_bytes((CONTENT + b"x")[:part])
        url = server.put("/a", *troubles, web.right(CONTENT))
        assert fetch(remote(url), Path(folder), patience=patience).read_bytes() == CONTENT
