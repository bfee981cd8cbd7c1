"""Bringing results back from a remote: what matches the present spec and code, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import driver
import record
from jobs import Job, Made, below, configured, digest, findings, jobs_of, stale
from toporepro.config.resolve import Resolved
from toporepro.data.index import INDEX
from toporepro.plugins import names
from toporepro.provenance import DamagedError, sha256
from toporepro.spec import nearest
from track import dvc, pointer


def restore(preset: str, family: str | None = None, figure: str | None = None) -> int:
    """Restore a preset's results, or those of one family, or what one figure is drawn from.

    Of prepared data only the index comes: the rest is prepared again when a job reads it.

    Results that are here and right stay. Those here that are not, and files that come back other
    than the record says, are moved to ``results/{preset}/aside``; so is what was made of them.
    """
    resolved = configured(preset)
    listed = record.read(resolved)
    if listed is None:
        print(
            f"restore: {record.folder(resolved)} is not there; it comes with a commit made after "
            f"`python workflow/ops track --preset {preset}`",
            file=sys.stderr,
        )
        return 1
    jobs = jobs_of(resolved)
    made, damaged = _manifests(jobs, resolved)
    wanted = _wanted(jobs, made, resolved, family, figure)
    if wanted is None:
        return 2
    rejected = _unfit(wanted, made, damaged, listed)
    aside = resolved.paths.root / "aside" / time.strftime("%Y%m%dT%H%M%S")
    take = [job for job in wanted if job.record not in rejected]
    here = {job.record for job in take if job.record.exists() and not findings(job)}
    here |= {job.record for job in take if any(map(_is_data_here, job.outputs))}
    files = [path for job in take if job.record not in here for path in _files(job, listed)]
    for path in files:
        if path.exists() and sha256(path) != listed[path].sha256:
            _move(path, aside)
    _fetch([path for path in files if not path.exists()], listed, resolved)
    rejected |= _verified(take, here, listed, aside)
    for job in below(rejected, jobs, made):
        rejected[job.record] = "made of results that were not restored"
        for path in (job.record, *job.outputs):
            if path.exists():
                _move(path, aside)
    for job in wanted:
        if job.record in rejected:
            print(f"not restored: {job.name}: {rejected[job.record]}", file=sys.stderr)
    restored = [job for job in wanted if job.record not in rejected]
    if aside.exists():
        print(f"set aside: {aside}", file=sys.stderr)
    status = _settle(restored, preset, everything=len(restored) == len(jobs))
    print(f"restored or right already: {len(restored)} of {len(wanted)} jobs' results")
    return status


def _manifests(jobs: list[Job], resolved: Resolved) -> tuple[dict[Path, Made], dict[Path, str]]:
    """The record's manifests by where they belong, and what is wrong with damaged ones."""
    made, damaged = {}, {}
    for job in jobs:
        try:
            found = Made.read(record.copy_of(job.record, resolved))
        except DamagedError as error:
            damaged[job.record] = str(error)
        else:
            if found is not None:
                made[job.record] = found
    return made, damaged


def _wanted(
    jobs: list[Job],
    made: Mapping[Path, Made],
    resolved: Resolved,
    family: str | None,
    figure: str | None,
) -> list[Job] | None:
    if family is None and figure is None:
        return jobs
    if family is not None and family not in resolved.preset.families:
        print(f"family {family!r}: {nearest(family, resolved.preset.families)}", file=sys.stderr)
        return None
    if figure is not None and figure not in resolved.preset.figures:
        known = [name for name in names("figures") if name in resolved.preset.figures]
        print(f"figure {figure!r}: {nearest(figure, known)}", file=sys.stderr)
        return None
    chosen = {
        job.record
        for job in jobs
        if (family and job.family == family) or (figure and job.name == f"figure {figure}")
    }
    makers = {str(path): job.record for job in jobs for path in job.outputs}
    pending = list(chosen)
    while pending:
        current = made.get(pending.pop())
        for name in current.content["inputs"] if current else ():
            if name in makers and makers[name] not in chosen:
                chosen.add(makers[name])
                pending.append(makers[name])
    return [job for job in jobs if job.record in chosen]


def _is_data_here(path: Path) -> bool:
    return path.name == INDEX and path.exists()


def _unfit(
    jobs: list[Job],
    made: Mapping[Path, Made],
    damaged: Mapping[Path, str],
    listed: Mapping[Path, record.Kept],
) -> dict[Path, str]:
    """Jobs whose recorded results are not those of the present spec, code or inputs."""
    rejected: dict[Path, str] = {}
    outputs = {
        f"{record_.parent / name}": value
        for record_, found in made.items()
        for name, value in found.content["outputs"].items()
    }
    for job in jobs:
        found = made.get(job.record)
        if found is None:
            rejected[job.record] = damaged.get(job.record, "not in the record")
        elif why := stale(job, found):
            rejected[job.record] = f"made by another spec or code: {why}"
        else:
            for name, value in found.content["inputs"].items():
                other = name in outputs and outputs[name] != value
                local = Path(name)
                kept_here = local.exists() and (local.name == INDEX or local not in listed)
                if other or (kept_here and digest(local) != value):
                    rejected[job.record] = f"made of another {name}"
    for job in below(rejected, jobs, dict(made)):
        rejected[job.record] = "made of results that do not fit any more"
    return rejected


def _files(job: Job, listed: Mapping[Path, record.Kept]) -> list[Path]:
    return [path for path in (job.record, *job.outputs) if path in listed]


def _fetch(files: list[Path], listed: Mapping[Path, record.Kept], resolved: Resolved) -> None:
    large = [path for path in files if listed[path].dvc]
    costs = [path for path in listed if path.suffix == ".tsv" and not path.exists()]
    for path in [*files, *costs]:
        source = record.copy_of(path, resolved)
        if not listed[path].dvc and source.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, path)
    if large:
        dvc("pull", [pointer(path) for path in large])


def _verified(
    jobs: list[Job], here: set[Path], listed: Mapping[Path, record.Kept], aside: Path
) -> dict[Path, str]:
    """Jobs of which a file did not come, or not as it was; its files are set aside."""
    digest.cache_clear()
    rejected = {}
    for job in jobs:
        if job.record in here:
            continue
        for path in (job.record, *job.outputs):
            if path not in listed or not path.exists():
                rejected[job.record] = f"{path} did not come from the remote"
            elif digest(path) != listed[path].sha256:
                rejected[job.record] = f"{path} is damaged: its SHA-256 is not the record's"
        if job.record in rejected:
            for path in (job.record, *job.outputs):
                if path.exists():
                    _move(path, aside)
    return rejected


def _move(path: Path, aside: Path) -> None:
    target = aside / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)


def _settle(restored: list[Job], preset: str, *, everything: bool) -> int:
    """Let Snakemake note that the restored results are up to date, and write the pages anew."""
    if not restored:
        return 1
    targets = [str(job.outputs[0]) for job in restored]
    touch = ("--touch", "--forceall", "--quiet", "all", "--nolock")
    status = subprocess.run([*driver.snakemake(preset, *targets), *touch], check=False).returncode
    if status or not everything:
        return status
    return driver.run(driver.snakemake(preset))
