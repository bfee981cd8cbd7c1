"""What git keeps of a run: ``results/{preset}/record``, which no rule reads or writes.

``index.json`` lists every file of the run with its SHA-256 and where it is kept: small ones are
copied here, large ones are DVC's, which leaves a ``.dvc`` pointer beside each. Rules' own outputs
must never be tracked by git, or a fresh clone would skip the training that makes them.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs import Job, digest
from toporepro.config.resolve import Resolved
from toporepro.provenance import DamagedError, unsealed, write_json, write_sealed, write_text

LARGE = 500_000  # bytes, from which on a file is DVC's
INDEX = "index.json"
ALWAYS_LARGE = (".safetensors", ".parquet")


@dataclass(frozen=True)
class Kept:
    """One file of a run: its hash and size, and whether DVC keeps it."""

    sha256: str
    bytes: int
    dvc: bool


def folder(resolved: Resolved) -> Path:
    return resolved.paths.root / "record"


def copy_of(path: Path, resolved: Resolved) -> Path:
    """Where the record holds its copy of a small file."""
    return folder(resolved) / "files" / path


def files_of(jobs: Iterable[Job], resolved: Resolved) -> list[Path]:
    """All files of a run that are kept: manifests, outputs, and what each job cost."""
    found = [path for job in jobs for path in (job.record, *job.outputs)]
    costs = (resolved.paths.root / "benchmarks").rglob("*.tsv")
    return [*(path for path in found if path.exists()), *sorted(costs)]


def is_large(path: Path) -> bool:
    return path.suffix in ALWAYS_LARGE or path.stat().st_size > LARGE


def write(jobs: list[Job], resolved: Resolved) -> dict[Path, Kept]:
    """Make the record anew and return what it lists; nothing goes to DVC here."""
    place = folder(resolved)
    shutil.rmtree(place, ignore_errors=True)
    listed = {}
    for path in files_of(jobs, resolved):
        listed[path] = Kept(digest(path), path.stat().st_size, is_large(path))
        if not listed[path].dvc:
            target = copy_of(path, resolved)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    content = {path.as_posix(): asdict(kept) for path, kept in sorted(listed.items())}
    write_sealed(place / INDEX, {"preset": resolved.name, "files": content})
    parameters = {**asdict(resolved.preset), "code": _code(jobs)}
    write_text(place / "params.yaml", yaml.safe_dump(_plain(parameters), allow_unicode=True))
    found = metrics(resolved.paths.table("measures"))
    write_json(place / "metrics.json", found)
    write_json(place / "headlines.json", headlines(found, resolved.paths.claims))
    shutil.copy2(resolved.paths.table("history"), place / "history.csv")
    write_text(place / "dvc.yaml", yaml.safe_dump(DESCRIBED, sort_keys=False))
    return listed


# No stages: Snakemake runs the workflow; DVC shows and compares what came of it.
DESCRIBED = {
    "params": ["params.yaml"],
    "metrics": ["headlines.json"],
    "plots": [
        {
            "history.csv": {
                "x": "step",
                "y": "loss",
                "title": "Training loss",
                "template": "training",  # .dvc/plots/training.json
            }
        },
    ],
}
HEADLINES = (
    *("accuracy test", "loss validation"),
    *("smoothness_minus_null test", "smoothness_minus_null validation"),
)


def read(resolved: Resolved) -> dict[Path, Kept] | None:
    """What the record lists; ``None`` if there is no record.

    Raises:
        DamagedError: if it is not as it was written.
    """
    path = folder(resolved) / INDEX
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return {Path(name): Kept(**kept) for name, kept in files_in(content, str(path)).items()}


def files_in(content: bytes, where: str) -> dict[str, Any]:
    """The files that an index lists, by name.

    Raises:
        DamagedError: if it is not as it was written; ``where`` says which.
    """
    try:
        files: dict[str, Any] = unsealed(content)["files"]
    except ValueError:
        raise DamagedError(f"{where} is damaged; git has it: git checkout -- {where}") from None
    return files


def metrics(table: Path) -> dict[str, Any]:
    """Measures of whole networks at their last step, by family, τ, seed and metric."""
    rows: dict[tuple[str, ...], tuple[int, float]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["layer"] not in ("", "mean") or float(row["sparsity"]) > 0:
                continue
            network = (row["family"], f"tau={row['tau']}", f"seed={row['seed']}")
            key = (*network, row["metric"], row["stimuli"])
            step = int(row["step"])
            if key not in rows or step > rows[key][0]:
                rows[key] = (step, float(row["value"]))
    nested: dict[str, Any] = {}
    for (family, tau, seed, metric, stimuli), (_, value) in sorted(rows.items()):
        if not math.isnan(value):  # JSON has no nan
            place = nested.setdefault(family, {}).setdefault(tau, {}).setdefault(seed, {})
            place[f"{metric} {stimuli}".strip()] = value
    return nested


def headlines(every: Mapping[str, Any], claims: Path) -> dict[str, Any]:
    """Few enough for a table in a terminal: how many claims have which verdict, and HEADLINES."""
    with claims.open(newline="", encoding="utf-8") as file:
        verdicts = Counter(row["verdict"] for row in csv.DictReader(file))
    networks: dict[str, Any] = {}
    for family, taus in every.items():
        for tau, seeds in taus.items():
            for seed, values in seeds.items():
                kept = {name: values[name] for name in HEADLINES if name in values}
                networks.setdefault(family, {}).setdefault(tau, {})[seed] = kept
    return {"claims": dict(sorted(verdicts.items())), "networks": networks}


def cost(listed: Mapping[Path, Kept]) -> list[tuple[str, int, int]]:
    """Bytes of the networks by family and τ: as they lie there, and with equal files once."""
    total: dict[str, int] = defaultdict(int)
    once: dict[str, dict[str, int]] = defaultdict(dict)
    for path, kept in listed.items():
        if kept.dvc:
            parts = path.parts
            name = " ".join(parts[3:5]) if "models" in parts else "tables and figures"
            total[name] += kept.bytes
            once[name][kept.sha256] = kept.bytes
    return [(name, total[name], sum(once[name].values())) for name in sorted(total)]


def _code(jobs: Iterable[Job]) -> dict[str, str]:
    modules: dict[str, str] = {}
    for job in jobs:
        modules |= job.modules
    return modules


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value))
