"""Language networks against readers' brains, from the user's table to the rows."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from measured_text import sentences, text_spec, text_subject, write_language_model, write_text

from toporepro.data import sentence_fmri
from toporepro.data.index import DataError
from toporepro.data.sentence_store import PreparedSentences
from toporepro.data.text_store import PreparedText
from toporepro.measure import brain
from toporepro.measure.brain_stimuli import responses
from toporepro.measure.run import measure
from toporepro.measure.text_subject import TextSubject
from toporepro.spec import DataSpec, MeasureSpec, SpecError

LAYER = "transformer.h.1.mlp.c_fc"
# Of several lengths, one longer than the context of 16.
READ = [
    text.strip() + (" and the " + other.strip()) * (number % 3) + " again" * (20 * (number == 7))
    for number, (text, other) in enumerate(zip(sentences(150, 1), sentences(150, 2), strict=True))
]
OPTIONS = brain.Options(stimuli=("readers/test",), permutations=99, draws=20)


def by_hand(subject: TextSubject, sentence: str) -> np.ndarray:
    """Mean over the sentence's tokens of a layer's output, one sentence at a time."""
    tokenizer, found = subject.text.tokenizer(), []
    ids = [tokenizer.end_of_text, *tokenizer.encode(sentence)][: subject.inputs.context]
    layer = subject.module.get_submodule(LAYER)
    handle = layer.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.no_grad():
        subject.module(torch.tensor([ids]))
    handle.remove()
    return found[0][0, 1:].mean(dim=0).numpy()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def readers(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two readers, whose voxels are units of a layer, with noise, read twice."""
    subject = text_subject(tmp_path_factory.mktemp("model"), text)
    generator = np.random.default_rng(0)
    units = np.stack([by_hand(subject, sentence) for sentence in READ])
    units = (units - units.mean(axis=0)) / units.std(axis=0)
    null = generator.normal(size=(len(READ), 6))
    raw = tmp_path_factory.mktemp("raw")
    with (raw / "responses.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stimulus", "participant", "roi", "voxel", "response"])
        for name in ("r1", "r2"):
            for row, sentence in enumerate(READ):
                for region, signal in (("IFG", units[:, :20]), ("null", null)):
                    for voxel, value in enumerate(signal[row]):
                        for _ in range(2):
                            noisy = value + 0.5 * generator.normal()
                            writer.writerow([sentence, name, region, voxel, f"{noisy:.4f}"])
    out = tmp_path_factory.mktemp("readers")
    sentence_fmri.prepare(sentence_fmri.Options(), raw, out)
    return out / "dataset.json"


def test_a_units_response_is_its_mean_over_the_tokens(
    text: Path, readers: Path, tmp_path: Path
) -> None:
    data = PreparedSentences.open(readers)
    subject = text_subject(tmp_path, text, stimuli={"readers": data})
    rows = np.array([3, 0, 25, 11, 12])
    found = responses(subject, "readers/train", rows, [LAYER], "float32")[LAYER]
    expected = [by_hand(subject, data.split("train")[row]) for row in rows]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-5)


def test_the_layer_is_recovered_and_the_null_is_null(
    text: Path, readers: Path, tmp_path: Path
) -> None:
    subject = text_subject(tmp_path, text, stimuli={"readers": PreparedSentences.open(readers)})
    result = brain.measure(subject, OPTIONS)
    found = {(row.layer, row.metric): row.value for row in result.rows}
    assert 0.9 < found["", "brain_ridge.IFG"] < 1.1
    assert 0.9 < found["", "brain_match.IFG"] < 1.1
    for name in ("r1", "r2"):
        assert (LAYER, f"brain_layer.IFG.{name}") in found
        assert found["", f"brain_ridge_p.IFG.{name}"] == 0.01
        assert found["", f"brain_ridge_p.null.{name}"] > 0.02
    assert abs(found["", "brain_ridge.null"]) < 0.3


def test_by_the_verb_without_ceilings(text: Path, readers: Path, tmp_path: Path) -> None:
    """Where nobody read anything twice, there are correlations and no scores."""
    with np.load(readers.parent / "r1.npz") as file:
        arrays = dict(file)
    paths, _ = write_language_model(tmp_path / "model", text_spec(), text)
    kept = (readers.parent / "r1.npz").read_bytes()
    try:
        np.savez(readers.parent / "r1.npz", **{**arrays, "ncsnr": arrays["ncsnr"] * np.nan})
        subject = TextSubject.load(
            paths.weights, PreparedText.open(text), seed=4, final=True, device="cpu",
            stimuli={"readers": PreparedSentences.open(readers)},
        )  # fmt: skip
        rows = {(r.layer, r.metric): r.value for r in brain.measure(subject, OPTIONS).rows}
    finally:
        (readers.parent / "r1.npz").write_bytes(kept)
    assert np.isnan(rows["", "brain_ridge.IFG.r1"])
    assert rows["", "brain_ridge_raw.IFG.r1"] > 0.7
    assert rows[LAYER, "brain_ridge_raw.IFG.r1"] == rows["", "brain_ridge_raw.IFG.r1"]
    assert (LAYER, "brain_ridge_raw.IFG.r2") not in rows
    spec = MeasureSpec(
        preset="p", family="f", tau="1", seed=4, threads=1,
        measures={"brain_sentences": {"stimuli": ["readers/test"], "permutations": 9, "draws": 9}},
        stimuli={"readers": DataSpec(source="sentence_fmri")},
    )  # fmt: skip
    measure(spec, paths, text, [readers])
    assert ",readers/test,brain_ridge.IFG," in paths.measures.read_text()


def test_other_stimuli_are_refused(text: Path, readers: Path, tmp_path: Path) -> None:
    subject = text_subject(tmp_path, text, stimuli={"readers": PreparedSentences.open(readers)})
    with pytest.raises(SpecError, match="no sentences of that name; did you mean readers"):
        brain.measure(subject, brain.Options(stimuli=("reader/test",)))
    with pytest.raises(SpecError, match="not given"):
        subject.pairs("readers/pairs")
    with pytest.raises(DataError, match="no split 'tests'"):
        PreparedSentences.open(readers).split("tests")
    with pytest.raises(DataError, match="not an index of sentences"):
        PreparedSentences.open(text)
