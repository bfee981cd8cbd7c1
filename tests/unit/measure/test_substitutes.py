"""What takes the place of a word: classes, frequencies, a masked language model."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from measured import measure_spec
from measured_text import NOUNS, VERBS, text_spec, write_language_model, write_text

from toporepro.data.text_store import PreparedText
from toporepro.measure.run import measure
from toporepro.measure.substitutes import (
    FILLERS,
    MaskedLM,
    by_class,
    by_frequency,
    single,
    substitutes,
    whole_words,
)
from toporepro.models.vision import import_torchvision
from toporepro.spec import SpecError


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> PreparedText:
    return PreparedText.open(write_text(tmp_path_factory.mktemp("text")))


def test_a_word_of_the_same_class(text: PreparedText) -> None:
    tokenizer = text.tokenizer()
    table = by_class({"animals": ["cat", "dog", "horse"], "fruit": ["plum", "pear"]}, tokenizer)
    cat, dog, horse, plum, pear = (
        single(f" {word}", tokenizer) for word in ("cat", "dog", "horse", "plum", "pear")
    )
    assert None not in (cat, dog, horse, plum, pear)
    assert sorted(table[cat]) == sorted([dog, horse])
    assert table[plum] == [pear]


def test_words_that_are_about_as_frequent(text: PreparedText) -> None:
    tokenizer = text.tokenizer()
    table = by_frequency(text, "train")
    ids = np.asarray(text.split("train")[:])
    counts = np.bincount(ids, minlength=text.vocabulary)
    order = sorted((-counts[token], token) for token in table)
    ranks = {token: rank for rank, (_, token) in enumerate(order)}
    assert {tokenizer.decode([token]) for token in table} >= {f" {word}" for word in NOUNS[:3]}
    for token, near in table.items():
        assert token not in near
        assert len(near) == FILLERS
        assert max(abs(ranks[other] - ranks[token]) for other in near) <= FILLERS


def test_parts_of_longer_words_are_no_words(text: PreparedText) -> None:
    tokenizer = text.tokenizer()
    ids = tokenizer.encode(" the cat sees zebras.")
    spelt = [tokenizer.decode([token]) for token in ids]
    whole = whole_words(np.array(ids), tokenizer)
    assert len(whole) == len(ids) - 1
    for place, (own, after) in enumerate(itertools.pairwise(spelt)):
        assert whole[place] == (not after[0].isalnum()), (own, after)
    assert not whole.all()
    assert whole[:2].all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained BERT over a few words, as ``save_pretrained`` writes it."""
    import_torchvision()
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    out = tmp_path_factory.mktemp("masked_lm")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "the", "##s", *NOUNS, *VERBS]
    tokenizer = BertTokenizer(vocab={word: place for place, word in enumerate(words)})
    tokenizer.save_pretrained(out)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(out)
    return out


def test_fillers_are_the_most_probable_words(text: PreparedText, folder: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = text.tokenizer()
    words = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForMaskedLM.from_pretrained(folder)
    sentence = " the cat sees the plum ."
    ids = np.array(tokenizer.encode(sentence))
    place = tokenizer.encode(sentence).index(single(" sees", tokenizer))
    with torch.no_grad():
        batch = words("the cat [MASK] the plum .", return_tensors="pt")
        logits = network(**batch).logits[0, batch["input_ids"][0].tolist().index(4)]
    expected = []
    for token in logits.argsort(descending=True).tolist():
        here = single(f" {words.decode([token])}", tokenizer)
        if words.decode([token]).isalpha() and here not in (None, ids[place]):
            expected.append(here)
    found = MaskedLM(folder, tokenizer).of(ids, place)
    assert list(found) == expected[:FILLERS]
    assert len(found) == FILLERS


def test_other_files_of_the_model_are_another_measurement(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_text(tmp_path / "text")
    model, _ = write_language_model(tmp_path / "model", text_spec(context=32), data)
    options = {
        "length": 24, "sequences": 2, "substitutes": "masked_lm", "masked_lm": str(folder),
    }  # fmt: skip
    for _ in range(2):
        measure(measure_spec({"integration_windows": options}), model, data)
    assert capsys.readouterr().err.count("(kept)") == 1
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "note": "other"}))
    measure(measure_spec({"integration_windows": options}), model, data)
    assert "(kept)" not in capsys.readouterr().err


def test_what_is_missing_is_named(text: PreparedText, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"masked_lm='.*nowhere': a folder .* is needed"):
        substitutes(text, "masked_lm", "train", tmp_path / "nowhere")
    with pytest.raises(SpecError, match="no masked language model"):
        substitutes(text, "masked_lm", "train", tmp_path)
    with pytest.raises(SpecError, match="names no classes of words; 'frequency' needs none"):
        substitutes(text, "classes", "train", None)
