"""Giving a finished run to DVC and git: one batch, after the jobs, never inside one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import driver
import record
from jobs import configured, findings, jobs_of
from toporepro.data.guards import readable


def track(preset: str, *, commit: bool, push: bool) -> int:
    """Track the results of a preset; refused while any of them is missing, stale or damaged."""
    resolved = configured(preset)
    root, jobs = resolved.paths.root, jobs_of(resolved)
    wrong = [finding for job in jobs for finding in findings(job)]
    for finding in wrong:
        print(f"{finding.kind}: {finding.job.name}: {finding.why}", file=sys.stderr)
    if wrong or not _complete(preset):
        print(
            f"\ntrack: {root} is not complete; run: make reproduce PRESET={preset}", file=sys.stderr
        )
        return 1
    listed = record.write(jobs, resolved)
    large = [path for path, kept in listed.items() if kept.dvc]
    # Otherwise DVC puts each file back from its cache under a new time, by which Snakemake would
    # measure all of it again; killed meanwhile, it would leave a file away.
    add = ["dvc", "--wait-for-lock", "add", "--quiet", "--no-relink", *map(str, large)]
    if subprocess.run(add, check=False).returncode:
        print("track: dvc could not take the files in; see above", file=sys.stderr)
        return 1
    _drop_pointers(root, {pointer(path) for path in large})
    print(f"{'network':<40}{'bytes':>12}{'stored':>12}")
    for name, size, once in record.cost(listed):
        print(f"{name:<40}{readable(size):>12}{readable(once):>12}")
    size = sum(listed[path].bytes for path in large)
    print(f"{len(large)} files ({readable(size)}) are DVC's; {record.folder(resolved)} is git's")
    kept = [str(record.folder(resolved)), *(str(pointer(path)) for path in large)]
    if commit and _commit(resolved.name, root, kept):
        return 1
    if not commit:
        print(f"to keep them: git add {root} && git commit, then dvc push")
    return dvc("push", [pointer(path) for path in large]) if push else 0


def pointer(path: Path) -> Path:
    """DVC's pointer to a file."""
    return path.with_name(f"{path.name}.dvc")


def dvc(verb: str, pointers: list[Path]) -> int:
    """Push or pull files, and say in one sentence what to do when the remote does not answer."""
    sys.stdout.flush()
    command = ["dvc", "--wait-for-lock", verb, *map(str, pointers)]
    # Not quiet: DVC would keep its errors to itself too.
    status = subprocess.run(command, check=False).returncode
    if status:
        print(
            f"{verb}: the remote did not take or give every file. `dvc remote list` names it; "
            "credentials come from the environment or from `dvc remote modify --local`. What "
            "was moved stays moved: run it again",
            file=sys.stderr,
        )
    return status


def _complete(preset: str) -> bool:
    # Asked for `all` alone, Snakemake does not miss what only finished jobs have read.
    targets = ("all", "models", "measurements")
    plan = driver.unfinished(preset, *targets)
    print(plan, end="\n" * bool(plan), file=sys.stderr)
    return not plan


def _drop_pointers(root: Path, current: set[Path]) -> None:
    """Pointers to what this run no longer has: git still knows them where they were committed."""
    for path in (root / "models").rglob("*.dvc"):
        if path not in current:
            path.unlink()


def _commit(name: str, root: Path, kept: list[str]) -> int:
    """Commit the record and the pointers, and nothing else that happens to be staged."""
    gone = subprocess.check_output(["git", "ls-files", "--deleted", str(root)], text=True).split()
    paths = [*kept, *gone]
    if status := _git("add", "--", *paths):
        return status
    staged = ["git", "diff", "--cached", "--quiet", "--", *paths]
    if not subprocess.run(staged, check=False).returncode:
        return 0  # nothing is new
    return _git("commit", "--quiet", "-m", f"Results of {name}", "--only", "--", *paths)


def _git(*arguments: str) -> int:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print((done.stdout + done.stderr).strip(), file=sys.stderr)
    return done.returncode
