"""What brains were shown, shown to a network: images, or sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from toporepro.data.index import Prepared
from toporepro.data.sentence_store import PreparedSentences
from toporepro.measure.network import Network
from toporepro.measure.precision import Precision
from toporepro.measure.subject import Subject
from toporepro.measure.text_subject import TextSubject
from toporepro.spec import SpecError, nearest

Integers = npt.NDArray[np.int64]


def dataset(subject: Network, stimuli: str) -> Prepared:
    """The dataset that ``dataset/test`` names, whose responses of brains lie beside it.

    Raises:
        SpecError: if it was not given, or is of nothing that the network takes in.
    """
    if isinstance(subject, Subject):
        return subject.stimulus_set(stimuli)[0]
    return _sentences(subject, stimuli)


def responses(
    subject: Network, stimuli: str, rows: Integers, layers: Sequence[str], precision: Precision
) -> Mapping[str, Tensor]:
    """Responses of some layers to some stimuli of a split: layer → (stimuli, units).

    A unit's response to a sentence is the mean over its tokens; the end-of-text token that is put
    before it does not count. Of a sentence longer than the network's context the beginning is read.

    Args:
        stimuli: ``dataset/split``.
        rows: numbers of the stimuli in the split.
    """
    if isinstance(subject, Subject):
        _, split = subject.stimulus_set(stimuli)
        arrays = subject.layer_responses(layers, split.images[rows], precision)
        return {name: torch.from_numpy(of).to(subject.device) for name, of in arrays.items()}
    assert isinstance(subject, TextSubject), "networks take in images or text"
    every = _sentences(subject, stimuli).split(stimuli.rpartition("/")[2])
    tokenizer = subject.text.tokenizer()
    ids = [
        [tokenizer.end_of_text, *tokenizer.encode(every[row])][: subject.inputs.context]
        for row in rows
    ]
    found = {layer: torch.zeros(len(ids), subject.layers[layer], device=subject.device)
             for layer in layers}  # fmt: skip
    for places, batch in _batches(subject, ids, layers):
        for answers, _ in subject.stream([batch], layers, precision):
            for layer, of in answers.items():
                found[layer][places] = of[:, 1:].mean(dim=1)
    return found


def _batches(
    subject: TextSubject, ids: Sequence[Sequence[int]], layers: Sequence[str]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Sentences of one length at a time, which need no padding: their places, and their ids."""
    lengths = np.array([len(sentence) for sentence in ids])
    if lengths.min(initial=2) < 2:
        raise SpecError("a sentence without a token: the network's context is 1, or it is empty")
    for length in np.unique(lengths):
        mine = np.flatnonzero(lengths == length)
        step = subject.at_once(int(length), layers)
        for start in range(0, len(mine), step):
            some = mine[start : start + step]
            yield torch.from_numpy(some), torch.tensor([ids[place] for place in some])


def _sentences(subject: Network, stimuli: str) -> PreparedSentences:
    name = stimuli.rpartition("/")[0]
    given = subject.stimuli if isinstance(subject, TextSubject) else {}
    found = given.get(name)
    if not isinstance(found, PreparedSentences):
        raise SpecError(f"stimuli={stimuli!r}: no sentences of that name; {nearest(name, given)}")
    return found
