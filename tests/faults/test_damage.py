"""Bits that flip and files that lose their end: found before use, or without any effect."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected, digest
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
    "measures of a network": (f"results/tiny/{MLP}/measures.csv", "tables", ""),
    "values of units": (f"results/tiny/{MLP}/units.parquet", "tables", ""),
    "a history": (f"results/tiny/{MLP}/history.csv", "tables", ""),
    "a table, for claims": ("results/tiny/tables/measures.csv", "claims", ""),
    "a table, for figures": ("results/tiny/tables/measures.csv", "figure", "figure dimensionality"),
    "claims": ("results/tiny/claims.csv", "report", ""),
    "a picture": ("results/tiny/figures/dimensionality.svg", "report", ""),
    "facts of a figure": ("results/tiny/figures/dimensionality.json", "report", ""),
}


# A bit of a manifest that no reader asks for, such as a package's version, is nothing to refuse.
CASES = [(what, damage) for what in READ for damage in DAMAGES]
CASES.remove(("a manifest", "flipped bit"))


@pytest.mark.parametrize(("what", "damage"), CASES)
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
    assert reader.run(copy).returncode == 0, "the whole file is taken again"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_costs_time_alone(
    damage: str, copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    training = job(all_jobs, "train", MLP)
    assert training.run(copy).returncode == 0
    weights = copy.results / MLP / "weights.safetensors"
    before = digest(weights)
    for path in (copy.results / MLP / "state" / "train").rglob("*.state"):
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    done = training.run(copy)
    assert done.returncode == 0, done.stderr
    assert "damaged" in done.stderr
    assert digest(weights) == before
    injected(damage, "state of a training", 1, "trained again, identical weights")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_of_one_measure_is_measured_again(
    damage: str, copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    measuring = job(all_jobs, "measure", MLP)
    assert measuring.run(copy).returncode == 0
    table = copy.results / MLP / "measures.csv"
    before = digest(table)
    for path in (copy.results / MLP / "state" / "measure").rglob("smoothness.result"):
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    done = measuring.run(copy)
    assert done.returncode == 0, done.stderr
    assert "checksum is wrong" in done.stderr
    assert digest(table) == before
    injected(damage, "kept result of a measure", 1, "measured again, identical rows")
