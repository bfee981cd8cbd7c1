"""Words to put in place of others, one token for one token, so that nothing else moves.

A token stands for a whole word if the text goes on with no letter or digit behind it. What may take
its place:

* ``classes``: another word of the same class, where the data's index names classes;
* ``frequency``: a word about as frequent in the text;
* ``masked_lm``: one of the five most probable fillers of a masked language model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.text_store import PreparedText
    from toporepro.data.tokenizer import Tokenizer

Kind = Literal["classes", "frequency", "masked_lm"]
Ids = npt.NDArray[np.int64]
FILLERS = 5
_ASKED = 200  # fillers asked for: many are parts of words, or more than one token here
_AT_ONCE = 32


class Substitutes(Protocol):
    """What may take the place of a token."""

    def of(self, ids: Ids, place: int) -> Sequence[int]:
        """Candidates for the token at a place of a sequence; none where it cannot be replaced."""


class FromTable:
    """Candidates that depend on the token alone."""

    def __init__(self, table: Mapping[int, Sequence[int]]) -> None:
        self.table = table

    def of(self, ids: Ids, place: int) -> Sequence[int]:
        return self.table.get(int(ids[place]), ())


def substitutes(text: PreparedText, kind: Kind, split: str, masked_lm: Path | None) -> Substitutes:
    """Candidates of one kind.

    Args:
        split: whose text says how frequent words are.
        masked_lm: folder of a masked language model in the format of ``transformers``.

    Raises:
        SpecError: if the data names no word classes, or there is no such folder.
    """
    if kind == "masked_lm":
        if masked_lm is None or not masked_lm.is_dir():
            raise SpecError(
                f"masked_lm={str(masked_lm or '')!r}: a folder with a masked language model is "
                "needed, such as roberta-base's files from its page on the Hugging Face hub"
            )
        return MaskedLM(masked_lm, text.tokenizer())
    if kind == "frequency":
        return FromTable(by_frequency(text, split))
    classes = text.extra.get("word_classes")
    if not classes:
        raise SpecError(
            f"substitutes='classes': {text.index} names no classes of words; 'frequency' needs none"
        )
    return FromTable(by_class(classes, text.tokenizer()))


def by_class(classes: Mapping[str, Sequence[str]], tokenizer: Tokenizer) -> dict[int, list[int]]:
    """Token → the other tokens of its classes, of words that are one token."""
    table: dict[int, set[int]] = {}
    for words in classes.values():
        for before in (" ", ""):
            tokens = {one for word in words if (one := single(f"{before}{word}", tokenizer))}
            for token in tokens:
                table.setdefault(token, set()).update(tokens - {token})
    return {token: sorted(others) for token, others in table.items()}


def by_frequency(text: PreparedText, split: str) -> dict[int, list[int]]:
    """Token → the words next to it in the order of frequency; of words after a space."""
    tokenizer = text.tokenizer()
    counts = np.bincount(np.asarray(text.split(split)[:]), minlength=text.vocabulary)
    words = [
        token for token in np.argsort(-counts, kind="stable") if counts[token] > 0
        and (spelt := tokenizer.decode([int(token)])).startswith(" ") and spelt[1:].isalpha()
    ]  # fmt: skip
    table = {}
    for rank, token in enumerate(words):
        first = min(max(0, rank - FILLERS // 2), max(0, len(words) - FILLERS - 1))
        near = [int(other) for other in words[first : first + FILLERS + 1] if other != token]
        table[int(token)] = near[:FILLERS]
    return table


def single(text: str, tokenizer: Tokenizer) -> int | None:
    """The one token of a text; ``None`` if it takes more."""
    ids = tokenizer.encode(text)
    return ids[0] if len(ids) == 1 else None


def whole_words(ids: Ids, tokenizer: Tokenizer) -> npt.NDArray[np.bool_]:
    """Which tokens no letter or digit follows, which would make them part of a longer word.

    Args:
        ids: of a sequence, and of the token after it.

    Returns:
        One value for each token of the sequence.
    """
    begins = {int(token): tokenizer.decode([int(token)])[:1].isalnum() for token in np.unique(ids)}
    return np.array([not begins[int(token)] for token in ids[1:]])


class MaskedLM:
    """The most probable fillers of a masked language model that are one token here.

    Args:
        folder: with the model and its tokenizer, as ``save_pretrained`` writes them.
        tokenizer: of the text.

    Raises:
        SpecError: if the folder holds no masked language model.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        from toporepro.models.vision import import_torchvision

        import_torchvision()  # transformers imports it
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        try:
            self._words: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise SpecError(
                f"masked_lm={str(folder)!r}: no masked language model: {reason}"
            ) from None
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._known: dict[bytes, list[list[int]]] = {}

    def of(self, ids: Ids, place: int) -> Sequence[int]:
        key = ids.tobytes()
        if key not in self._known:
            self._known = {key: list(self._fillers(ids))}
        return self._known[key][place]

    def _fillers(self, ids: Ids) -> Iterator[list[int]]:
        """Candidates at every place of a sequence, each filled with all other words there."""
        import torch

        texts = [self._masked(ids, place) for place in range(len(ids))]
        for start in range(0, len(texts), _AT_ONCE):
            batch = self._words(texts[start : start + _AT_ONCE], padding=True, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**batch).logits
            rows, columns = (batch["input_ids"] == self._words.mask_token_id).nonzero(as_tuple=True)
            likely = logits[rows, columns].topk(min(_ASKED, logits.shape[2])).indices
            for place, tokens in enumerate(likely.tolist(), start=start):
                yield self._kept(tokens, int(ids[place]))

    def _masked(self, ids: Ids, place: int) -> str:
        before = self._tokenizer.decode(ids[:place])
        own = self._tokenizer.decode([ids[place]])
        space = " " * own.startswith(" ")
        return f"{before}{space}{self._words.mask_token}{self._tokenizer.decode(ids[place + 1 :])}"

    def _kept(self, tokens: Sequence[int], own: int) -> list[int]:
        """The first fillers that are words, and one token here, spaced as the word replaced is."""
        space = " " * self._tokenizer.decode([own]).startswith(" ")
        found: list[int] = []
        for token in tokens:
            word = self._words.decode([token]).strip()
            here = single(f"{space}{word}", self._tokenizer) if word.isalpha() else None
            if here is not None and here != own and here not in found:
                found.append(here)
            if len(found) == FILLERS:
                break
        return found
