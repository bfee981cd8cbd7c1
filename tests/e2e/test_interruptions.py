"""A driver that is killed, a job that fails: what was reached is kept; the next start goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy, Injected

pytestmark = pytest.mark.e2e


def tables(copy: Copy) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in sorted((copy.results / "tables").glob("*.csv"))
    }


def test_a_killed_driver_needs_no_hand_repair(
    fresh: Copy, finished: Copy, injected: Injected
) -> None:
    command = [
        sys.executable,
        "workflow/ops",
        "reproduce",
        "--preset",
        fresh.preset,
        "--cores",
        "2",
    ]
    process = subprocess.Popen(
        command, cwd=fresh.root, env=fresh.environment(), start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(fresh.results.glob("models/*/*/*/weights.safetensors")):
        assert time.monotonic() < deadline, "no network was trained"
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    output = fresh.reproduce()
    assert "removing it" in output
    assert tables(fresh) == tables(finished)
    assert not list(fresh.root.rglob("*.partial*"))
    injected("kill -9 (also the out-of-memory killer's)", "driver", 1, "the next start goes on")


def test_a_failed_job_is_named_with_its_log_and_the_rest_goes_on(
    fresh: Copy, finished: Copy
) -> None:
    shutil.copytree(finished.root / "data", fresh.root / "data")
    (broken,) = (fresh.root / "data/prepared").glob("image_world-*/train_images.npy")
    content = bytearray(broken.read_bytes())
    broken.write_bytes(content[: len(content) // 2])
    output = fresh.reproduce(status=1)
    assert "job(s) failed" in output
    assert "train_images.npy" in output
    assert "run the same command again" in output
    assert list(fresh.results.glob("models/mlp/*/*/measures.csv")), "independent networks go on"
    shutil.rmtree(fresh.root / "data")
    fresh.reproduce()
    assert tables(fresh) == tables(finished)


def test_a_folder_with_spaces_and_quotes_works(finished: Copy) -> None:
    assert " " in str(finished.root)
    assert Path(finished.results, "report.html").exists()
