"""The seeded grammar: its text agrees with itself, and its pairs are of sentences never seen."""

import math
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from toporepro.data import grammar
from toporepro.data.documents import in_validation
from toporepro.data.grammar_pairs import PARADIGMS, grammar_pairs
from toporepro.data.grammar_words import INTRANSITIVE, NAMES, NOUNS, PEOPLE, TRANSITIVE
from toporepro.data.index import INDEX
from toporepro.data.pairs import PreparedPairs
from toporepro.data.text_store import PreparedText
from toporepro.spec import SpecError

OPTIONS = grammar.Options(documents=6000, pairs=60)
SINGULAR = {noun.singular for nouns in NOUNS.values() for noun in nouns}
PLURAL = {noun.plural for nouns in NOUNS.values() for noun in nouns}
OTHER_NUMBER = {
    "singular": {"These", "Those", "Two", "Some"},
    "plural": {"This", "That", "A", "An", "Every"},
}
VERBS = {verb.base: verb for verb in INTRANSITIVE + TRANSITIVE}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grammar")
    grammar.prepare(OPTIONS, out / "raw", out)
    return out / INDEX


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return [line for text in grammar.documents(OPTIONS) for line in text.splitlines()]


def test_the_splits_are_all_documents_and_share_none(index: Path) -> None:
    data = PreparedText.open(index)
    data.verify()
    tokenizer = data.tokenizer()
    found = {}
    for name, split in data.splits.items():
        ids = split[:]
        ends = np.flatnonzero(ids == data.end_of_text)
        assert len(ends) == split.documents
        found[name] = [tokenizer.decode(part[:-1]) for part in np.split(ids, ends + 1)[:-1]]
    assert Counter(found["train"] + found["validation"]) == Counter(grammar.documents(OPTIONS))
    assert not set(found["train"]) & set(found["validation"])
    assert found["validation"] == [
        t for t in grammar.documents(OPTIONS) if in_validation(sha256(t.encode()).digest(), 0.05)
    ]
    assert len(found["validation"]) / OPTIONS.documents == pytest.approx(0.05, abs=0.01)


def test_its_size_is_known_before(index: Path) -> None:
    data = PreparedText.open(index)
    extent = grammar.extent(OPTIONS)
    assert data.vocabulary == extent.classes == 768
    for name, split in data.splits.items():
        assert len(split) == pytest.approx(extent.splits[name], rel=0.15)
    size = sum(record.bytes for record in data.files.values())
    assert size == pytest.approx(grammar.prepared_bytes(OPTIONS), rel=0.1)


