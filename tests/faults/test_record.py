"""Tracked results: a `track` that is killed; damage in DVC's cache, its pointers, the record."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy
from tests.faults.clock import JUMP, Clock, needed
from tests.faults.conftest import Injected
from tests.faults.stages import WAYS, digest, leftovers, tracebacks
from tests.faults.test_damage import DAMAGES

pytestmark = pytest.mark.e2e


def configured(copy: Copy) -> Copy:
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        copy.run("git", "config", key, value)
    return copy


def track(copy: Copy) -> str:
    return copy.ops("track", "--preset", copy.preset, "--commit", "--push")


def index(copy: Copy) -> str:
    return digest(copy.results / "record" / "index.json")


def stored(copy: Copy) -> set[str]:
    """Names of the remote's objects, each of which is held against its name."""
    found = set()
    for path in (copy.root.parent / "store" / "files" / "md5").rglob("*"):
        if path.is_file():
            name = path.parent.name + path.name
            assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == name
            found.add(name)
    return found


@pytest.fixture(scope="module")
def origin(copy: Copy) -> tuple[Copy, float]:
    """The finished run, tracked, committed and pushed; and the seconds that tracking takes."""
    copy.run("dvc", "remote", "modify", "store", "url", "../store")
    configured(copy).run("git", "commit", "-qam", "a store")
    started = time.monotonic()
    track(copy)
    return copy, time.monotonic() - started


def forget(copy: Copy) -> None:
    """What DVC has of the files that are tracked."""
    shutil.rmtree(copy.root / ".dvc" / "cache", ignore_errors=True)
    shutil.rmtree(copy.root.parent / "store", ignore_errors=True)


def tracking(copy: Copy, *prefix: str) -> subprocess.Popen[str]:
    verb = ["workflow/ops", "track", "--preset", copy.preset, "--push"]
    return copy.start(*prefix, sys.executable, *verb)


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_track_goes_on(way: str, origin: tuple[Copy, float], injected: Injected) -> None:
    copy, seconds = origin
    before, objects = index(copy), stored(copy)
    forget(copy)
    process = tracking(copy)
    try:
        process.wait(random.Random(way).uniform(0.2, 1.0) * seconds)
    except subprocess.TimeoutExpired:
        WAYS[way](process.pid)
    _, said = process.communicate()
    assert not tracebacks(said), said
    track(copy)
    assert index(copy) == before
    assert stored(copy) == objects
    assert not copy.run("git", "status", "--porcelain", "--untracked-files=no")
    assert not leftovers(copy)
    injected(way, "track, push", 1, "the next start ends with identical files, nothing left over")


@needed
def test_a_track_sees_the_clock_jump(
    origin: tuple[Copy, float], tmp_path: Path, injected: Injected
) -> None:
    copy, seconds = origin
    before, objects, clock = index(copy), stored(copy), Clock(tmp_path)
    forget(copy)
    process = tracking(copy, *clock.command)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5 * seconds)
    clock.set(3)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert index(copy) == before
    assert stored(copy) == objects
    injected(JUMP, "track, push", 1, "identical files")


NETWORKS = ("mlp/tau=0/seed=0", "mlp/tau=3/seed=0")


def cached(copy: Copy, name: str) -> Path:
    """Where DVC's cache has a file of the results."""
    pointer = (copy.results / f"{name}.dvc").read_text()
    key = pointer.split("md5: ")[1].split()[0]
    return copy.root / ".dvc" / "cache" / "files" / "md5" / key[:2] / key[2:]


def changed(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """As a disk's fault does: times and the mode, by which DVC trusts its cache, stay."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(damage(path.read_bytes()))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_not_restored_and_named(
    damage: str, origin: tuple[Copy, float], tmp_path: Path, injected: Injected
) -> None:
    """One network in DVC's cache, the manifest of another in the record; the rest comes."""
    source, _ = origin
    subprocess.run(["git", "clone", "-q", str(source.root), str(tmp_path / "clone")], check=True)
    copy = configured(Copy(tmp_path / "clone"))
    store = source.root.parent / "store"
    copy.run("dvc", "remote", "modify", "--local", "store", "url", str(store))
    weights, kept = (f"models/{network}/weights.safetensors" for network in NETWORKS)
    copy.run("dvc", "pull", "-q", str((copy.results / f"{weights}.dvc").relative_to(copy.root)))
    (copy.results / weights).unlink()
    changed(cached(copy, weights), DAMAGES[damage])
    manifest = kept.replace(".safetensors", ".manifest.json")
    record = copy.results / "record" / "files" / "results" / "tiny" / manifest
    changed(record, DAMAGES[damage])
    said = copy.ops("restore", "--preset", copy.preset, "--family", "mlp", status=None)
    assert "Traceback" not in said
    assert f"{record.relative_to(copy.root)}: its checksum does not hold" in said
    assert f"{weights} is damaged" in said
    for name in (weights, kept):
        assert not (copy.results / name).exists()
    injected(damage, "DVC's cache", 1, "not restored, the file named")
    injected(damage, "a manifest in the record", 1, "not restored, the file named")

    changed(copy.results / f"{weights}.dvc", DAMAGES[damage])
    said = copy.ops("restore", "--preset", copy.preset, "--family", "mlp", status=None)
    assert "Traceback" not in said
    assert "weights.safetensors" in said
    assert not (copy.results / weights).exists()
    injected(damage, "a pointer of DVC's", 1, "not restored, the file named")

    changed(copy.results / "record" / "index.json", DAMAGES[damage])
    said = copy.ops("restore", "--preset", copy.preset, status=1)
    assert "record/index.json is damaged; git has it" in said
    injected(damage, "index of the record", 1, "refused, the file named")
