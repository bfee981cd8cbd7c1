"""Many trainings and measurings in one workflow: memory, file handles and disk stay flat.

    python tests/faults/soak.py [--cycles 200] [--cores 2]

Not a test, since it takes long: a network of the preset ``tiny`` with as many seeds, in a copy of
the repository. What the driver holds is noted while it runs; its first and last thirds are held
against each other, and so is what each network leaves on the disk.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.conftest import Copy, copy_repository

PRESET = "config/presets/soak.yaml"
PAGE = os.sysconf("SC_PAGE_SIZE")


def preset(cycles: int) -> dict[str, object]:
    content = yaml.safe_load(Path("tests/presets/tiny.yaml").read_text())
    family = {**content["families"]["mlp"], "seeds": list(range(cycles)), "taus": [3]}
    return {**content, "families": {"mlp": family}, "figures": {"training_curves": {}}}


def held(pid: int) -> tuple[float, int]:
    """Memory in MB and file handles of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE / 1e6, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="networks, one after another")
    parser.add_argument("--cores", default="2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_repository(Path(folder) / "repository")
        (copy.root / PRESET).write_text(yaml.safe_dump(preset(options.cycles)))
        samples = run(copy, options.cores)
        models = sorted(copy.root.glob("results/soak/models/mlp/*/seed=*"))
        sizes = [size(model) for model in models]
    third = max(1, len(samples) // 3)
    early, late = samples[third : 2 * third], samples[-third:]
    print(f"{len(models)} networks trained and measured; {len(samples)} looks at the driver")
    worst = 0.0
    for name, column in (("memory, MB", 0), ("file handles", 1)):
        before = statistics.median(sample[column] for sample in early)
        after = statistics.median(sample[column] for sample in late)
        worst = max(worst, after / before)
        print(f"driver's {name}: {before:.0f} in the second third, {after:.0f} in the last")
    print(f"disk of a network: {min(sizes) / 1e3:.0f} to {max(sizes) / 1e3:.0f} kB")
    return int(len(models) != options.cycles or worst > 1.2 or max(sizes) > 1.1 * min(sizes))


def run(copy: Copy, cores: str) -> list[tuple[float, int]]:
    profile = ["--workflow-profile", "workflow/profiles/default", "--cores", cores]
    command = [sys.executable, "-m", "snakemake", *profile, "--config", f"preset={PRESET}"]
    samples = []
    log = copy.root / "soak.log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            command, cwd=copy.root, env=copy.environment(), stdout=said, stderr=said
        ) as process,
    ):
        while process.poll() is None:
            samples.append(held(process.pid))
            time.sleep(2)
    if process.returncode:
        raise SystemExit("the run failed:\n" + log.read_text()[-4000:])
    return samples


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
