"""Which sentence of a minimal pair a language network takes for the likelier one.

The score of a sentence is its total log-probability, and of two the higher one wins; ties count
half (Warstadt et al., Transactions of the Association for Computational Linguistics 8:377, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toporepro.measure.precision import Precision
from toporepro.measure.result import Floats
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.pairs import Pair
    from toporepro.measure.text_subject import TextSubject

_TIE = 1e-5  # in log-probability: what float32 sums over a sentence do not resolve


@dataclass(frozen=True)
class Decisions:
    """How the pairs of a set came out.

    Attributes:
        points: per pair 1 if the acceptable sentence won, 0.5 for a tie, else 0.
        fields, paradigms: name → places of its pairs.
    """

    points: Floats
    fields: Mapping[str, npt.NDArray[np.int64]]
    paradigms: Mapping[str, npt.NDArray[np.int64]]

    @property
    def accuracy(self) -> float:
        """Share of all pairs."""
        return float(self.points.mean())

    def by_field(self) -> dict[str, float]:
        """Share of each field's pairs."""
        return self._shares(self.fields)

    def by_paradigm(self) -> dict[str, float]:
        """Share of each paradigm's pairs."""
        return self._shares(self.paradigms)

    def _shares(self, groups: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, float]:
        return {name: float(self.points[places].mean()) for name, places in groups.items()}


def decide(
    subject: TextSubject, pairs: Sequence[Pair], precision: Precision, *, start: bool = True
) -> Decisions:
    """Score both sentences of every pair.

    Args:
        start: whether the end-of-text token precedes each sentence, as it does in training; without
            it the first token has no probability and does not count.

    Raises:
        SpecError: if a sentence is longer than the network's context.
    """
    tokenizer = subject.text.tokenizer()
    first = [subject.text.end_of_text] if start else []
    sentences = [text for pair in pairs for text in (pair.good, pair.bad)]
    scores = log_probabilities(
        subject, [first + tokenizer.encode(text) for text in sentences], precision
    )
    good, bad = scores.reshape(-1, 2).T
    points = np.where(np.abs(good - bad) <= _TIE, 0.5, (good > bad).astype(np.float64))
    return Decisions(
        points,
        _places([pair.field for pair in pairs]),
        _places([pair.paradigm for pair in pairs]),
    )


def log_probabilities(
    subject: TextSubject, sequences: Sequence[Sequence[int]], precision: Precision
) -> Floats:
    """Sum over each sequence's tokens but its first of their log-probabilities, in nats.

    Sequences of one length go through the network together, so that there is no padding to count
    or to ignore; a sequence that occurs twice is computed once.

    Raises:
        SpecError: if a sequence is longer than the network's context.
    """
    import torch
    from torch.nn import functional

    places: dict[tuple[int, ...], list[int]] = {}
    for place, sequence in enumerate(sequences):
        places.setdefault(tuple(sequence), []).append(place)
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for distinct in places:
        by_length.setdefault(len(distinct), []).append(distinct)
    longest = max(by_length, default=0)
    if longest - 1 > subject.inputs.context:
        raise SpecError(
            f"a sentence of {longest} tokens, but the network's context is "
            f"{subject.inputs.context}: {subject.text.tokenizer().decode(by_length[longest][0])!r}"
        )
    scores = np.zeros(len(sequences))
    for length, group in sorted(by_length.items()):
        if length < 2:
            continue
        step = subject.at_once(length - 1)
        batches = [torch.tensor(group[i : i + step]) for i in range(0, len(group), step)]
        answers = subject.stream((ids[:, :-1] for ids in batches), [], precision)
        totals = []
        for ids, (_, logits) in zip(batches, answers, strict=True):
            targets = ids[:, 1:].to(logits.device)
            # Token by token: across a middle axis the softmax is several times slower.
            each = functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="none"
            )
            totals.append(-each.double().view(targets.shape).sum(dim=1).cpu())
        for sequence, total in zip(group, torch.cat(totals).tolist(), strict=True):
            scores[places[sequence]] = total
    return scores


def few_of_each(pairs: Sequence[Pair], most: int | None) -> list[Pair]:
    """At most so many pairs of each paradigm, evenly spaced; all if ``most`` is ``None``."""
    kept: list[int] = []
    for places in _places([pair.paradigm for pair in pairs]).values():
        count = len(places)
        some = count if most is None else min(most, count)
        kept += places[np.arange(some) * count // some].tolist()
    return [pairs[place] for place in sorted(kept)]


def _places(names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    array = np.array(names)
    return {str(name): np.flatnonzero(array == name) for name in dict.fromkeys(names)}