def test_the_same_bytes_in_every_process(index: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from toporepro.data import grammar;"
        "options = grammar.Options(documents=6000, pairs=60);"
        "grammar.prepare(options, Path(), Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
    made = {path.name: path.read_bytes() for path in index.parent.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made


def test_another_seed_is_another_corpus() -> None:
    other = grammar.Options(documents=100, seed=1)
    assert set(grammar.documents(other)).isdisjoint(
        grammar.documents(grammar.Options(documents=100))
    )
    assert set(grammar_pairs(0, 5)).isdisjoint(grammar_pairs(1, 5))


def test_no_sentence_of_a_pair_is_in_the_text(sentences: list[str]) -> None:
    seen = set(sentences)
    pairs = list(grammar_pairs(OPTIONS.seed, 200))
    assert len(pairs) == 200 * len(PARADIGMS)
    for pair in pairs:
        assert pair.good not in seen
        assert pair.bad not in seen


def test_no_demonstrative_that_a_pair_turns_on_is_with_its_noun_in_the_text(
    sentences: list[str],
) -> None:
    text = "\n".join(sentences).lower()
    together = set(re.findall(r"\b(this|these|those) (?=(\w+))", text))
    numbers = {n.singular: n.plural for nouns in NOUNS.values() for n in nouns}
    numbers |= {plural: singular for singular, plural in numbers.items()}
    for pair in grammar_pairs(OPTIONS.seed, 200):
        found = re.search(r"\b(this|these|those) (?:\w+ ){0,2}(\w+)\.$", pair.good)
        if pair.paradigm.startswith("determiner_noun") and found:
            which = {"those"} if found[1] == "those" else {"this", "these"}
            nouns = (found[2], numbers[found[2]])
            assert not {(word, noun) for word in which for noun in nouns} & together, pair


def test_subjects_and_verbs_of_plain_sentences_agree(sentences: list[str]) -> None:
    checked = Counter[str]()
    forms = {verb.third: "singular" for verb in VERBS.values()}
    forms |= {verb.base: "plural" for verb in VERBS.values() if verb.base != verb.third}
    for sentence in sentences:
        first, *words = sentence.removesuffix(".").split()
        if len(words) < 2 or first in {name.singular for name in NAMES}:
            continue
        noun, verb = words[0], words[1]
        if noun in SINGULAR | PLURAL and verb in forms:
            number = "singular" if noun in SINGULAR else "plural"
            assert forms[verb] == number, sentence
            assert first not in OTHER_NUMBER[number], sentence
            checked[number] += 1
    assert min(checked["singular"], checked["plural"]) > 1000


def test_ever_is_licensed_and_reflexives_fit(sentences: list[str]) -> None:
    assert all(s.startswith("No ") for s in sentences if " ever " in s)
    assert sum(" ever " in s for s in sentences) > 500
    reflexive = {noun.singular: noun.reflexive for noun in (*NOUNS[PEOPLE], *NAMES)}
    reflexive |= {noun.plural: "themselves" for noun in NOUNS[PEOPLE]}
    found = 0
    for sentence in sentences:
        plain = re.fullmatch(r"(?:\w+ )??(\w+) (?:has |have )?\w+ (\w+sel(?:f|ves))\.", sentence)
        if plain:
            assert reflexive[plain[1]] == plain[2], sentence
            found += 1
    assert found > 300


def test_pairs_are_minimal(index: Path) -> None:
    pairs = PreparedPairs.open(index).pairs()
    counts = Counter(pair.paradigm for pair in pairs)
    assert counts == dict.fromkeys(PARADIGMS, OPTIONS.pairs)
    assert len({pair.good for pair in pairs}) > 0.9 * len(pairs)
    for pair in pairs:
        good, bad = pair.good.split(), pair.bad.split()
        assert len(good) == len(bad)
        differing = sum(a != b for a, b in zip(good, bad, strict=True))
        assert differing == (2 if pair.paradigm == "npi_scope" else 1), pair


def test_both_answers_come_equally_often(index: Path) -> None:
    """Nobody scores by preferring one number, gender or word."""
    by_paradigm = defaultdict(list)
    for pair in PreparedPairs.open(index).pairs():
        by_paradigm[pair.paradigm].append(pair)
    for paradigm in ("anaphor_gender", "anaphor_gender_pp", "anaphor_gender_embedded"):
        share = np.mean(["herself" in pair.good for pair in by_paradigm[paradigm]])
        assert 0.25 < share < 0.75
    share = np.mean(["themselves" in pair.good for pair in by_paradigm["anaphor_number"]])
    assert 0.25 < share < 0.75


def test_word_pairs_alone_do_not_solve_the_pairs(sentences: list[str]) -> None:
    """An interpolated bigram model (Witten & Bell, 1991) stays near chance, or below."""
    unigrams, bigrams = Counter[str](), defaultdict[str, Counter[str]](Counter)
    for sentence in sentences:
        words = ["", *re.findall(r"\w+|\.", sentence)]
        unigrams.update(words[1:])
        for first, second in pairwise(words):
            bigrams[first][second] += 1
    total, words_known = sum(unigrams.values()), len(unigrams) + 1

    def score(sentence: str) -> float:
        found = 0.0
        words = ["", *re.findall(r"\w+|\.", sentence)]
        for first, second in pairwise(words):
            alone = (unigrams[second] + 1) / (total + words_known)
            after = bigrams[first]
            found += math.log((after[second] + len(after) * alone) / (after.total() + len(after)))
        return found

    accuracy = defaultdict(list)
    for pair in grammar_pairs(OPTIONS.seed, 300):
        accuracy[pair.paradigm].append(score(pair.good) > score(pair.bad))
    by_paradigm = {name: float(np.mean(right)) for name, right in accuracy.items()}
    assert np.mean(list(by_paradigm.values())) < 0.55, by_paradigm
    assert max(by_paradigm.values()) < 0.65, by_paradigm


def test_word_classes_are_of_the_text(index: Path, sentences: list[str]) -> None:
    words = set(re.findall(r"\w+", "\n".join(sentences)))
    classes = PreparedText.open(index).extra["word_classes"]
    assert len(classes) >= 17
    for name, members in classes.items():
        assert set(members) <= words, name
        assert len(set(members)) == len(members) >= 4


@pytest.mark.parametrize(
    "wrong",
    [{"validation": 0}, {"validation": 1}, {"documents": 9}, {"vocabulary": 256}, {"pairs": 0}],
)
def test_impossible_options_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=f"{next(iter(wrong))}="):
        grammar.Options(**wrong)  # type: ignore[arg-type]
