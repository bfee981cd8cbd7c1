"""Minimal pairs, batched by length, against one sentence at a time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from measured import measure_spec
from measured_text import (
    drawn_pairs,
    text_spec,
    text_subject,
    write_language_model,
    write_text,
)

from toporepro.data.pairs import Pair, PreparedPairs
from toporepro.measure import blimp
from toporepro.measure import text_subject as subjects
from toporepro.measure.pair_scores import decide, few_of_each, log_probabilities
from toporepro.measure.run import measure
from toporepro.measure.text_subject import TextSubject
from toporepro.spec import DataSpec, MeasureSpec, SpecError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), pairs=drawn_pairs(40))


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory, data: Path) -> TextSubject:
    folder = tmp_path_factory.mktemp("model")
    return text_subject(folder, data, stimuli={"text": PreparedPairs.open(data)})


def alone(subject: TextSubject, text: str, start: bool = True) -> float:
    """Log-probability of one sentence, token after token, in a pass of its own."""
    ids = subject.text.tokenizer().encode(text)
    ids = [subject.text.end_of_text, *ids] if start else ids
    with torch.no_grad():
        logits = subject.module(torch.tensor([ids]))[0, :, : subject.inputs.vocabulary].double()
    logs = logits - logits.exp().sum(dim=1, keepdim=True).log()
    return sum(float(logs[place, token]) for place, token in enumerate(ids[1:]))


@pytest.mark.parametrize("start", [True, False])
def test_scores_and_decisions_are_those_of_single_sentences(
    subject: TextSubject, start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = subject.pairs("text/pairs")
    texts = [text for pair in pairs for text in (pair.good, pair.bad)]
    expected = np.array([alone(subject, text, start) for text in texts])
    first = [subject.text.end_of_text] if start else []
    sequences = [first + subject.text.tokenizer().encode(text) for text in texts]
    assert len({len(ids) for ids in sequences}) > 3
    for most in (1 << 24, 1):
        monkeypatch.setattr(subjects, "_AT_ONCE", {"cpu": most})
        found = log_probabilities(subject, sequences, "float32")
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    good, bad = expected.reshape(-1, 2).T
    points = decide(subject, pairs, "float32", start=start).points
    np.testing.assert_array_equal(points, (good > bad).astype(float))


def test_ties_count_half(subject: TextSubject) -> None:
    pair = Pair("the cat", "the cat ", "p", "f", "t")
    object.__setattr__(pair, "bad", "the cat")
    assert decide(subject, [pair], "float32").accuracy == 0.5


def test_padding_logits_take_no_probability(subject: TextSubject) -> None:
    assert subject.inputs.vocabulary % 64
    ids = subject.text.tokenizer().encode(" the cat")
    total = 0.0
    for last in range(subject.inputs.vocabulary):
        total += np.exp(log_probabilities(subject, [[*ids, last]], "float32")[0])
    assert total == pytest.approx(np.exp(log_probabilities(subject, [ids], "float32")[0]), rel=1e-4)


def test_rows_by_field_and_paradigm(tmp_path: Path, data: Path, subject: TextSubject) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    spec = measure_spec({"blimp": {"stimuli": ["text/pairs"]}})
    spec = MeasureSpec(**{**vars(spec), "stimuli": {"text": DataSpec(source="grammar")}})
    measure(spec, model, data, [data])
    table = pd.read_csv(model.measures)
    assert set(table.step) == {0, 9}
    rows = table[table.step == 9].set_index("metric").value
    assert set(table.stimuli) == {"text/pairs"}
    points = decide(subject, subject.pairs("text/pairs"), "float32").points
    assert rows["pair_accuracy"] == pytest.approx(points.mean())
    # Pairs alternate between the two paradigms, each in a field of its own.
    for group, places in (("order", slice(0, None, 2)), ("cut", slice(1, None, 2))):
        assert rows[f"pair_accuracy.paradigm.{group}"] == pytest.approx(points[places].mean())
    assert rows["pair_accuracy.field.semantics"] == rows["pair_accuracy.paradigm.order"]
    assert 0 <= rows["pair_accuracy_without_start"] <= 1
    assert len(rows) == 6


def test_few_of_each_paradigm() -> None:
    pairs = drawn_pairs(11)
    kept = few_of_each(pairs, 3)
    assert [pair.paradigm for pair in kept].count("cut") == 3
    assert [pair.paradigm for pair in kept].count("order") == 3
    assert few_of_each(pairs, None) == pairs
    assert few_of_each(pairs, 100) == pairs


def test_a_sentence_longer_than_the_context_is_shown(subject: TextSubject) -> None:
    long = Pair("the cat " * 30, "the dog", "p", "f", "t")
    with pytest.raises(SpecError, match=r"tokens, but the network's context is 16: .*the cat"):
        decide(subject, [long], "float32")


@pytest.mark.parametrize("options", [{"stimuli": ()}, {"most": 0}])
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        blimp.Options(**options)
