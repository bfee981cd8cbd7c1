"""The plan's jobs are those that Snakemake would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import TINY, Copy
from toporepro.config import resolve
from toporepro.cost.plan import job_counts

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("preset", [TINY, "demo", "paper"])
def test_jobs_are_those_of_the_dry_run(fresh: Copy, preset: str) -> None:
    fresh.preset = preset
    planned = job_counts(resolve({"preset": preset}, fresh.root))
    assert planned == fresh.jobs()
    assert not Path(fresh.root, "results", Path(preset).stem, "tables").exists()
