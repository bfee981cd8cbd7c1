"""Every stage killed at a random moment: the next start ends with what an undisturbed one makes."""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected
from tests.faults.stages import STAGES, WAYS, Stage, leftovers, made, tracebacks, until_snapshot

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("way", WAYS)
def test_a_killed_job_ends_as_if_nothing_had_been(
    way: str,
    name: str,
    copy: Copy,
    finished: Copy,
    undisturbed: Callable[[str], Stage],
    injected: Injected,
    request: pytest.FixtureRequest,
) -> None:
    stage, rounds = undisturbed(name), request.config.getoption("--fault-rounds")
    earliest = 0.0 if stage.target.begins else 0.2  # of the time; before that Python starts
    with stage.restored(copy, finished):
        for turn in range(rounds):
            moment = random.Random(f"{name} {way} {turn}").uniform(earliest, 1.0) * stage.seconds
            process = stage.start(copy)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                WAYS[way](process.pid)
            _, said = process.communicate()
            assert not tracebacks(said), said
            if stage.job.verb != "prepare" or (copy.root / stage.job.place).exists():
                half = made(stage.outputs).items() - stage.made.items()
                assert not half, f"half-written after {moment:.1f} s"
            done = stage.job.run(copy)
            assert done.returncode == 0, done.stderr
            assert made(stage.outputs) == stage.made, f"killed after {moment:.1f} s"
            assert not leftovers(copy)
    injected(way, name, rounds, "the next start ends with identical files, nothing left over")


@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_ends_while_it_takes_a_snapshot_goes_on(
    way: str, copy: Copy, undisturbed: Callable[[str], Stage], injected: Injected
) -> None:
    stage = undisturbed("train")
    process = stage.start(copy)
    until_snapshot(1, process, stage.job, copy)
    with contextlib.suppress(ProcessLookupError):
        WAYS[way](process.pid)
    process.communicate()
    assert stage.job.run(copy).returncode == 0
    assert made(stage.outputs) == stage.made
    assert not leftovers(copy)
    injected(way, "snapshot", 1, "the next start ends with identical files, nothing left over")
