"""A clock that is set while a stage runs, or between two jobs: no byte is another."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy
from tests.faults.clock import JUMP, Clock, needed
from tests.faults.conftest import Injected
from tests.faults.stages import STAGES, Stage, digest, killed_by, leftovers, made, until_snapshot
from tests.faults.test_late_files import remove

pytestmark = [pytest.mark.e2e, needed]


@pytest.mark.parametrize("name", [*STAGES, "snapshot"])
def test_a_clock_that_jumps_changes_nothing(
    name: str,
    copy: Copy,
    finished: Copy,
    undisturbed: Callable[[str], Stage],
    tmp_path: Path,
    injected: Injected,
) -> None:
    """A stage is killed, started again with the clock set back, and sees it set on."""
    stage = undisturbed("train" if name == "snapshot" else name)
    clock, half = Clock(tmp_path), 0.5 * stage.seconds

    def half_way(process: subprocess.Popen[str], snapshot: int) -> None:
        if name == "snapshot":
            until_snapshot(snapshot, process, stage.job, copy)
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(half)

    with stage.restored(copy, finished):
        process = stage.start(copy)
        half_way(process, 0)
        with contextlib.suppress(ProcessLookupError):
            killed_by(9)(process.pid)
        process.communicate()
        command = f"{shlex.join(clock.command)} {stage.job.command}"
        process = dataclasses.replace(stage.job, command=command).start(copy)
        half_way(process, 1)
        clock.set(3)
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert made(stage.outputs) == stage.made
        assert not leftovers(copy)
    injected(JUMP, name, 1, "identical files")


# In place of the command that rules call: from `tables` on the clock is three days back, by which
# all files that there are seem to come from the future.
SET_BACK = """#!{python}
import os, sys
from pathlib import Path

mark = Path({mark!r})
if sys.argv[1] == "tables" and not mark.exists():
    mark.touch()
    for path in Path().rglob("*"):
        if path.is_file() and not path.is_symlink():
            time = path.stat()
            later = 3 * 86400 * 10**9
            os.utime(path, ns=(time.st_atime_ns + later, time.st_mtime_ns + later))
os.execv({real!r}, [{real!r}, *sys.argv[1:]])
"""


SURVIVED = "the job named; the next start ends with identical files"


def test_a_clock_set_back_between_two_jobs_is_said(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, injected: Injected
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("toporepro", path=str(Path(sys.executable).parent))
    words = {"python": sys.executable, "real": real, "mark": str(tmp_path / "set back")}
    (folder / "toporepro").write_text(SET_BACK.format(**words))
    (folder / "toporepro").chmod(0o755)
    before = remove(copy)
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with monkeypatch.context() as changed:
        changed.setattr(Copy, "environment", lambda self: {
            **os.environ, "PATH": path, "PYTHONPATH": str(self.root / "workflow")})  # fmt: skip
        said = copy.reproduce(status=1)
    assert "collect_tables: its output is older than what it read: the clock was set back" in said
    said = copy.reproduce()
    assert "were from the future: was the clock set back?" in said
    assert {path: digest(path) for path in before} == before
    assert not copy.jobs()
    injected("clock 3 days back", "between two jobs of a run", 1, SURVIVED)
