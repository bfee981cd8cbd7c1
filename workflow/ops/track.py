"""Giving a finished run to DVC: one batch, after the jobs, never inside one.

Networks and large tables get a ``.dvc`` pointer beside them. Small results are copied to
``results/{preset}/record``, which git keeps and no rule reads: a rule's own outputs must never be
tracked by git, or a fresh clone would skip the training that makes them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import driver

LARGE = ("models/**/weights.safetensors", "models/**/units.parquet")
SMALL = (
    "models/**/*.manifest.json",
    "tables/*.csv",
    "figures/*.png",
    "figures/*.svg",
    "claims.csv",
    "claims.md",
)


def track(preset: str) -> int:
    """Track the results of a preset; refused while any of them is missing or out of date."""
    root = Path("results") / Path(preset).stem
    # Asked for `all` alone, Snakemake does not miss what only finished jobs have read.
    targets = ("all", "models", "measurements")
    command = driver.snakemake(preset, *targets, "--dry-run", "--quiet", "rules", "--nolock")
    plan = subprocess.run(command, capture_output=True, text=True, check=False)
    if plan.returncode or "Nothing to be done" not in plan.stdout + plan.stderr:
        print((plan.stdout + plan.stderr).strip(), file=sys.stderr)
        print(
            f"\ntrack: {root} is not complete; run: make reproduce PRESET={preset}", file=sys.stderr
        )
        return 1
    large = [path for pattern in LARGE for path in sorted(root.glob(pattern))]
    # DVC may put a file back under a new time, by which Snakemake would measure all of it again.
    times = {path: path.stat() for path in large}
    subprocess.run(["dvc", "--wait-for-lock", "add", "--quiet", *map(str, large)], check=True)
    for path, before in times.items():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    record = root / "record"
    shutil.rmtree(record, ignore_errors=True)
    for pattern in SMALL:
        for path in sorted(root.glob(pattern)):
            target = record / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    size = sum(path.stat().st_size for path in large)
    print(f"{len(large)} files ({size / 1e6:.1f} MB) tracked by DVC, small results in {record}")
    print(f"to keep them: git add {root} && git commit, then dvc push")
    return 0
