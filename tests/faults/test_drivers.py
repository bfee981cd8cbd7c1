"""The driver that ends in any way, and two drivers on one folder, of one machine and of two."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import TINY, Copy
from tests.faults.conftest import Injected
from tests.faults.stages import digest, killed_by, leftovers, tracebacks

pytestmark = pytest.mark.e2e
FIGURE = "training_curves"
VERB = [sys.executable, "workflow/ops", "figure", FIGURE, "--preset", TINY, "--cores", "2"]
WAYS: dict[str, Callable[[int], None]] = {
    "kill -9 (also the out-of-memory killer's)": killed_by(signal.SIGKILL),
    "SIGINT": killed_by(signal.SIGINT),
    "SIGTERM": lambda pid: os.kill(pid, signal.SIGTERM),
}


def run(status: int, copy: Copy) -> str:
    return copy.run(*VERB, status=status)


def driver(copy: Copy) -> subprocess.Popen[str]:
    return copy.start(*VERB)


def until(there: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.fixture
def networks(copy: Copy, finished: Copy) -> dict[Path, str]:
    """What is to be made again: one family and a figure of it; its digests."""
    patterns = ("models/mlp/*/*/*.safetensors", "models/mlp/*/*/*.csv", "tables/*.csv")
    paths = [path for pattern in patterns for path in finished.results.glob(pattern)]
    paths += finished.results.glob(f"figures/{FIGURE}.*g")
    for name in ("models/mlp", "tables"):
        shutil.rmtree(copy.results / name, ignore_errors=True)
    for path in copy.results.glob(f"figures/{FIGURE}.*"):
        path.unlink()
    return {copy.root / path.relative_to(finished.root): digest(path) for path in paths}


def trains(copy: Copy) -> bool:
    return bool(list((copy.results / "models" / "mlp").rglob("state/train/lease.json")))


def as_undisturbed(copy: Copy, networks: dict[Path, str]) -> None:
    assert {path: digest(path) for path in networks} == networks
    assert not leftovers(copy)
    assert not list(copy.root.rglob("lease.json"))
    assert not list((copy.root / ".snakemake" / "locks").glob("*"))


@pytest.mark.parametrize("way", WAYS)
def test_a_driver_that_ends_under_way_is_started_again(
    way: str, copy: Copy, networks: dict[Path, str], injected: Injected
) -> None:
    process = driver(copy)
    until(lambda: trains(copy), process)
    WAYS[way](process.pid)
    _, said = process.communicate(timeout=120)
    assert process.returncode
    assert not tracebacks(said), said
    said = run(0, copy)
    assert ("removing it" in said) == ("kill -9" in way)
    as_undisturbed(copy, networks)
    injected(way, "driver", 1, "the next start ends with identical files, nothing left over")


def test_the_second_of_two_drivers_is_refused(
    copy: Copy, networks: dict[Path, str], injected: Injected
) -> None:
    first = driver(copy)
    until((copy.root / ".snakemake" / "lease.json").exists, first)
    said = run(1, copy)
    assert "this folder is being worked on by process" in said
    assert "Traceback" not in said
    assert not first.wait()
    as_undisturbed(copy, networks)
    injected("two drivers", "one folder", 1, "the second is refused, the first undisturbed")


HOLD = """
import sys, time
from pathlib import Path
from toporepro.lease import Lease
with Lease(Path(sys.argv[1]), "it is worked on"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def held(copy: Copy, folder: Path) -> Iterator[None]:
    """A lease that a process holds on a machine of another name; it is killed in the end."""
    script = 'hostname elsewhere; exec "$@"'
    command = ["unshare", "--uts", "sh", "-c", script, "sh", sys.executable, "-c", HOLD]
    with subprocess.Popen(
        [*command, str(folder)], env=copy.environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield
        process.kill()


def test_another_machine_s_driver_is_left_alone_until_it_is_gone(
    copy: Copy, networks: dict[Path, str], injected: Injected
) -> None:
    """A training's lease is the same; tests of units and of SLURM take it over."""
    if os.geteuid():
        pytest.skip("not root: no other machine's name can be had")
    with held(copy, copy.root / ".snakemake"):
        said = run(1, copy)
    assert "this folder is being worked on by process" in said
    assert "on elsewhere; wait for it or stop it first" in said
    assert "on elsewhere, which is gone" in run(0, copy)
    as_undisturbed(copy, networks)
    injected("two drivers", "two machines", 1, "the second is refused, the first undisturbed")
    injected("the other machine dies", "driver", 1, "taken over; identical files")
