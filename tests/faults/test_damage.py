"""Bits that flip and files that lose their end: found before use, or without any effect."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected
from tests.faults.stages import digest
from tests.faults.verbs import Job, job

pytestmark = pytest.mark.e2e
MLP = "models/mlp/tau=3/seed=0"


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {"flipped bit": flip, "truncation": truncate}
# What is damaged, as a pattern below the copy; the verb that reads it; a part of its command.
READ = {
    "prepared images": ("data/prepared/digits-*/train_images.npy", "train", "models/mlp/"),
    "labels": ("data/prepared/digits-*/train_labels.npy", "train", "models/mlp/"),
    "index of prepared images": ("data/prepared/digits-*/dataset.json", "train", MLP),
    "tokens": ("data/prepared/grammar-*/train-00000.bin", "train", "models/nanogpt/"),
    "index of prepared text": ("data/prepared/grammar-*/dataset.json", "train", "models/nanogpt/"),
    "final weights": (f"results/tiny/{MLP}/weights.safetensors", "measure", MLP),
    "a snapshot": (f"results/tiny/{MLP}/snapshots/01.safetensors", "measure", MLP),
    "a manifest": (f"results/tiny/{MLP}/weights.manifest.json", "measure", MLP),
    "a manifest, for the report": (f"results/tiny/{MLP}/measures.manifest.json", "report", ""),
    "measures of a network": (f"results/tiny/{MLP}/measures.csv", "tables", ""),
    "values of units": (f"results/tiny/{MLP}/units.parquet", "tables", ""),
    "a history": (f"results/tiny/{MLP}/history.csv", "tables", ""),
    "a table, for claims": ("results/tiny/tables/measures.csv", "claims", ""),
    "a table, for figures": ("results/tiny/tables/measures.csv", "figure", "figure dimensionality"),
    "claims": ("results/tiny/claims.csv", "report", ""),
    "a picture": ("results/tiny/figures/dimensionality.svg", "report", ""),
    "facts of a figure": ("results/tiny/figures/dimensionality.json", "report", ""),
}


@pytest.mark.parametrize("what", READ)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_nothing_is_made_of_it(
    what: str, damage: str, copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    pattern, verb, part = READ[what]
    (path,) = copy.root.glob(pattern)
    reader = job(all_jobs, verb, part)
    if verb == "train":  # what has finished does not read its data again
        shutil.rmtree(copy.root / reader.place / "state", ignore_errors=True)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    try:
        done = reader.run(copy)
    finally:
        path.write_bytes(whole)
    assert done.returncode != 0, done.stderr
    assert path.name in done.stderr or f"{path.parent.name}/" in done.stderr
    assert "Traceback" not in done.stderr
    injected(damage, what, 1, "refused, the file named")
    if damage == "truncation":
        assert reader.run(copy).returncode == 0, "the whole file is taken again"


# What a job goes on from: the verb, the result it makes, files in its state, what it says.
KEPT = {
    "state of a training": ("train", "weights.safetensors", "*.state", "checksum does not hold"),
    "snapshot of a training": ("train", "snapshots/01.safetensors", "snapshot-01.*", "damaged"),
    "attempts of a training": ("train", "weights.safetensors", "attempts.json", "not counted"),
    "kept result of a measure": ("measure", "measures.csv", "smoothness.result", "checksum is"),
}


@pytest.mark.parametrize("what", KEPT)
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_kept_of_a_job_costs_time_alone(
    what: str, damage: str, copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    verb, name, pattern, says = KEPT[what]
    one, output = job(all_jobs, verb, MLP), copy.results / MLP / name
    assert one.run(copy).returncode == 0
    before = digest(output)
    kept = list((copy.results / MLP / "state" / verb).rglob(pattern))
    assert kept
    for path in kept:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    done = one.run(copy)
    assert done.returncode == 0, done.stderr
    assert says in done.stderr
    assert digest(output) == before
    injected(damage, what, 1, "named, done again, identical results")
