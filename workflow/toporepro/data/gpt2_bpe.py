"""GPT-2's byte-level BPE (Radford et al., 2019), as OpenAI publishes it: 50,257 ids."""

from __future__ import annotations

from pathlib import Path

from toporepro.data.fetch import fetch_all
from toporepro.data.index import DataError
from toporepro.data.remote_file import RemoteFile
from toporepro.data.tokenizer import ENCODER, MERGES, Tokenizer

VOCABULARY = 50257
_OPENAI = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
_HUB = "https://huggingface.co/openai-community/gpt2/resolve/main/"
FILES = (
    RemoteFile(
        name=ENCODER,
        urls=(f"{_OPENAI}encoder.json", f"{_HUB}vocab.json"),
        bytes=1_042_301,
        sha256="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    ),
    RemoteFile(
        name=MERGES,
        urls=(f"{_OPENAI}vocab.bpe", f"{_HUB}merges.txt"),
        bytes=456_318,
        sha256="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    ),
)


def gpt2_tokenizer(raw_root: Path) -> Tokenizer:
    """The tokenizer, from ``raw_root/gpt2_bpe``, where its files are fetched if need be.

    Raises:
        DataError: if they cannot be had, or are not of 50,257 ids.
    """
    folder = raw_root / "gpt2_bpe"
    fetch_all(FILES, folder)
    tokenizer = Tokenizer.open(folder)
    if tokenizer.vocabulary != VOCABULARY:
        raise DataError(f"{folder}: {tokenizer.vocabulary} ids found, {VOCABULARY} expected")
    return tokenizer
