"""Language networks under the verb: rows against direct computation on whole arrays."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from measured import measure_spec, train_spec, write_model
from measured_text import CONTEXT, drawn_pairs, text_spec, write_language_model, write_text
from torch.nn import functional

from toporepro.data.text_store import PreparedText
from toporepro.measure import text_subject
from toporepro.measure.run import measure
from toporepro.measure.text_subject import TextSubject, stretches
from toporepro.spec import SpecError

ALL = {
    "effective_dimensionality": {"tokens": 4},
    "loss": {},
    "smoothness": {"shuffles": 3, "tokens": 4},
    "weights": {},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), pairs=drawn_pairs(8))


def table_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype={"tau": str})


def value(table: pd.DataFrame, metric: str, layer: str, step: int = 9) -> float:
    found = table[(table.metric == metric) & (table.step == step) & (table.layer == layer)]
    assert len(found) == 1
    return float(found.value.iloc[0])


@pytest.mark.parametrize("architecture", ["nanogpt", "gpt_neo_125m"])
def test_values_are_those_of_the_whole_arrays(
    tmp_path: Path, data: Path, architecture: str
) -> None:
    model, network = write_language_model(tmp_path / "model", text_spec(architecture), data)
    measure(measure_spec(ALL), model, data)
    table, split = table_of(model.measures), PreparedText.open(data).split("validation")
    ids = torch.from_numpy(np.array(split[0 : len(split)]).astype(np.int64))
    count = (len(ids) - 1) // CONTEXT
    seen = ids[: count * CONTEXT].reshape(count, CONTEXT)
    targets = ids[1 : count * CONTEXT + 1].reshape(count, CONTEXT)
    heard = {}
    layer = "transformer.h.1.mlp.c_fc"
    network.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: heard.update(c_fc=output)
    )
    with torch.no_grad():
        logits = network(seen)[..., : PreparedText.open(data).vocabulary]
    loss = float(functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))
    assert value(table, "loss", "") == pytest.approx(loss, rel=1e-6)
    means = heard["c_fc"].reshape(count * CONTEXT // 4, 4, 24).mean(dim=1).double().numpy()
    eigenvalues = np.linalg.eigvalsh(np.cov(means, rowvar=False))
    ratio = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert value(table, "effective_dimensionality", layer) == pytest.approx(ratio, rel=1e-5)
    assert set(table.stimuli) == {"", "validation"}
    assert set(table.metric) == {
        *("loss", "smoothness", "smoothness_null", "smoothness_minus_null", "morans_i"),
        *("effective_dimensionality", "effective_dimensionality_corrected", "topo_loss"),
    }
    assert set(table.step) == {0, 9}


def test_single_tokens_are_stimuli_too(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    text = PreparedText.open(data)
    subject = TextSubject.load(model.weights, text, seed=4, final=True, device="cpu", limit=5)
    statistics = subject.statistics(None, "float32", 1)
    assert {moments.count for moments in statistics.moments.values()} == {5 * CONTEXT}
    windows = subject.windows("validation")
    assert len(windows) == 5
    assert windows[-1] > 50


def test_batches_change_nothing(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    text = PreparedText.open(data)

    def loss() -> float:
        subject = TextSubject.load(model.weights, text, seed=4, final=True, device="cpu")
        assert subject.scores("validation", "float32")["loss"] == pytest.approx(
            subject.statistics(None, "float32").scores["loss"], rel=1e-6
        )
        return subject.scores("validation", "float32")["loss"]

    whole = loss()
    monkeypatch.setattr(text_subject, "_AT_ONCE", {"cpu": 1})
    assert loss() == pytest.approx(whole, rel=1e-6)


def test_stretches_by_hand() -> None:
    responses = torch.arange(14.0).reshape(1, 7, 2)
    expected = responses[0, :6].reshape(3, 2, 2).mean(dim=1)
    assert torch.equal(stretches(responses, 2), expected)
    assert torch.equal(stretches(responses, 1), responses[0])
    assert torch.equal(stretches(responses, 50), responses.mean(dim=1))


def test_a_limit_is_told(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    measure(dataclasses.replace(measure_spec({"loss": {}}), images=7), model, data)
    table = table_of(model.measures)
    assert value(table, "windows", "") == 7


def test_text_of_another_vocabulary_is_refused(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    other = write_text(tmp_path / "other", vocabulary=300)
    with pytest.raises(SpecError, match=r"built for .*vocabulary"):
        measure(measure_spec({"loss": {}}), model, other)


def test_measures_of_another_task_are_refused(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    with pytest.raises(SpecError, match=r"measures\.accuracy: .*classification, not language"):
        measure(measure_spec({"accuracy": {}}), model, data)
    images, _ = write_model(tmp_path / "images", train_spec())
    with pytest.raises(SpecError, match=r"measures\.loss: .*language, not classification"):
        measure(measure_spec({"loss": {}}), images, data)


def test_pairs_that_are_not_there_are_named(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    text = PreparedText.open(data)
    subject = TextSubject.load(model.weights, text, seed=4, final=True, device="cpu")
    with pytest.raises(SpecError, match="stimuli='blimp/pairs': not given"):
        subject.pairs("blimp/pairs")
