"""The fault suite: each test says what it injected where."""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from collections.abc import Callable

import pytest
from filelock import FileLock

from tests.e2e.conftest import Copy, Injected, finished, fresh, injected
from tests.faults.stages import STAGES, Stage, begun, clear, made
from tests.faults.verbs import Job, jobs

__all__ = ["Injected", "finished", "fresh", "injected"]


@pytest.fixture(scope="module")
def copy(finished: Copy, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the finished run, for what a module does to it."""
    root = tmp_path_factory.mktemp("faults") / "repository"
    shutil.copytree(finished.root, root, symlinks=True)
    return Copy(root)


@pytest.fixture(scope="module")
def all_jobs(copy: Copy) -> list[Job]:
    return jobs(copy)


@pytest.fixture(scope="module")
def undisturbed(
    copy: Copy, all_jobs: list[Job], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Stage]:
    """A stage of the copy as the finished run made it, with the time that it takes."""
    base = tmp_path_factory.getbasetemp()
    times = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "times.json"

    def seconds(name: str, one: Job) -> float:
        """Measured once in a session, by whichever worker is first to need it."""
        with FileLock(times.with_suffix(".lock")):
            known = json.loads(times.read_text()) if times.exists() else {}
            if name not in known:
                target, outputs = STAGES[name], one.outputs(copy)
                clear(one, outputs, target.state)
                process = begun(one, target, copy)
                started = time.monotonic()
                _, said = process.communicate()
                assert process.returncode == 0, said
                known[name] = time.monotonic() - started
                times.write_text(json.dumps(known))
            taken: float = known[name]
        return taken

    @functools.cache
    def stage(name: str) -> Stage:
        one = STAGES[name].of(all_jobs)
        outputs = one.outputs(copy)
        before = made(outputs)
        found = Stage(STAGES[name], one, outputs, seconds(name, one), before)
        assert made(outputs) == before
        return found

    return stage
