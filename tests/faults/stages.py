"""The stages that tests disturb, the ways to end them, and what they make undisturbed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import Copy
from tests.faults.verbs import Job, job

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


def without_memory(group: int) -> None:
    """From now on the processes of a group get no more than they have."""
    for path in Path("/proc").glob("[0-9]*/statm"):
        pid = int(path.parent.name)
        with contextlib.suppress(OSError):  # it has ended
            if os.getpgid(pid) == group:
                bytes_ = int(path.read_text().split()[0]) * resource.getpagesize()
                resource.prlimit(pid, resource.RLIMIT_AS, (bytes_,) * 2)


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
    return [
        text
        for text in found
        if re.search(r'(?:toporepro/cli|ops/__main__)\.py", line \d+, in main', text)
    ]


def begun(one: Job, target: Target, copy: Copy) -> subprocess.Popen[str]:
    process = one.start(copy)
    assert process.stderr is not None
    if target.begins:
        assert any(target.begins in line for line in process.stderr)
    return process


def until_snapshot(number: int, process: subprocess.Popen[str], one: Job, copy: Copy) -> None:
    """Wait until a training takes a snapshot; its temporary file counts."""
    while not list((copy.root / one.place / "state").rglob(f"*snapshot-{number:02d}.*")):
        assert process.poll() is None
        time.sleep(0.001)


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


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
