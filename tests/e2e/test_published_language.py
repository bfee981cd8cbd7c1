"""The authors' NanoGPT files from end to end: real GPT-2 tokens, a scattered corpus, real BLiMP.

A server on this machine plays the hub; networks are small, but stored as the published ones are.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import torch
import yaml
from pyarrow import parquet

from tests.e2e.conftest import ROOT, Copy, copy_repository
from tests.unit.data import hub_server
from tests.unit.data.hub_server import Hub
from tests.unit.models import published_files as files
from toporepro import models
from toporepro.data.scatter import prepare_all
from toporepro.data.text_store import PreparedText
from toporepro.spec import DataSpec, decode

SHARED = ROOT.parent / "shared" / "data"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not SHARED.exists(), reason="needs the shared data's BPE, BLiMP and books"),
]
PRESET = "tests/presets/published_language.yaml"
FAMILY = "nanogpt"
PADDED = 50304
SHARDS = 4


def theirs(seed: int) -> Any:
    return files.gpt2(
        PADDED, bias=False, seed=seed, n_positions=64, activation_function="gelu"
    )  # nanoGPT's


def put_networks(hub: Hub) -> dict[float, dict[str, str]]:
    """τ → its entry; torch.compile's prefix is left on the names of one, as it may be."""
    found = {}
    for number, (tau, prefix) in enumerate(((0.0, ""), (50.0, "_orig_mod."))):
        network = theirs(seed=number)
        stream = io.BytesIO()
        torch.save(files.nanogpt_file(network, prefix), stream)
        path = f"/murtylab/topo-nanogpt-fineweb10B/resolve/main/tau_{tau}.pt"
        found[tau] = {"url": hub.put(path, stream.getvalue()), "key": "model"}
    return found


def preset(hub: Hub) -> dict[str, object]:
    return {
        "about": "test",
        "snapshots": 1,
        "data": {
            "documents": {
                "source": "parquet_text",
                "options": {"dataset": "documents", "shards": SHARDS, "validation": 0.05},
            },
            "blimp": {"source": "blimp", "options": {"form": "archive", "pairs": 3}},
        },
        "families": {
            FAMILY: {
                "label": "NanoGPT",
                "architecture": "nanogpt",
                "model": {"context": 64, "width": 32, "depth": 2, "heads": 4, "mlp": 96},
                "data": "documents",
                "phi": 2,
                "taus": [0, 50],
                "seeds": [0],
                "checkpoints": put_networks(hub),
                "measures": ["loss", "smoothness", "effective_dimensionality", "blimp",
                             "compression"],
            }
        },
        "measures": {
            "loss": {},
            "smoothness": {"shuffles": 3},
            "effective_dimensionality": {},
            "blimp": {},
            "compression": {"sparsities": [0.8], "stimuli": ["blimp/pairs"], "most": 1},
        },
        "figures": {"blimp_vs_smoothness": {}, "compression": {}},
    }  # fmt: skip


def write_documents(folder: Path) -> None:
    """Paragraphs of books as the hub has documents: files of several row groups, a column text."""
    folder.mkdir(parents=True)
    book = (SHARED / "text_classic_books/valid.txt").read_text(encoding="utf-8")
    texts = [text for text in book.split("\n\n") if text.strip()][:1500]
    for number in range(4):
        some = texts[number::4]
        columns = {"text": some, "id": [f"{number}-{row}" for row in range(len(some))]}
        path = folder / f"{number:03d}_00000.parquet"
        parquet.write_table(pyarrow.table(columns), path, row_group_size=100)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as patch, hub_server.serving() as running:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield running


@pytest.fixture(scope="module")
def released(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A run whose driver and jobs were killed while text was prepared, and which went on."""
    copy = copy_repository(tmp_path_factory.mktemp("language") / "repository")
    copy.preset = PRESET
    (copy.root / PRESET).write_text(yaml.safe_dump(preset(hub), allow_unicode=True))
    write_documents(copy.root / "data/documents")
    (copy.root / "data/blimp").mkdir()
    shutil.copy(SHARED / "blimp/blimp_full_data.tar.xz", copy.root / "data/blimp/blimp.tar.xz")
    (copy.root / "data/gpt2_bpe").mkdir()
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(SHARED / "gpt2_bpe" / name, copy.root / "data/gpt2_bpe" / name)
    jobs = copy.jobs()
    assert (jobs["prepare_part"], jobs["convert_checkpoint"]) == (SHARDS, 2)
    command = [sys.executable, "workflow/ops", "reproduce", "--preset", PRESET, "--cores", "1"]
    process = subprocess.Popen(
        command, cwd=copy.root, env=copy.environment(), start_new_session=True
    )
    deadline = time.monotonic() + 240
    while len(parts(copy)) < 2:
        assert time.monotonic() < deadline, "no two parts were prepared"
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # On one core, the job of the first part has ended by then; that of the second may have not.
    made = {path: path.stat().st_mtime_ns for path in parts(copy)}
    first = min(made, key=lambda path: made[path])
    assert len(made) < SHARDS
    copy.first_output = copy.reproduce()
    assert first.stat().st_mtime_ns == made[first], "made again"
    return copy


def parts(copy: Copy) -> list[Path]:
    return sorted((copy.root / "data/prepared").glob("parquet_text-*/parts/0*.json"))


def rows(copy: Copy, tau: str) -> dict[tuple[str, float], float]:
    with (copy.results / "tables/measures.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["metric"], float(row["sparsity"] or 0)): float(row["value"])
            for row in csv.DictReader(file)
            if row["tau"] == tau and row["layer"] in ("", "mean")
        }


def test_text_prepared_with_interruption_is_that_prepared_in_one_go(
    released: Copy, tmp_path: Path
) -> None:
    assert len(parts(released)) == SHARDS
    (index,) = (released.root / "data/prepared").glob("parquet_text-*/dataset.json")
    content = json.loads(index.read_text())
    assert (content["vocabulary"], len(content["splits"]["train"]["shards"])) == (50257, SHARDS)
    spec = decode(DataSpec, {"source": content["source"], "options": content["options"]})
    prepare_all(spec, released.root / "data", tmp_path / "again" / "dataset.json")
    assert (tmp_path / "again" / "dataset.json").read_bytes() == index.read_bytes()
    PreparedText.open(index).verify()


@pytest.mark.parametrize("tau", ["0", "50"])
def test_every_network_is_measured(released: Copy, tau: str) -> None:
    found = rows(released, tau)
    assert found["smoothness", 0] > 0
    assert found["effective_dimensionality", 0] > 1
    assert found["loss", 0] == pytest.approx(found["loss.sheet", 0])
    assert found["loss.sheet", 0.8] != found["loss.sheet", 0]
    assert sum(metric.startswith("pair_accuracy.paradigm.") for metric, _ in found) == 67
    assert 0.3 < found["pair_accuracy", 0] < 0.7
    assert found["parameters.sheet", 0] - found["parameters.sheet", 0.8] == 2 * 32 * (96 - 3 * 5)


def test_logits_are_those_of_transformers(released: Copy) -> None:
    ours = models.load(released.results / f"models/{FAMILY}/tau=50/seed=0/weights.safetensors")
    tokens = torch.randint(50257, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(1)(tokens).logits, atol=1e-4, rtol=1e-4)


def test_nothing_is_left_to_do(released: Copy) -> None:
    assert released.jobs() == {}
    assert (released.results / "report.html").exists()
