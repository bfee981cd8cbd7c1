"""Every stage killed at a random moment: the next start ends with what an undisturbed one makes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected, digest
from tests.faults.verbs import Job, job

pytestmark = pytest.mark.e2e
MLP, GPT = "models/mlp/tau=3/seed=0", "models/nanogpt/tau=1/seed=0"
# What is killed: the verb, and a part of its command line that tells its jobs apart.
STAGES = {
    "prepare": ("prepare", "image_world"),
    "tokenise": ("prepare", "grammar"),
    "train": ("train", MLP),
    "train, language": ("train", GPT),
    "measure": ("measure", MLP),
    "tables": ("tables", ""),
    "figure": ("figure", "figure weight_sheets"),
    "claims": ("claims", ""),
    "report": ("report", ""),
    "explorer": ("explorer", ""),
}
SIGNALS = {"kill -9 (also the out-of-memory killer's)": signal.SIGKILL}
SIGNALS |= {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}


@dataclass(frozen=True)
class Stage:
    """One job, how long it takes, and what it makes when nothing disturbs it."""

    job: Job
    outputs: list[Path]
    seconds: float
    made: dict[Path, str]


@pytest.fixture(scope="module")
def undisturbed(copy: Copy, all_jobs: list[Job]) -> dict[str, Stage]:
    found = {}
    for name, (verb, part) in STAGES.items():
        one = job(all_jobs, verb, part)
        outputs = one.outputs(copy)
        clear(one, outputs)
        started = time.monotonic()
        done = one.run(copy)
        assert done.returncode == 0, done.stderr
        found[name] = Stage(one, outputs, time.monotonic() - started, made(outputs))
    return found


def clear(one: Job, outputs: list[Path]) -> None:
    """Remove what the job made and what it could go on from."""
    folder = outputs[0].parent
    if one.verb == "prepare":
        shutil.rmtree(folder)
    if one.verb in ("train", "measure"):
        shutil.rmtree(folder / "state" / one.verb, ignore_errors=True)
    for output in outputs:
        output.unlink(missing_ok=True)


def made(outputs: list[Path]) -> dict[Path, str]:
    """Digests of those that are there; what says when jobs ran need only be whole."""
    found = {}
    for path in outputs:
        if path.name.endswith((".manifest.json", "report.html")):
            if path.exists():
                found[path] = path.read_text().rstrip()[-1]
        elif path.exists():
            found[path] = digest(path)
    return found


def leftovers(copy: Copy) -> list[Path]:
    places = (copy.root / "data", copy.root / "results")
    return [path for place in places for path in place.rglob("*.partial*")]


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("way", SIGNALS)
def test_a_killed_job_ends_as_if_nothing_had_been(
    way: str,
    name: str,
    copy: Copy,
    undisturbed: dict[str, Stage],
    injected: Injected,
    request: pytest.FixtureRequest,
) -> None:
    stage, rounds = undisturbed[name], request.config.getoption("--fault-rounds")
    for turn in range(rounds):
        clear(stage.job, stage.outputs)
        moment = random.Random(f"{name} {way} {turn}").uniform(0.2, 1.0) * stage.seconds
        process = stage.job.start(copy)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, SIGNALS[way])
        _, said = process.communicate()
        assert "Traceback" not in said
        if stage.job.verb != "prepare" or (copy.root / stage.job.place).exists():
            half = made(stage.outputs).items() - stage.made.items()
            assert not half, f"half-written after {moment:.1f} s"
        done = stage.job.run(copy)
        assert done.returncode == 0, done.stderr
        assert made(stage.outputs) == stage.made, f"killed after {moment:.1f} s"
        assert not leftovers(copy)
    injected(way, name, rounds, "the next start ends with identical files, nothing left over")


@pytest.mark.parametrize("jump", ["-3d", "+3d"])
@pytest.mark.parametrize("name", ["train", "measure"])
def test_a_clock_that_jumps_changes_nothing(
    name: str, jump: str, copy: Copy, undisturbed: dict[str, Stage], injected: Injected
) -> None:
    """Killed, and started again after the clock was set."""
    if shutil.which("faketime") is None:
        pytest.skip("no faketime")
    stage = undisturbed[name]
    clear(stage.job, stage.outputs)
    process = stage.job.start(copy)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.7 * stage.seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    command = f"faketime -f {jump} {stage.job.command}"
    done = dataclasses.replace(stage.job, command=command).run(copy)
    assert done.returncode == 0, done.stderr
    assert made(stage.outputs) == stage.made
    assert not leftovers(copy)
    injected(f"clock set by {jump}", name, 1, "identical files")
