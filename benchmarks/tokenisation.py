"""Text to tokens on disk, per second and core: ours beside ``datasets.map`` with a fast tokenizer.

    python benchmarks/tokenisation.py [--json FILE] [--text FOLDER] [--megabytes 6] [--rounds 3]

Both read the same Parquet file of documents of some 4,000 characters and leave the same tokens on
disk (compared here), each document followed by end of text. Ours is what a part of ``toporepro
prepare`` does, hashing and splitting included. The other one is the usual way: ``load_dataset``, a
batched ``map`` with Hugging Face's ``tokenizers`` in one process, then an array written shard by
shard. Contenders take turns in one process on one thread; what counts is its processor time, and
the best round, since all else that a machine does only adds. Beside them stands encoding alone.

Text and tokenizer are those in ``data`` (``books``, ``gpt2_bpe``) if they are there; else those of
the seeded grammar, whose few words are kinder to both.

Seen on 2 overloaded cores (Xeon, load 13), GPT-2's BPE on books: datasets.map 0.47 million tokens
per second and core, ours 1.7 (3.7×), of which encoding alone would do 2.0; with less beside it, all
of them were up to twice as fast, and the books as one text file took 1.9 s for 4.7 million tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# One core each: by default the other tokenizer starts a thread per core.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import datasets
import numpy as np
import pyarrow
from pyarrow import parquet
from tokenizers import ByteLevelBPETokenizer

from toporepro.data import grammar, parquet_text, scatter
from toporepro.data.gpt2_bpe import FILES
from toporepro.data.index import INDEX
from toporepro.data.text_files import TextFile, last_cut
from toporepro.data.text_store import PreparedText
from toporepro.data.tokenizer import ENCODER, END_OF_TEXT, MERGES, Tokenizer
from toporepro.spec import DataSpec

DATA = Path(__file__).parents[1] / "data"
DOCUMENT = 4000
VALIDATION = 0.01


@dataclass
class Result:
    """One contender."""

    contender: str
    cpu_seconds: float
    million_tokens_per_core_second: float
    over_datasets: float


def read_documents(folder: Path, characters: int) -> list[str]:
    """Documents of ``DOCUMENT`` characters or so, from a folder of text files or the grammar."""
    if any(folder.glob("*.txt")):
        pieces = (piece for path in sorted(folder.glob("*.txt")) for piece in TextFile(path))
    else:
        pieces = grammar.documents(grammar.Options(documents=characters // 100))
    documents, rest = [], ""
    for piece in pieces:
        rest += piece
        while len(rest) > DOCUMENT:
            cut = last_cut(rest[:DOCUMENT])
            documents.append(rest[:cut].strip())
            rest = rest[cut:]
        characters -= len(piece)
        if characters < 0:
            break
    return documents


def ours(root: Path, tokenizer: str) -> None:
    """A part prepared anew; the tokenizer stays, as it does from part to part."""
    options = parquet_text.Options(
        dataset="documents", tokenizer=tokenizer, vocabulary=4096, validation=VALIDATION, shards=1
    )
    spec = DataSpec(source="parquet_text", options=dataclasses.asdict(options))
    index = root / INDEX
    (index.parent / "parts" / "00000.json").unlink(missing_ok=True)
    with contextlib.redirect_stderr(io.StringIO()):
        scatter.prepare_all(spec, root, index)


def with_datasets(root: Path) -> None:
    cache = root / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    tokenizer = ByteLevelBPETokenizer(str(root / ENCODER), str(root / MERGES))
    end = json.loads((root / ENCODER).read_text())[END_OF_TEXT]

    def encode(rows: dict[str, list[str]]) -> dict[str, Any]:
        return {"ids": [[*found.ids, end] for found in tokenizer.encode_batch(rows["text"])]}

    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(root / "documents" / "text.parquet"),
        split="train",
        cache_dir=str(cache),
    )
    # Without this, the hash of the function, which holds a tokenizer, takes a second of its own.
    encoded = loaded.map(encode, batched=True, remove_columns=["text"], new_fingerprint="ids")
    with (root / "datasets.bin").open("wb") as file:
        for start in range(0, len(encoded), 1000):
            rows = encoded.with_format("numpy")[start : start + 1000]["ids"]
            file.write(np.concatenate(rows).astype(np.uint16).tobytes())


def check(root: Path) -> int:
    """The number of tokens; both hold the same documents, ours in two splits."""
    data = PreparedText.open(root / INDEX)

    def pieces(ids: np.ndarray) -> list[bytes]:
        ends = np.flatnonzero(ids == data.end_of_text) + 1
        return sorted(part.tobytes() for part in np.split(ids, ends))

    splits = [data.split(name)[:] for name in ("train", "validation")]
    theirs = np.fromfile(root / "datasets.bin", dtype=np.uint16)
    assert pieces(np.concatenate(splits)) == pieces(theirs)
    return len(theirs)


def timed(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="Tokenisation beside datasets.map.")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--text", type=Path, default=DATA / "books", help="a folder of .txt files")
    parser.add_argument("--megabytes", type=float, default=6, help="of text, at most")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    datasets.disable_progress_bars()
    documents = read_documents(options.text, int(options.megabytes * 1e6))
    gpt2 = all((DATA / "gpt2_bpe" / file.name).exists() for file in FILES)
    kind = "gpt2" if gpt2 else "trained"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if gpt2:
            (root / "gpt2_bpe").symlink_to((DATA / "gpt2_bpe").resolve())
        (root / "documents").mkdir()
        table = pyarrow.table({"text": documents})
        parquet.write_table(table, root / "documents" / "text.parquet", row_group_size=1000)
        ours(root, kind)
        tokenizer = Tokenizer.open(root)
        other = ByteLevelBPETokenizer(str(root / ENCODER), str(root / MERGES))
        contenders: dict[str, Callable[[], Any]] = {
            "datasets.map": lambda: with_datasets(root),
            "ours": lambda: ours(root, kind),
            "limit: tokenizers alone": lambda: other.encode_batch(documents),
            "limit: tiktoken alone": lambda: [tokenizer.encode(text) for text in documents],
        }
        best = dict.fromkeys(contenders, float("inf"))
        for _ in range(options.rounds):
            for contender, run in contenders.items():
                best[contender] = min(best[contender], timed(run))
        tokens = check(root)
    results = [
        Result(name, seconds, tokens / seconds / 1e6, best["datasets.map"] / seconds)
        for name, seconds in best.items()
    ]
    print(f"{'':<26}{'CPU s':>8}{'M tokens/s/core':>17}{'/datasets.map':>15}")
    for r in results:
        print(
            f"{r.contender:<26}{r.cpu_seconds:>8.2f}{r.million_tokens_per_core_second:>17.2f}"
            f"{r.over_datasets:>14.1f}×"
        )
    print(
        f"{tokens} tokens of {len(documents)} documents, {sum(map(len, documents))} characters; "
        f"tokenizer: {kind}, {tokenizer.vocabulary} ids"
    )
    report = {
        "benchmark": "tokenisation",
        "tokenizer": kind,
        "text": "books" if any(options.text.glob("*.txt")) else "grammar",
        "tokens": tokens,
        "documents": len(documents),
        "rounds": options.rounds,
        "datasets": datasets.__version__,
        "results": [asdict(result) for result in results],
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    main()
