"""How long a job takes to its first work, beside ``import torch`` alone.

    python benchmarks/job_start.py [--json FILE] [--rounds 7]

The jobs are those of Snakemake: ``toporepro train`` and ``toporepro measure`` of a small network on
the embedded digits, in processes of their own, timed up to their first line of progress, when the
network is there and the first batch is on its way. They take turns with ``import torch``, which no
job can do without: the limit.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from toporepro.config import resolve
from toporepro.spec import encode

ROOT = Path(__file__).parents[1]
PRESET = "tests/presets/tiny.yaml"


@dataclass
class Result:
    """Medians over rounds, in seconds by the clock."""

    job: str
    seconds: float
    import_torch_seconds: float
    over_import: float


def until_first_line(command: list[str]) -> float:
    """Seconds from the start of a process to its first line on standard error."""
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        taken = time.perf_counter() - started
        rest = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {line}{rest}")
    return taken


def whole(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    options = parser.parse_args()
    model = next(m for m in resolve({"preset": PRESET}, ROOT).models if m.family == "mlp")
    toporepro = [sys.executable, "-m", "toporepro"]
    times: dict[str, list[float]] = {"import torch": [], "train": [], "measure": []}
    with tempfile.TemporaryDirectory() as folder:
        index, out = f"{folder}/data/dataset.json", f"{folder}/model"
        spec = encode(model.train.data)
        prepare = ["prepare", "--spec", spec, "--raw", f"{folder}/raw", "--out", index]
        subprocess.run([*toporepro, *prepare], check=True, stderr=subprocess.DEVNULL)
        spec = encode(model.train)
        train = [*toporepro, "train", "--spec", spec, "--data", index, "--out"]
        spec = encode(model.measure)
        measure = [*toporepro, "measure", "--spec", spec, "--data", index, "--model"]
        for turn in range(options.rounds + 1):  # the first fills the page cache
            times["import torch"].append(whole([sys.executable, "-c", "import torch"]))
            times["train"].append(until_first_line([*train, f"{out}{turn}"]))
            times["measure"].append(until_first_line([*measure, f"{out}{turn}"]))
    median = {job: statistics.median(found[1:]) for job, found in times.items()}
    limit = median.pop("import torch")
    results = [Result(job, value, limit, value / limit) for job, value in median.items()]
    for result in results:
        print(
            f"{result.job:8s} {result.seconds:.2f} s to its first work, import torch "
            f"{result.import_torch_seconds:.2f} s: {result.over_import:.2f}×"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
