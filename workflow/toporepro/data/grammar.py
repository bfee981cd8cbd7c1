"""A corpus and its minimal pairs from a seeded grammar: English with nothing to download.

``grammar_sentences`` makes the documents, ``grammar_pairs`` the pairs, and a byte-level BPE learnt
from the documents turns them into tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from toporepro.data.documents import check_share, in_validation
from toporepro.data.extent import Extent
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.remote_file import RemoteFile

_LONGEST = 6  # sentences of a document; 1 to so many, all alike
_TOKENS_PER_SENTENCE = 8.4


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much text the grammar makes.

    Attributes:
        seed: another seed is another corpus, with other combinations of words held out of it.
        documents: in all; of 3.5 sentences, about 30 tokens, on average.
        validation: share of the documents that make up the validation split.
        vocabulary: ids of the tokenizer, at least 257; 768 make most words one token.
        pairs: minimal pairs of each paradigm.
    """

    seed: int = 0
    documents: int = 30_000
    validation: float = 0.05
    vocabulary: int = 768
    pairs: int = 100

    def __post_init__(self) -> None:
        check_share(self.validation)
        if self.documents < 100:
            raise SpecError(f"documents={self.documents}: at least 100")
        if self.vocabulary < 257:
            raise SpecError(f"vocabulary={self.vocabulary}: at least 257")
        if not 1 <= self.pairs <= 400:
            raise SpecError(f"pairs={self.pairs}: 1 to 400")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing to fetch."""
    return ()


def prepared_bytes(options: Options) -> int:
    """Bytes that tokens and pairs take, about."""
    held = extent(options).splits
    return 2 * (held["train"] + held["validation"]) + 250 * held["pairs"]


def extent(options: Options) -> Extent:
    """How much it holds; pairs are counted as pairs."""
    from toporepro.data.grammar_pairs import PARADIGMS

    tokens = options.documents * ((1 + _LONGEST) / 2 * _TOKENS_PER_SENTENCE + 1)
    validation = round(tokens * options.validation)
    return Extent(
        splits={
            "train": round(tokens) - validation,
            "validation": validation,
            "pairs": len(PARADIGMS) * options.pairs,
        },
        shape=(0, 0, 0),
        classes=options.vocabulary,
    )


def documents(options: Options) -> Iterator[str]:
    """All documents, in order."""
    from toporepro.data.grammar_sentences import Grammar

    speaker = Grammar(options.seed, "documents")
    for number in range(options.documents):
        yield speaker.document(1 + number % _LONGEST)


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write splits and pairs; ``raw`` is not read.

    The index's ``extra`` has ``word_classes``: class → words that can take each other's places.
    """
    from toporepro.data.grammar_pairs import grammar_pairs
    from toporepro.data.grammar_words import word_classes
    from toporepro.data.text_store import TextWriter
    from toporepro.data.tokenizer import train_tokenizer

    texts: dict[bool, list[str]] = {False: [], True: []}
    for text in documents(options):
        texts[in_validation(sha256(text.encode()).digest(), options.validation)].append(text)
    writer = TextWriter(
        out,
        source="grammar",
        options=asdict(options),
        tokenizer=train_tokenizer(texts[False], options.vocabulary),
        extra={"word_classes": word_classes()},
    )
    writer.write_split("train", texts[False])
    writer.write_split("validation", texts[True])
    writer.write_pairs(grammar_pairs(options.seed, options.pairs))
    writer.finish()
