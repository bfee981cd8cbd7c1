"""Every benchmark of this folder, each beside its peer, into ``benchmarks/{device}.json``.

    make bench        or        python benchmarks/run.py [NAME …]

A benchmark is a script here that takes ``--json FILE`` and prints its own table.
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from toporepro.provenance import git_commit, package_versions

HERE = Path(__file__).parent


def device() -> str:
    """The machine's GPU, or its processor and number of cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def main(wanted: list[str]) -> int:
    scripts = sorted(path for path in HERE.glob("*.py") if path.name != Path(__file__).name)
    unknown = set(wanted) - {path.stem for path in scripts}
    if unknown:
        names = ", ".join(path.stem for path in scripts)
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {names}")
        return 2
    name = device()
    out = HERE / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".json")
    content = json.loads(out.read_text()) if out.exists() else {}
    content |= {"device": name, "packages": package_versions(), "system": platform.platform()}
    results = content.setdefault("results", {})
    status = 0
    for script in scripts:
        if wanted and script.stem not in wanted:
            continue
        print(f"\n== {script.stem}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            done = subprocess.run([sys.executable, str(script), "--json", str(answer)], check=False)
            if done.returncode:
                print(f"{script.stem} failed with status {done.returncode}")
                status = 1
                continue
            results[script.stem] = {
                "measured": time.strftime("%Y-%m-%d", time.gmtime()),
                "git_commit": git_commit(),
                "result": json.loads(answer.read_text()),
            }
        out.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"\nwritten: {out}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
