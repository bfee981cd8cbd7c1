"""Loss of a unigram and of a bigram model on the text that a network is tested on.

Both are counted on the training split; the network's loss means something below theirs alone. The
bigram model is interpolated with the unigram model by the number of different followers (Witten &
Bell, IEEE Transactions on Information Theory 37:1085, 1991), and that one counts one more of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toporepro.measure.result import Floats, Result, Row
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.text_subject import TextSubject

ON_SNAPSHOTS = False
TASK = "language"
TRAINING = "train"
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``ngrams``.

    Attributes:
        stimuli: split whose text is foretold, the very tokens that ``loss`` takes.
        tokens: of the training split, the first so many are counted at most.
    """

    stimuli: str = "validation"
    tokens: int = 1 << 25

    def __post_init__(self) -> None:
        if self.tokens < 2:
            raise SpecError(f"tokens={self.tokens}: at least 2")


def measure(subject: TextSubject, options: Options) -> Result:
    """Rows ``loss_unigram`` and ``loss_bigram``: mean cross-entropy of the next token, in nats.

    Raises:
        DataError: if there is no such split.
        SpecError: if the split is shorter than the network's context.
    """
    from toporepro.data.windows import read_windows

    text = subject.text
    counted = np.asarray(text.split(TRAINING)[: options.tokens], dtype=np.int64)
    windows = subject.windows(options.stimuli)
    shown = read_windows(text.split(options.stimuli), subject.inputs.context, windows)
    before, after = shown[:, :-1].ravel(), shown[:, 1:].ravel()
    alone, paired = probabilities(counted, before, after, text.vocabulary)
    return Result(
        tuple(
            Row("", options.stimuli, metric, float(-np.log(found).mean()))
            for metric, found in (("loss_unigram", alone), ("loss_bigram", paired))
        )
    )


def probabilities(counted: Ids, before: Ids, after: Ids, vocabulary: int) -> tuple[Floats, Floats]:
    """Of tokens ``after``, each following one ``before``: by the unigram and the bigram model.

    Args:
        counted: the text that both models are counted on.
        vocabulary: ids are below it.
    """
    single = np.bincount(counted, minlength=vocabulary)
    alone: Floats = (single[after] + 1) / (len(counted) + vocabulary)
    pairs, times = np.unique(counted[:-1] * vocabulary + counted[1:], return_counts=True)
    first = pairs // vocabulary
    total = np.bincount(first, times, minlength=vocabulary)[before]
    followers = np.bincount(first, minlength=vocabulary)[before]
    wanted = before * vocabulary + after
    places = np.searchsorted(pairs, wanted).clip(max=len(pairs) - 1)
    seen = np.where(pairs[places] == wanted, times[places], 0)
    # Nothing is known of what follows a token that only ended the text, or never came.
    known = np.maximum(total + followers, 1)
    paired: Floats = np.where(total > 0, (seen + followers * alone) / known, alone)
    return alone, paired
