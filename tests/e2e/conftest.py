"""A working copy of the repository, in which the workflow runs for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
TINY = "tests/presets/tiny.yaml"
Injected = Callable[..., None]


@dataclass
class Copy:
    """A copy of the repository with its own results, whose code is the code that runs."""

    root: Path
    preset: str = TINY
    first_output: str = ""

    @property
    def results(self) -> Path:
        return self.root / "results" / Path(self.preset).stem

    def run(self, *command: str, status: int | None = 0) -> str:
        """Run a command here; its output, both streams, after checking its exit status."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            text=True,
            capture_output=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert status is None or done.returncode == status, output
        return output

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command here in a process group of its own; what it says to stderr is kept."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(self.root / "workflow")}

    def ops(self, *arguments: str, status: int | None = 0) -> str:
        return self.run(sys.executable, "workflow/ops", *arguments, status=status)

    def reproduce(self, status: int | None = 0) -> str:
        return self.ops("reproduce", "--preset", self.preset, "--cores", "2", status=status)

    def snakemake(self, *arguments: str) -> str:
        profile = ["--workflow-profile", "workflow/profiles/default", "--cores", "2"]
        return self.run(sys.executable, "-m", "snakemake", *profile, *arguments)

    def plan(self, *config: str) -> str:
        """What a run would do now, as Snakemake's dry-run tells it."""
        return self.snakemake("--dry-run", "--config", f"preset={self.preset}", *config)

    def jobs(self, *config: str) -> dict[str, int]:
        """Number of jobs a run would do now, by rule."""
        return job_counts(self.plan(*config))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))


def job_counts(output: str) -> dict[str, int]:
    """Number of jobs by rule, of what a run or a dry-run printed."""
    counts: dict[str, int] = {}
    inside = False
    for line in output.splitlines():
        words = line.split()
        if words[:2] == ["job", "count"]:
            inside = True
        elif inside and words[:1] == ["total"]:
            break
        elif inside and len(words) == 2 and words[1].isdigit():
            counts[words[0]] = int(words[1])
    return counts


def copy_repository(folder: Path) -> Copy:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "copy"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return Copy(folder)


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Injected:
    """Notes one line of the table of faults: fault, where, times, outcome."""

    def note(fault: str, where: str, times: int, outcome: str) -> None:
        record_property("fault", (fault, where, times, outcome))

    return note


def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's one run of the tiny preset, made by whichever worker is first to need it.

    Nobody writes there. What a worker leaves that dies under way is never taken for a run.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / "finished-run"
    with FileLock(shared / "finished-run.lock"):
        if not made.exists():
            copy = copy_repository(tmp_path_factory.mktemp("run") / "a repository")
            output = copy.reproduce()
            (copy.root.parent / "output.txt").write_text(output)
            copy.root.parent.rename(made)
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which the tiny preset has run; tests of a module share it and put edits back."""
    made = finished_run(tmp_path_factory)
    root = tmp_path_factory.mktemp("finished") / "a repository"
    shutil.copytree(made / "a repository", root, symlinks=True)
    return Copy(root, first_output=(made / "output.txt").read_text())


@pytest.fixture
def fresh(tmp_path: Path) -> Copy:
    """A copy in which nothing has run."""
    return copy_repository(tmp_path / "repository")
