"""A lease: one process at a time, and no dead one keeps it."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from toporepro import lease as lease_module
from toporepro.lease import Lease, LeaseError, process_start

USE = "x is being trained"


def write(folder: Path, **content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    holder = {"host": os.uname().nodename, "pid": 1, "process_start": "0", "job": "", "token": "x"}
    path = folder / "lease.json"
    path.write_text(json.dumps(holder | {"heartbeat": time.time()} | content))
    return path


def test_it_names_its_holder_and_goes_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with Lease(tmp_path / "state", USE) as lease:
        content = json.loads(lease.path.read_text())
        assert content["pid"] == os.getpid()
        assert content["host"] == os.uname().nodename
        assert content["job"] == "4711"
        assert content["process_start"] == process_start(os.getpid())
        assert content["heartbeat"] == pytest.approx(time.time(), abs=60)
        lease.check()
    assert not lease.path.exists()


def test_it_keeps_a_second_process_off(tmp_path: Path) -> None:
    message = rf"x is being trained by process {os.getpid()} on .*; wait for it or stop it"
    with Lease(tmp_path, USE), pytest.raises(LeaseError, match=message), Lease(tmp_path, USE):
        pass
    with Lease(tmp_path, USE):
        pass


def test_a_dead_process_of_this_host_is_succeeded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write(tmp_path, pid=process.pid, process_start="1", job="12")
    with Lease(tmp_path, USE):
        pass
    assert f"took over from process {process.pid} on" in capsys.readouterr().err


def test_a_process_number_used_again_is_no_holder(tmp_path: Path) -> None:
    write(tmp_path, pid=os.getpid(), process_start="not this one's")
    with Lease(tmp_path, USE):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "x"}'])
def test_an_unreadable_lease_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "lease.json").write_text(text)
    with Lease(tmp_path, USE):
        pass


def test_a_silent_holder_elsewhere_is_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease_module, "SILENCE", 0.1)
    write(tmp_path, host="elsewhere")
    with Lease(tmp_path, USE):
        pass
    assert "watching for 0 s" in capsys.readouterr().err


def test_one_long_silent_is_succeeded_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, host="elsewhere", heartbeat=time.time() - 7200)
    with Lease(tmp_path, USE):
        pass
    assert "watching" not in capsys.readouterr().err


@pytest.mark.parametrize("ends", [False, True])
def test_a_beating_holder_elsewhere_is_waited_for_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr(lease_module, "SILENCE", 20.0)
    path = write(tmp_path, host="elsewhere", job="12", heartbeat=time.time() + 600)  # its clock

    def act(_: float) -> None:
        if ends:
            path.unlink(missing_ok=True)
        else:
            write(tmp_path, host="elsewhere", heartbeat=time.time() + 601)

    monkeypatch.setattr(time, "sleep", act)
    if ends:
        with Lease(tmp_path, USE):
            pass
    else:
        with (
            pytest.raises(LeaseError, match=r"on elsewhere \(cluster job 12\)"),
            Lease(tmp_path, USE),
        ):
            pass


def test_it_beats_and_notices_that_it_was_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "BEAT", 0.01)
    beats = threading.Semaphore(0)
    with Lease(tmp_path, USE) as lease:
        lease.on_beat = beats.release
        for _ in range(3):
            assert beats.acquire(timeout=20)
        write(tmp_path, host="elsewhere")
        lease._thread.join(timeout=20)
        with pytest.raises(LeaseError, match="another process has taken over"):
            lease.check()
    assert lease.path.exists()  # it is the other's


def test_a_heartbeat_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease_module, "BEAT", 0.01)
    beats = threading.Semaphore(0)

    def fail() -> None:
        beats.release()
        raise RuntimeError("disk full")

    with Lease(tmp_path, USE) as lease:
        lease.on_beat = fail
        assert beats.acquire(timeout=20)
        assert beats.acquire(timeout=20)
        lease.check()
    assert "no heartbeat written (disk full)" in capsys.readouterr().err


def test_process_start_tells_processes_apart() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own, other = process_start(os.getpid()), process_start(child.pid)
    assert own is not None
    assert own == process_start(os.getpid())
    assert other is not None
    child.communicate(b"\n")
    assert process_start(child.pid) is None
    assert process_start(1) is not None
