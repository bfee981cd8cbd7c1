import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toporepro.data import text_store
from toporepro.data.index import INDEX, DataError, Prepared
from toporepro.data.pairs import Pair, PreparedPairs
from toporepro.data.store import PreparedImages
from toporepro.data.text_store import PreparedText, TextWriter, TokenSplit, id_type
from toporepro.data.tokenizer import Tokenizer, train_tokenizer

DOCUMENTS = ["The dog sees the cats.", "", "Dogs see a cat.\n"]
PAIRS = [Pair("The dogs see.", "The dogs sees.", "agreement", "syntax", "agreement")]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(DOCUMENTS * 5, 270)


def written(folder: Path, tokenizer: Tokenizer) -> PreparedText:
    writer = TextWriter(
        folder, source="made_up", options={"a": 1}, tokenizer=tokenizer, extra={"note": "by hand"}
    )
    writer.write_split("train", DOCUMENTS)
    writer.write_split("validation", DOCUMENTS[:1])
    writer.write_pairs(PAIRS)
    return PreparedText.open(writer.finish())


def test_what_was_written_is_read(tmp_path: Path, tokenizer: Tokenizer) -> None:
    data = written(tmp_path / "new" / "folder", tokenizer)
    assert (data.source, data.options, data.extra) == ("made_up", {"a": 1}, {"note": "by hand"})
    assert (data.vocabulary, data.end_of_text) == (270, 269)
    train = data.split("train")
    assert train.documents == 3
    expected = [i for text in DOCUMENTS for i in (*tokenizer.encode(text), 269)]
    assert train[:].tolist() == expected
    assert len(train) == len(expected)
    assert isinstance(train[2:5], np.memmap)
    assert train[2:5].dtype == np.uint16
    assert data.tokenizer().decode(data.split("validation")[:-1]) == DOCUMENTS[0]
    data.verify()
    Prepared.open(data.index).verify()
    assert PreparedPairs.open(data.index).pairs() == tuple(PAIRS)


def test_equal_text_gives_equal_bytes(tmp_path: Path, tokenizer: Tokenizer) -> None:
    made = [written(tmp_path / name, tokenizer).index.parent for name in "ab"]
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in made)
    assert first == second
    assert set(first) == {INDEX, *json.loads(first[INDEX])["files"]}


def test_ids_take_no_more_room_than_the_vocabulary_needs() -> None:
    assert id_type(50257) == id_type(65536) == "<u2"
    assert id_type(65537) == "<u4"
    assert np.iinfo(id_type(65536)).max == 65535


@given(
    counts=st.lists(st.integers(0, 5), max_size=6),
    where=st.tuples(st.integers(-35, 35), st.integers(-35, 35)),
    dtype=st.sampled_from(["<u2", "<u4"]),
)
def test_runs_are_those_of_one_long_array(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    where: tuple[int, int],
    dtype: str,
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    ids = np.arange(1000, 1000 + sum(counts), dtype=dtype)
    files = tuple(folder / f"{number}.bin" for number in range(len(counts)))
    for file, piece in zip(files, np.split(ids, np.cumsum(counts))[: len(counts)], strict=True):
        file.write_bytes(piece.tobytes())
    split = TokenSplit(files, tuple(counts), dtype, 1)
    np.testing.assert_array_equal(split[slice(*where)], ids[slice(*where)])
    sent = pickle.loads(pickle.dumps(split))
    np.testing.assert_array_equal(sent[:], ids)


def test_nothing_is_left_of_a_split_that_failed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    def documents() -> Iterator[str]:
        yield "one"
        raise RuntimeError("the source broke")

    writer = TextWriter(tmp_path, source="s", options={}, tokenizer=tokenizer)
    with pytest.raises(RuntimeError, match="broke"):
        writer.write_split("train", documents())
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.json", "vocab.bpe"}


def test_both_splits_are_needed_and_a_new_writer_takes_the_index_away(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    written(tmp_path, tokenizer)
    writer = TextWriter(tmp_path, source="s", options={}, tokenizer=tokenizer)
    assert not (tmp_path / INDEX).exists()
    writer.write_split("train", DOCUMENTS)
    for name in ("train", "../x", ""):
        with pytest.raises(DataError, match="a new name is needed"):
            writer.write_split(name, DOCUMENTS)
    with pytest.raises(DataError, match="'validation' was not written"):
        writer.finish()
    writer.write_split("validation", [])
    with pytest.raises(DataError, match="has no text"):
        writer.finish()


def test_damage_is_noticed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    data = written(tmp_path, tokenizer)
    victim = tmp_path / text_store.shard_file("train", 0)
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-2] + b"\1\0")
    with pytest.raises(DataError, match=r"SHA-256 .* found, .* expected; remove the folder"):
        PreparedText.open(data.index).verify()
    with pytest.raises(DataError, match="SHA-256"):
        PreparedText.open(data.index).split("train")
    victim.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"{len(whole) - 1} bytes found, {len(whole)} expected"):
        PreparedText.open(data.index)
    victim.unlink()
    with pytest.raises(DataError, match="No such file"):
        PreparedText.open(data.index)
    with pytest.raises(DataError, match="no split 'tset'; there are train, validation"):
        data.split("tset")
    with pytest.raises(DataError, match="not an index of prepared images"):
        PreparedImages.open(data.index)


def change(content: dict[str, Any], how: str) -> None:
    if how == "kind":
        content["kind"] = "images"
    elif how == "count":
        content["splits"]["train"]["tokens"] = [1]
    elif how == "splits":
        del content["splits"]["validation"]
    elif how == "file":
        del content["files"][text_store.shard_file("train", 0)]
    elif how == "outside":
        content["files"]["../x"] = content["files"].pop("vocab.bpe")


@pytest.mark.parametrize("how", ["kind", "count", "splits", "file", "outside"])
def test_an_index_of_another_form_is_named(tmp_path: Path, tokenizer: Tokenizer, how: str) -> None:
    index = written(tmp_path, tokenizer).index
    content = json.loads(index.read_text())
    change(content, how)
    index.write_text(json.dumps(content))
    with pytest.raises(DataError, match=INDEX):
        PreparedText.open(index)
