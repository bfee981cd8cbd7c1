"""A preset from nothing in a clone of the last commit, once more, and a dry-run of the paper.

    python benchmarks/workflow.py [--json FILE] [--preset demo] [--cores 2]

There is no peer: nobody else runs this. Beside each time by the clock stand the seconds of all
processes' processors, since a machine that does other work shows in one and hardly in the other.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass
class Result:
    """Of one run: seconds, the largest process, and jobs by rule."""

    run: str
    wall_seconds: float
    processor_seconds: float
    peak_mb: float
    jobs: dict[str, int]

    def line(self) -> str:
        return (
            f"{self.run:28s} {self.wall_seconds:7.1f} s by the clock, "
            f"{self.processor_seconds:7.1f} of processors, largest process "
            f"{self.peak_mb:,.0f} MB, {sum(self.jobs.values())} jobs"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--cores", default="2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "toporepro"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        results = []
        for result in runs(clone, options.preset, options.cores):
            print(result.line(), flush=True)
            results.append(asdict(result))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def runs(clone: Path, preset: str, cores: str) -> Iterator[Result]:
    ops = [sys.executable, "workflow/ops", "reproduce", "--preset", preset, "--cores", cores]
    yield timed(f"{preset}, from nothing", ops, clone)
    yield timed(f"{preset}, once more", ops, clone)
    snakemake = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", cores]
    config = ["--config", "preset=paper"]
    yield timed("paper, dry-run", [*snakemake, *config], clone)


def timed(name: str, command: list[str], clone: Path) -> Result:
    """Run it; the peak is that of the largest process so far."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone / "workflow")}
    done = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = done.stdout + done.stderr
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{output[-4000:]}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Result(name, wall, seconds, after.ru_maxrss / 1024, jobs(output))


def jobs(output: str) -> dict[str, int]:
    """From the first table of job counts in Snakemake's output."""
    table = output.partition("Job stats:")[2].partition("\ntotal")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


if __name__ == "__main__":
    main()
