"""Byte-level byte-pair encoding (Sennrich et al., 2016; Radford et al., 2019), in GPT-2's files.

A tokenizer is two files, GPT-2's own or those of one trained here: ``encoder.json`` (token → id, in
GPT-2's printable spelling of bytes) and ``vocab.bpe`` (the merges, best first). All 256 bytes are
tokens, so that any text is encoded, and decoded to what it was.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toporepro.data.index import DataError

if TYPE_CHECKING:
    import tiktoken

ENCODER, MERGES = "encoder.json", "vocab.bpe"
END_OF_TEXT = "<|endoftext|>"
_VERSION = "#version: 0.2"
# How GPT-2 cuts text into words before merging. The possessive ++ finds the same words as + does:
# nothing follows in these alternatives that a shorter run could match.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, opened by ``Tokenizer.open`` or made by ``train_tokenizer``.

    Attributes:
        encoder, merges: the bytes of its two files.
    """

    encoder: bytes
    merges: bytes

    @classmethod
    def open(cls, folder: Path) -> Tokenizer:
        """Read the two files of a folder.

        Raises:
            DataError: if one is missing or they are not a byte-level BPE.
        """
        found = []
        for name in (ENCODER, MERGES):
            try:
                found.append((folder / name).read_bytes())
            except OSError as error:
                raise DataError(f"{folder / name}: {error.strerror}") from None
        tokenizer = cls(*found)
        try:
            tokenizer._check()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder}: {ENCODER} and {MERGES} are not a byte-level BPE "
                f"({type(error).__name__}: {error})"
            ) from None
        return tokenizer

    def save(self, folder: Path) -> tuple[str, str]:
        """Write the two files; returns their names."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ENCODER).write_bytes(self.encoder)
        (folder / MERGES).write_bytes(self.merges)
        return ENCODER, MERGES

    @functools.cached_property
    def vocabulary(self) -> int:
        """Number of ids, end of text included; ids are 0 to ``vocabulary`` − 1."""
        return len(self._ids)

    @functools.cached_property
    def end_of_text(self) -> int:
        """The id that ends each document; no text is encoded to it."""
        return self._ids[END_OF_TEXT]

    def encode(self, text: str) -> list[int]:
        """Ids of a text. What looks like the end-of-text token is text like any other."""
        return self._encoding.encode_ordinary(text)

    def encode_array(self, text: str) -> npt.NDArray[np.uint32]:
        """As ``encode``, without making a Python object of each id."""
        ids: npt.NDArray[np.uint32] = self._encoding.encode_to_numpy(text, disallowed_special=())
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; where they end amid a character, it is U+FFFD.

        Raises:
            DataError: on an id that is none.
        """
        ids = [int(i) for i in ids]
        if ids and not 0 <= min(ids) <= max(ids) < self.vocabulary:
            raise DataError(f"ids from {min(ids)} to {max(ids)}: 0 to {self.vocabulary - 1}")
        return self._encoding.decode(ids)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        ids: dict[str, int] = json.loads(self.encoder)
        return ids

    @functools.cached_property
    def _encoding(self) -> tiktoken.Encoding:
        import tiktoken

        bytes_ = {ord(char): byte for char, byte in _bytes_by_spelling().items()}
        ranks = {
            token.translate(bytes_).encode("latin-1"): number
            for token, number in self._ids.items()
            if token != END_OF_TEXT
        }
        return tiktoken.Encoding(
            "byte-level BPE",
            pat_str=_WORDS,
            mergeable_ranks=ranks,
            special_tokens={END_OF_TEXT: self.end_of_text},
            explicit_n_vocab=self.vocabulary,
        )

    def _check(self) -> None:
        """Whether merging by id, as tiktoken does, is merging in the order of ``vocab.bpe``."""
        if sorted(self._ids.values()) != list(range(self.vocabulary)):
            raise ValueError(f"ids other than 0 to {self.vocabulary - 1}")
        missing = set(_bytes_by_spelling()) - set(self._ids)
        if missing:
            raise ValueError(f"{len(missing)} of the 256 bytes are no tokens")
        _ = self.end_of_text
        lines = self.merges.decode("utf-8").splitlines()
        pairs = [line for line in lines if line and not line.startswith("#version")]
        made = [self._ids[pair.replace(" ", "", 1)] for pair in pairs]
        if any(pair.count(" ") != 1 for pair in pairs) or made != sorted(made):
            raise ValueError("merges that are not two tokens each, in the order of their ids")
        if len(made) != self.vocabulary - 257:
            raise ValueError(f"{len(made)} merges for {self.vocabulary} ids")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn a byte-level BPE from texts: the same texts, in whatever order, give the same one.

    Args:
        texts: gone through once.
        vocabulary: number of ids, at least 257: bytes and end of text. Fewer come of it where the
            texts have too few different words to merge.

    Raises:
        DataError: on a smaller vocabulary.
    """
    from tokenizers import Tokenizer as Trainable
    from tokenizers import models, pre_tokenizers, trainers

    if vocabulary < 257:
        raise DataError(f"vocabulary={vocabulary}: at least 257, for 256 bytes and end of text")
    learnt: Any = Trainable(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learnt.train_from_iterator(texts, trainer)
    model = json.loads(learnt.to_str())["model"]
    ids = {**model["vocab"], END_OF_TEXT: len(model["vocab"])}
    merges = "".join(f"{' '.join(pair)}\n" for pair in model["merges"])
    tokenizer = Tokenizer(
        json.dumps(ids, ensure_ascii=False, indent=0).encode(), f"{_VERSION}\n{merges}".encode()
    )
    tokenizer._check()
    return tokenizer


@functools.cache
def _bytes_by_spelling() -> dict[str, int]:
    """GPT-2's printable character for each byte: its own in Latin-1, or one from U+0100 on."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }
