"""Selectivity to words, against scipy on responses of single passes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from measured import measure_spec
from measured_text import text_spec, text_subject, write_language_model, write_text
from scipy import stats

from toporepro.data.text_store import PreparedText
from toporepro.measure import word_categories
from toporepro.measure.run import measure
from toporepro.measure.word_categories import Options
from toporepro.spec import SpecError

CLASSES = {
    "animals, singular": ["cat", "dog", "horse"],
    "animals, plural": ["cats", "dogs", "horses"],
    "fruit, singular": ["apple", "plum", "pear", "saw"],
    "tools, singular": ["hammer", "saw", "drill", "file"],
    "verbs": ["sees", "likes"],
}
WORDS = {
    "animals": ["cat", "dog", "horse", "cats", "dogs", "horses"],
    "fruit": ["apple", "plum", "pear"],
    "tools": ["hammer", "drill", "file"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), classes=CLASSES)


def test_maps_are_scipys(tmp_path: Path, data: Path) -> None:
    subject = text_subject(tmp_path, data)
    result = word_categories.measure(subject, Options(words="data", shuffles=2))
    units = {(unit.layer, unit.quantity): unit.values for unit in result.units}
    layer, heard = "transformer.h.1.mlp.c_fc", {}
    subject.module.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: heard.update(c_fc=output[0].detach())
    )
    tokenizer = subject.text.tokenizer()
    start = [subject.text.end_of_text, *tokenizer.encode("The")]
    answers = {}
    for name, words in WORDS.items():
        answers[name] = []
        for word in words:
            with torch.no_grad():
                subject.module(torch.tensor([[*start, *tokenizer.encode(f" {word}")]]))
            answers[name].append(heard["c_fc"][len(start) :].double().mean(dim=0).numpy())
    t = {}
    for name in WORDS:
        rest = [answer for other in WORDS if other != name for answer in answers[other]]
        t[name] = stats.ttest_ind(np.stack(answers[name]), np.stack(rest), equal_var=False)[0]
        np.testing.assert_allclose(units[layer, f"word_t.{name}"], t[name], rtol=1e-3, atol=1e-3)
    maps = np.stack(list(t.values()))
    preferred = units[layer, "word_preferred"]
    np.testing.assert_array_equal(np.isnan(preferred), maps.max(axis=0) <= 3)
    live = ~np.isnan(preferred)
    np.testing.assert_array_equal(preferred[live], maps.argmax(axis=0)[live])
    rows = {(row.layer, row.metric): row.value for row in result.rows}
    assert rows[layer, "word_selective.fruit"] == pytest.approx((t["fruit"] > 3).mean())
    mean = np.mean([rows[layer, f"word_morans_i.{name}"] for name in WORDS])
    assert rows[layer, "word_morans_i"] == pytest.approx(mean)
    layers = [rows[name, "word_morans_i"] for name in subject.layers]
    assert rows["mean", "word_morans_i"] == pytest.approx(np.mean(layers))
    assert rows[layer, "word_cluster.animals"] >= 0


def test_snapshots_have_preferences_alone(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    options = {"words": "data", "shuffles": 2}
    measure(measure_spec({"word_categories": options}), model, data)
    table, units = pd.read_csv(model.measures), pd.read_parquet(model.units)
    assert set(table.step) == {0, 9}
    by_step = units.groupby("step").quantity.unique()
    categories = {f"word_category.{name}" for name in WORDS}
    assert set(by_step[0]) == {"word_preferred", *categories}
    assert set(by_step[9]) == set(by_step[0]) | {f"word_t.{name}" for name in WORDS}
    numbers = units[units.quantity == "word_category.tools"]
    assert set(numbers["index"]) == {2}


def test_lists_of_wordnet(tmp_path: Path, data: Path) -> None:
    subject = text_subject(tmp_path, data)
    result = word_categories.measure(subject, Options(shuffles=1))
    lists = json.loads(word_categories._LISTS.read_text())
    assert lists["source"].startswith("WordNet")
    metrics = {row.metric for row in result.rows}
    assert {f"word_morans_i.{name}" for name in lists["categories"]} <= metrics
    words = [word for listed in lists["categories"].values() for word in listed]
    assert len(words) == len(set(words)) == 8 * 24


def test_data_without_classes_is_named(tmp_path: Path) -> None:
    subject = text_subject(tmp_path / "model", write_text(tmp_path / "text"))
    assert isinstance(subject.text, PreparedText)
    with pytest.raises(SpecError, match="names no classes of words"):
        word_categories.measure(subject, Options(words="data"))


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"shuffles": 0}])
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        Options(**options)
