"""Two users whose clones share one folder of data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy, copy_repository
from tests.faults.conftest import Injected
from tests.faults.stages import MLP, digest

pytestmark = pytest.mark.e2e
STRANGER, GROUP = 12345, 23456
WEIGHTS = f"{MLP}/weights.safetensors"


def clone(folder: Path, data: Path) -> Copy:
    copy = copy_repository(folder)
    copy.edit("config/config.yaml", "data: null", f"data: {data}")
    return copy


def training(copy: Copy, *prefix: str) -> subprocess.Popen[str]:
    """Snakemake, which prepares one dataset and trains one network."""
    profile = ["--workflow-profile", "workflow/profiles/default", "--cores", "1"]
    target = str((copy.results / WEIGHTS).relative_to(copy.root))
    command = [sys.executable, "-m", "snakemake", *profile, target, "--config"]
    return subprocess.Popen(
        [*prefix, *command, f"preset={copy.preset}"],
        cwd=copy.root,
        env=copy.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0o002,
    )


# Root without its right to pass over permissions: what others own is closed to it as to anybody.
AS_ANYBODY = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown",
    "--inh-caps=-dac_override,-dac_read_search,-fowner,-chown",
    f"--groups={GROUP}",
)


def hand(folder: Path, mode: Callable[[int], int]) -> None:
    """Give a folder to the stranger and a group."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, GROUP)
        path.chmod(mode(path.stat().st_mode))


@pytest.mark.parametrize("shared", ["one user", "a group"])
def test_two_users_prepare_one_dataset_at_once(
    shared: str, tmp_path: Path, finished: Copy, injected: Injected
) -> None:
    """Of two users the first has left locks and folders that are his, open to the group."""
    data, prefix = tmp_path / "shared data", ()
    data.mkdir()
    if shared == "a group":
        if os.geteuid():
            pytest.skip("not root: files of another user's cannot be made")
        prefix = AS_ANYBODY
        shutil.copytree(finished.root / "data" / "prepared", data / "prepared")
        for folder in (data / "prepared").glob("digits-*"):
            shutil.rmtree(folder)
        hand(data, lambda mode: (mode | 0o060) & ~0o007 | (0o2010 if mode & 0o100 else 0))
    copies = [clone(tmp_path / name, data) for name in ("one", "two")]
    both = [training(copy, *prefix) for copy in copies]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    for copy in copies:
        assert digest(copy.results / WEIGHTS) == digest(finished.results / WEIGHTS)
    assert not list(data.rglob("*.partial*"))
    injected("two at once", f"shared data of {shared}", 1, "both end with identical files")


@pytest.mark.parametrize("there", [True, False])
def test_another_user_s_data_that_may_only_be_read(
    there: bool, tmp_path: Path, finished: Copy, injected: Injected
) -> None:
    if os.geteuid():
        pytest.skip("not root: files of another user's cannot be made")
    data = tmp_path / "their data"
    shutil.copytree(finished.root / "data", data)
    if not there:
        for folder in (data / "prepared").glob("digits-*"):
            shutil.rmtree(folder)
    hand(data, lambda mode: (mode | 0o044) & ~0o022)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    copy = clone(tmp_path / "mine", data)
    process = training(copy, *AS_ANYBODY)
    said, _ = process.communicate()
    where = f"another user's data, {'all' if there else 'not all'} there, only to be read"
    if there:
        assert process.returncode == 0, said
        assert digest(copy.results / WEIGHTS) == digest(finished.results / WEIGHTS)
        injected("two users", where, 1, "identical files")
    else:
        assert process.returncode == 1
        assert "Permission denied" in said
        assert "data/prepared/digits-" in said
        assert "Traceback" not in said
        injected("two users", where, 1, "one error with the path")
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
