"""Selectivity of units to words of semantic categories, and how their maps lie on the sheet.

Each word follows a short beginning; a unit's answer is its mean over the word's tokens. Per unit,
Welch's t of one category's words against all others'.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from toporepro.measure.precision import Precision
from toporepro.measure.result import Floats, Quantity, Result, Row, UnitValues
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.text_subject import TextSubject

ON_SNAPSHOTS = True
TASK = "language"
QUANTITIES = {
    "word_t": Quantity(
        label="Selectivity to words",
        unit="t",
        about="Welch's t of a category's words against those of all others.",
    ),
    "word_preferred": Quantity(
        label="Preferred words",
        scale="category",
        about="The category of largest t, where that passes the threshold.",
        members="word_t",
    ),
}
CATEGORY = "word_category."  # a curve per category, whose index is its number
_LISTS = Path(__file__).parents[1] / "data" / "word_categories.json"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``word_categories``.

    Attributes:
        words: ``wordnet``, the lists of ``data/word_categories.json``; or ``data``, the classes of
            nouns that the network's own data names.
        before: what each word follows, after the end-of-text token; may be empty.
        precision: of the forward pass.
        threshold: of t, for clusters and preferences.
        shuffles: of the units, for clusters.
    """

    words: Literal["wordnet", "data"] = "wordnet"
    before: str = "The"
    precision: Precision = "float32"
    threshold: float = 3.0
    shuffles: int = 100

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise SpecError(f"threshold={self.threshold}: above 0")
        if self.shuffles < 1:
            raise SpecError(f"shuffles={self.shuffles}: at least 1")


def measure(subject: TextSubject, options: Options) -> Result:
    """Maps of t and their order on the sheet, of snapshots too.

    Rows per layer and averaged over layers, with the category after a dot; without one, the mean
    over categories: ``word_morans_i``; ``word_cluster``, units in the largest cluster above the
    threshold, and ``word_cluster_shuffled``, its mean over shuffles of the units;
    ``word_selective``, the share of units above it.

    Quantities, by unit: ``word_preferred``, the number of the category of largest t, ``nan`` where
    it stays below the threshold; of a final model ``word_t.NAME``. Of the whole: ``word_category.
    NAME``, whose index is the category's number.

    Raises:
        SpecError: if there are fewer than two categories with words enough.
    """
    import torch

    from toporepro.measure.clusters import largest_clusters, morans_i
    from toporepro.measure.contrasts import one_vs_rest, scaled, welch

    lists = _lists(subject, options)
    names = list(lists)
    labels = np.repeat(np.arange(len(names)), [len(words) for words in lists.values()])
    contrasts = one_vs_rest({name: (number,) for number, name in enumerate(names)}, labels)
    if contrasts is None:
        raise SpecError(f"word_categories.words={options.words!r}: two categories are needed")
    sequences = _sequences(subject, options, lists)
    found: dict[str, dict[str, list[float]]] = {}
    units = [
        UnitValues("", f"{CATEGORY}{name}", np.ones(1), (number,), False)
        for number, name in enumerate(names)
    ]
    layers = list(subject.layers)
    for layer, responses in _responses(subject, sequences, options.precision).items():
        answers = scaled(responses)
        first = torch.from_numpy(contrasts.first).to(answers)
        maps: Floats = welch(answers, first, 1 - first)[0].numpy()
        sheet = subject.sheet(layer)
        laid = maps.reshape(len(names), *sheet)
        generator = np.random.default_rng((subject.seed, zlib.crc32(layer.encode())))
        orders = [generator.permutation(maps.shape[1]) for _ in range(options.shuffles)]
        shuffled = np.stack([maps[:, order] for order in orders]).reshape(-1, *laid.shape)
        values = {
            "word_morans_i": morans_i(maps, *sheet),
            "word_cluster": largest_clusters(laid, options.threshold).astype(float),
            "word_cluster_shuffled": largest_clusters(shuffled, options.threshold).mean(axis=0),
            "word_selective": (maps > options.threshold).mean(axis=1),
        }
        for metric, each in values.items():
            found.setdefault(metric, {})[layer] = each.tolist()
        preferred = np.where(maps.max(axis=0) > options.threshold, maps.argmax(axis=0), np.nan)
        units.append(UnitValues(layer, "word_preferred", preferred))
        if subject.final:
            units += [
                UnitValues(layer, f"word_t.{name}", maps[number])
                for number, name in enumerate(names)
            ]
    return Result(tuple(_rows(found, names, layers, options.words)), tuple(units))


def _rows(
    found: Mapping[str, Mapping[str, Sequence[float]]],
    names: Sequence[str],
    layers: Sequence[str],
    stimuli: str,
) -> list[Row]:
    rows = []
    for metric, by_layer in found.items():
        table = np.array([by_layer[layer] for layer in layers])
        for layer, values in [*zip(layers, table, strict=True), ("mean", table.mean(axis=0))]:
            rows.append(Row(layer, stimuli, metric, float(values.mean())))
            rows += [
                Row(layer, stimuli, f"{metric}.{name}", float(value))
                for name, value in zip(names, values, strict=True)
            ]
    return rows


def _lists(subject: TextSubject, options: Options) -> dict[str, list[str]]:
    """Category → its words, by the name; a word of two categories is in neither."""
    if options.words == "wordnet":
        lists: dict[str, list[str]] = json.loads(_LISTS.read_text())["categories"]
    else:
        lists = {}
        # "people, singular" and "people, plural" are words of one category; a class without a
        # comma is one of grammar.
        for name, words in (subject.text.extra.get("word_classes") or {}).items():
            category, comma, _ = name.partition(", ")
            if comma:
                lists.setdefault(category, []).extend(words)
    every = [word for words in lists.values() for word in set(words)]
    kept = {
        name: [word for word in dict.fromkeys(words) if every.count(word) == 1]
        for name, words in lists.items()
    }
    kept = {name: words for name, words in sorted(kept.items()) if len(words) >= 2}
    if len(kept) < 2:
        raise SpecError(
            f"word_categories.words={options.words!r}: {subject.text.index} names no classes of "
            "words, or fewer than two; 'wordnet' needs none"
        )
    return kept


def _sequences(
    subject: TextSubject, options: Options, lists: Mapping[str, Sequence[str]]
) -> list[tuple[list[int], int]]:
    """Ids of each word with what comes before, and how many tokens that is."""
    tokenizer = subject.text.tokenizer()
    start = [subject.text.end_of_text, *tokenizer.encode(options.before)]
    space = " " if options.before else ""
    return [
        (start + tokenizer.encode(f"{space}{word}"), len(start))
        for words in lists.values()
        for word in words
    ]


def _responses(
    subject: TextSubject, sequences: Sequence[tuple[Sequence[int], int]], precision: Precision
) -> dict[str, npt.NDArray[np.float32]]:
    """Layer → (words, units), each the mean over a word's tokens."""
    import torch

    layers = list(subject.layers)
    answers = {
        layer: np.zeros((len(sequences), units), dtype=np.float32)
        for layer, units in subject.layers.items()
    }
    lengths = np.array([len(ids) for ids, _ in sequences])
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for start in range(0, len(places), step := subject.at_once(int(length), layers)):
            some = places[start : start + step]
            batch = torch.tensor([sequences[place][0] for place in some])
            skipped = sequences[some[0]][1]
            for found, _ in subject.stream([batch], layers, precision):
                for layer in layers:
                    answers[layer][some] = found[layer][:, skipped:].mean(dim=1).cpu().numpy()
    return answers
