"""Text files in pieces: the tokens of the whole, and every fault by its byte."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.data import text_files
from toporepro.data.index import DataError
from toporepro.data.text_files import TextFile, last_cut
from toporepro.data.tokenizer import Tokenizer, train_tokenizer

TEXTS = ["The cat's mat.\n\nThey'll see  it,   1 234 times\t\tor\r\nmore.", "a \u00a0b 中文 c" * 3]
AWKWARD = st.text(st.sampled_from("ab  \n\n\t\r'sl1,-é中\u00a0\u2009\x1c\x85👧"), max_size=60)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS * 3, 300)


@settings(max_examples=200)
@given(text=AWKWARD, block=st.integers(1, 9))
def test_pieces_have_the_tokens_of_the_whole(
    tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "text.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_BLOCK", block)
        pieces = list(TextFile(path))
        assert list(TextFile(path)) == pieces
    whole = path.read_text(encoding="utf-8")  # Python's own reading of all line ends
    assert "".join(pieces) == whole
    assert [i for piece in pieces for i in tokenizer.encode(piece)] == tokenizer.encode(whole)


def test_long_texts_come_in_many_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_BLOCK", 100)
    path = tmp_path / "text.txt"
    path.write_text("some words and more " * 100)
    pieces = list(TextFile(path))
    assert len(pieces) > 15
    assert max(map(len, pieces)) < 130
    assert all(piece.startswith(" ") for piece in pieces[1:])


@pytest.mark.parametrize(
    ("text", "place"),
    [("", 0), ("a", 0), (" a", 0), ("a b", 1), ("a  b", 1), ("a\u00a0 b", 0), ("a b\x1cc", 1)],
)
def test_a_cut_is_before_white_space_that_follows_something_else(text: str, place: int) -> None:
    assert last_cut(text) == place


@pytest.mark.parametrize("before", ["", "é", "é words", "é words " * 5])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (b"\xff", "byte {} is not UTF-8 (invalid start byte)"),
        (b"\xe4\xb8x", "byte {} is not UTF-8 (invalid continuation byte)"),
        (b"\0", "NUL at byte {}"),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_faults_are_told_by_their_byte(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    wrong: bytes,
    message: str,
    mark: bytes,
) -> None:
    monkeypatch.setattr(text_files, "_BLOCK", 9)
    path = tmp_path / "text.txt"
    start = mark + before.encode()
    path.write_bytes(start + wrong + b" and more")
    with pytest.raises(DataError) as caught:
        list(TextFile(path))
    assert f"{path}: {message.format(len(start))}" in str(caught.value)


def test_a_character_cut_off_at_the_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"words \xe4\xb8")
    with pytest.raises(DataError, match=r"byte 6 is not UTF-8 \(unexpected end of data\)"):
        list(TextFile(path))
    with pytest.raises(DataError, match=r"absent\.txt: No such file"):
        list(TextFile(tmp_path / "absent.txt"))


def test_marks_and_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbfword")
    assert list(TextFile(path)) == ["word"]
    for content in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(content)
        assert list(TextFile(path)) == []


def test_endless_words_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_BLOCK", 10)
    monkeypatch.setattr(text_files, "_LONGEST", 50)
    path = tmp_path / "text.txt"
    path.write_text("a" * 55)
    with pytest.raises(DataError, match=r"55 characters without a space"):
        list(TextFile(path))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(megabytes: int) -> int:
        path = tmp_path / f"{megabytes}.txt"
        path.write_bytes(b"word and word\n" * (megabytes * 75_000))
        tracemalloc.start()
        assert sum(map(len, TextFile(path))) == path.stat().st_size
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(12) < peak(3) + (1 << 20)
