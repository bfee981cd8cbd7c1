"""The tokenizer beside the Hugging Face one on the same files, and one trained here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer

from toporepro.data.index import DataError
from toporepro.data.tokenizer import ENCODER, END_OF_TEXT, MERGES, Tokenizer, train_tokenizer

SHARED = Path(__file__).parents[3] / "../shared/data"
needs_real = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data's GPT-2 BPE")
TEXTS = [
    "The cat sat on the mat; it's the dog's mat, they'll say.\n\nIsn't it?  Yes,   1,234 times.",
    "Ünïcödé wörds — “quoted” – and 中文字, こんにちは 👩‍👩‍👧 \u00a0\u2003 x\t\ty \r\n z",
    "the the the theme thermal then there these 000 00 0 -- --- ... ...... '''s 'S 'Re",
]
# Characters that the rule of GPT-2's words tells apart.
AWKWARD = st.text(
    st.sampled_from("ab  \n\t'srel1,-é中\u00a0\u2009\x1c\x00👧") | st.characters(codec="utf-8")
)


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return train_tokenizer(TEXTS * 3, 320)


def hugging_face(folder: Path) -> ByteLevelBPETokenizer:
    return ByteLevelBPETokenizer(str(folder / ENCODER), str(folder / MERGES))


@needs_real
def test_gpt2_on_books_gives_the_ids_of_the_hugging_face_tokenizer() -> None:
    folder = SHARED / "gpt2_bpe"
    ours, theirs = Tokenizer.open(folder), hugging_face(folder)
    assert (ours.vocabulary, ours.end_of_text) == (50257, 50256)
    assert ours.encode("Hello world") == [15496, 995]
    book = (SHARED / "text_classic_books/valid.txt").read_text(encoding="utf-8")[:300_000]
    for text in (*TEXTS, book):
        assert ours.encode(text) == theirs.encode(text).ids
        assert ours.encode_array(text).tolist() == ours.encode(text)
        assert ours.decode(ours.encode(text)) == text


def test_one_trained_here_gives_the_ids_of_the_hugging_face_tokenizer(
    trained: Tokenizer, tmp_path: Path
) -> None:
    trained.save(tmp_path)
    theirs = hugging_face(tmp_path)
    assert trained.vocabulary == 320
    assert trained.end_of_text == 319
    for text in TEXTS:
        assert trained.encode(text) == theirs.encode(text).ids
        assert len(trained.encode(text)) < len(text.encode())


@settings(max_examples=200)
@given(AWKWARD)
def test_any_text_comes_back_and_the_ids_are_those_of_the_other(
    trained: Tokenizer, tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "trained"
    if not folder.exists():
        trained.save(folder)
    ids = trained.encode(text)
    assert trained.decode(ids) == text
    assert ids == hugging_face(folder).encode(text).ids


def test_no_text_is_the_end_of_text(trained: Tokenizer) -> None:
    ids = trained.encode(f"a{END_OF_TEXT}b")
    assert trained.end_of_text not in ids
    assert trained.decode(ids) == f"a{END_OF_TEXT}b"
    assert trained.decode([trained.end_of_text]) == END_OF_TEXT
    with pytest.raises(DataError, match="ids from 0 to 320: 0 to 319"):
        trained.decode([0, 320])


def test_training_depends_on_nothing_but_the_texts(trained: Tokenizer) -> None:
    code = (
        "import sys, json; from toporepro.data.tokenizer import train_tokenizer;"
        "made = train_tokenizer(reversed(json.load(sys.stdin) * 3), 320);"
        "sys.stdout.buffer.write(made.encoder + made.merges)"
    )
    for threads in ("1", "3"):
        made = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(TEXTS).encode(),
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            capture_output=True,
            check=True,
        )
        assert made.stdout == trained.encoder + trained.merges


def test_texts_with_little_to_merge_give_a_smaller_vocabulary() -> None:
    assert train_tokenizer(["ab"], 400).vocabulary == 258
    assert train_tokenizer([], 257).encode("a€") == [64, *train_tokenizer([], 257).encode("€")]
    with pytest.raises(DataError, match="at least 257"):
        train_tokenizer(TEXTS, 256)


def _break(encoder: dict[str, int], merges: str, how: str) -> tuple[str, str]:
    if how == "no end":
        encoder = {token: i for token, i in encoder.items() if token != END_OF_TEXT}
    elif how == "gap":
        encoder["a"] = 5000
    elif how == "no byte":
        encoder["zzzz"] = encoder.pop("z")
    elif how == "order":
        lines = merges.splitlines()
        merges = "\n".join([lines[0], *reversed(lines[1:])])
    elif how == "fewer":
        merges = "\n".join(merges.splitlines()[:-1])
    return json.dumps(encoder), merges


@pytest.mark.parametrize("how", ["no end", "gap", "no byte", "order", "fewer", "json"])
def test_files_that_are_none_are_named(trained: Tokenizer, tmp_path: Path, how: str) -> None:
    encoder, merges = _break(json.loads(trained.encoder), trained.merges.decode(), how)
    (tmp_path / ENCODER).write_text("[]" if how == "json" else encoder)
    with pytest.raises(DataError, match=f"{MERGES}: No such file"):
        Tokenizer.open(tmp_path)
    (tmp_path / MERGES).write_text(merges)
    with pytest.raises(DataError, match="not a byte-level BPE"):
        Tokenizer.open(tmp_path)
