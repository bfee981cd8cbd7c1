"""A disk that is full and a folder that cannot be written: one clear error, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected
from tests.faults.stages import STAGES, clear, leftovers, made, tracebacks, until_snapshot
from tests.faults.test_record import stored
from tests.faults.verbs import Job

pytestmark = pytest.mark.e2e
FREE = 32 * 1024  # of the full disk: some outputs begin, none of these stages' ends


@pytest.fixture(scope="module")
def copy(finished: Copy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of the finished run on a disk of its own."""
    disk = tmp_path_factory.mktemp("disk")
    if os.geteuid():
        pytest.skip("not root: a disk of its own cannot be mounted")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True)
    try:
        shutil.copytree(finished.root, disk / "repository", symlinks=True)
        yield Copy(disk / "repository")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def remount(copy: Copy, options: str) -> None:
    command = ["mount", "-o", f"remount,{options}", str(copy.root.parent)]
    subprocess.run(command, check=True)


def fill(copy: Copy) -> None:
    used = shutil.disk_usage(copy.root).used
    remount(copy, f"size={used + FREE}")


FAULTS: dict[str, tuple[Callable[[Copy], None], str]] = {
    "full disk": (fill, "size=16G"),
    "read-only folder": (lambda copy: remount(copy, "ro"), "rw"),
}
WORDS = ("No space left on device", "Read-only file system", "too little", "free")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_track_that_cannot_be_written_is_said_and_done_later(
    fault: str, copy: Copy, injected: Injected
) -> None:
    """Before this module's other tests: what they make anew `track` would call out of date."""
    store = copy.root.parent / "store"
    copy.run("dvc", "remote", "modify", "store", "url", str(store))
    for path in (copy.root / ".dvc" / "cache", store, copy.results / "record"):
        shutil.rmtree(path, ignore_errors=True)
    for path in copy.results.rglob("*.dvc"):
        path.unlink()
    inject, mend = FAULTS[fault]
    inject(copy)
    try:
        said = copy.ops("track", "--preset", copy.preset, "--push", status=1)
    finally:
        remount(copy, mend)
    assert any(word in said for word in WORDS), said
    assert not tracebacks(said)
    copy.ops("track", "--preset", copy.preset, "--push")
    pointers = [path.read_text() for path in copy.results.rglob("*.dvc")]
    named = {text.split("md5: ")[1].split()[0] for text in pointers}
    assert stored(copy) == named
    assert not leftovers(copy)
    injected(fault, "track, push", 1, "one error; afterwards all is tracked and pushed")


# Linux makes no disk read-only while a file there is open, as a training's log is.
PLACES = [*((fault, name) for fault in FAULTS for name in STAGES), ("full disk", "snapshot")]


@pytest.mark.parametrize(("fault", "name"), PLACES)
def test_what_cannot_be_written_is_said_and_made_later(
    fault: str, name: str, copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    target = STAGES["train" if name == "snapshot" else name]
    one = target.of(all_jobs)
    outputs = one.outputs(copy)
    before = made(outputs)
    clear(one, outputs, target.state)
    inject, mend = FAULTS[fault]
    try:
        if name == "snapshot":
            process = one.start(copy)
            until_snapshot(0, process, one, copy)  # the next one is not written
            inject(copy)
        else:
            inject(copy)
            process = one.start(copy)
        _, said = process.communicate()
    finally:
        remount(copy, mend)
    assert process.returncode == 1, said
    assert any(word in said for word in WORDS), said
    assert "Traceback" not in said
    assert not Path(copy.root, one.place).is_file()
    assert not leftovers(copy)
    assert one.run(copy).returncode == 0
    assert made(outputs) == before
    injected(fault, name, 1, "one error with the path; afterwards identical files")
