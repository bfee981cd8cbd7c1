"""Every stage killed at a random moment: the next start ends with what an undisturbed one makes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected, digest
from tests.faults.verbs import Job, job

pytestmark = pytest.mark.e2e
MLP, GPT = "models/mlp/tau=3/seed=0", "models/nanogpt/tau=1/seed=0"


@dataclass(frozen=True)
class Target:
    """What is killed.

    Attributes:
        verb: of ``toporepro``.
        part: of its command line, which tells its jobs apart.
        state: files of its state that are removed before; it goes on from the others.
        begins: what it says where the stage begins; "" for its start.
    """

    verb: str
    part: str = ""
    state: str = "*"
    begins: str = ""

    def of(self, found: list[Job]) -> Job:
        return job(found, self.verb, self.part)


STAGES = {
    "prepare": Target("prepare", "image_world"),
    "tokenise": Target("prepare", "grammar"),
    "train": Target("train", MLP),
    "train, language": Target("train", GPT),
    "measure": Target("measure", MLP),
    "compress": Target("measure", GPT, "compression.result", ": compression\n"),
    "tables": Target("tables"),
    "figure": Target("figure", "figure weight_sheets"),
    "claims": Target("claims"),
    "report": Target("report"),
    "explorer": Target("explorer"),
}


def killed_by(number: int) -> Callable[[int], None]:
    return lambda pid: os.killpg(pid, number)


def without_memory(pid: int) -> None:
    """From now on it gets no more than it has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)


WAYS: dict[str, Callable[[int], None]] = {
    "kill -9 (also the out-of-memory killer's)": killed_by(signal.SIGKILL),
    "SIGTERM": killed_by(signal.SIGTERM),
    "SIGINT": killed_by(signal.SIGINT),
    "out of memory (RLIMIT_AS)": without_memory,
}


@dataclass(frozen=True)
class Stage:
    """One job, how long it takes, and what it makes when nothing disturbs it."""

    target: Target
    job: Job
    outputs: list[Path]
    seconds: float
    made: dict[Path, str]

    def start(self, copy: Copy) -> subprocess.Popen[str]:
        """Begin anew; returns where the stage begins."""
        clear(self.job, self.outputs, self.target.state)
        return begun(self.job, self.target, copy)

    @contextlib.contextmanager
    def restored(self, copy: Copy, finished: Copy) -> Iterator[None]:
        """Whatever happens to it within, other stages find at the end what they read of it."""
        try:
            yield
        finally:
            if made(self.outputs) != self.made:
                for path in self.outputs:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(finished.root / path.relative_to(copy.root), path)


def tracebacks(said: str) -> list[str]:
    """Those of errors that a verb let through.

    Python prints others itself, where memory ends or a signal comes as it starts or exits.
    """
    found = re.findall(r"^Traceback .*\n(?:[ \t]+.*\n)+.*", said, re.MULTILINE)
    return [text for text in found if re.search(r'toporepro/cli\.py", line \d+, in main', text)]


@pytest.fixture(scope="module")
def undisturbed(copy: Copy, all_jobs: list[Job]) -> Callable[[str], Stage]:
    """Runs a stage, once, when it is first asked for."""

    @functools.cache
    def stage(name: str) -> Stage:
        target = STAGES[name]
        one = target.of(all_jobs)
        outputs = one.outputs(copy)
        clear(one, outputs, target.state)
        process = begun(one, target, copy)
        started = time.monotonic()
        _, said = process.communicate()
        assert process.returncode == 0, said
        return Stage(target, one, outputs, time.monotonic() - started, made(outputs))

    return stage


def begun(one: Job, target: Target, copy: Copy) -> subprocess.Popen[str]:
    process = one.start(copy)
    assert process.stderr is not None
    if target.begins:
        assert any(target.begins in line for line in process.stderr)
    return process


def clear(one: Job, outputs: list[Path], state: str = "*") -> None:
    """Remove what the job made and, of its state, what it could go on from."""
    folder = min(outputs, key=lambda path: len(path.parts)).parent  # snapshots lie below it
    if one.verb == "prepare" and folder.exists():
        shutil.rmtree(folder)
    if one.verb in ("train", "measure"):
        for path in sorted((folder / "state" / one.verb).rglob(state), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
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
    state = copy.root / stage.job.place / "state"
    while not list(state.rglob("*snapshot-01.*")):  # its temporary file too
        assert process.poll() is None
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        WAYS[way](process.pid)
    process.communicate()
    assert stage.job.run(copy).returncode == 0
    assert made(stage.outputs) == stage.made
    assert not leftovers(copy)
    injected(way, "snapshot", 1, "the next start ends with identical files, nothing left over")


@pytest.mark.parametrize("jump", ["-3d", "+3d"])
@pytest.mark.parametrize("name", ["train", "measure"])
def test_a_clock_that_jumps_changes_nothing(
    name: str, jump: str, copy: Copy, undisturbed: Callable[[str], Stage], injected: Injected
) -> None:
    """Killed, and started again after the clock was set."""
    if shutil.which("faketime") is None:
        pytest.skip("no faketime")
    stage = undisturbed(name)
    process = stage.start(copy)
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
