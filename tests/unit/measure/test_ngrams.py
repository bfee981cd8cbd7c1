"""Unigram and bigram models: against counts by hand, and as distributions."""

from collections import Counter, defaultdict
from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_text import text_subject, write_text

from toporepro.measure.ngrams import Options, measure, probabilities
from toporepro.spec import SpecError


def by_hand(counted: list[int], before: int, after: int, vocabulary: int) -> tuple[float, float]:
    single = Counter(counted)
    following: dict[int, Counter[int]] = defaultdict(Counter)
    for one, two in pairwise(counted):
        following[one][two] += 1
    alone = (single[after] + 1) / (len(counted) + vocabulary)
    of = following[before]
    if not of:
        return alone, alone
    return alone, (of[after] + len(of) * alone) / (of.total() + len(of))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 6))
def test_counts_and_sums(counted: list[int], before: int) -> None:
    after = np.arange(7)
    found = probabilities(np.array(counted), np.full(7, before), after, 7)
    expected = np.array([by_hand(counted, before, token, 7) for token in range(7)]).T
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(np.sum(found, axis=1), 1, rtol=1e-12)


def test_the_tokens_are_those_of_the_networks_loss(tmp_path: Path) -> None:
    data = write_text(tmp_path / "text")
    subject = text_subject(tmp_path / "model", data)
    rows = {row.metric: row for row in measure(subject, Options()).rows}
    train = subject.text.split("train")[:].tolist()
    shown = subject.text.split("validation")[:].tolist()
    whole = (len(shown) - 1) // subject.inputs.context * subject.inputs.context
    pairs = list(pairwise(shown))[:whole]
    logs = np.array(
        [np.log(by_hand(train, one, two, subject.text.vocabulary)) for one, two in pairs]
    )
    expected = -logs.mean(axis=0)
    assert rows["loss_unigram"].value == pytest.approx(expected[0])
    assert rows["loss_bigram"].value == pytest.approx(expected[1])
    assert rows["loss_bigram"].value < rows["loss_unigram"].value < log(subject.text.vocabulary)
    few = {row.metric: row.value for row in measure(subject, Options(tokens=100)).rows}
    assert few["loss_bigram"] > rows["loss_bigram"].value


def test_options_that_cannot_be() -> None:
    with pytest.raises(SpecError, match="tokens=1"):
        Options(tokens=1)
