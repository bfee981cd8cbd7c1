"""The fault suite: each test says what it injected where."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy, Injected, finished, fresh, injected
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


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
