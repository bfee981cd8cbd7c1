"""Folders of text files, prepared in parts."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import ByteLevelBPETokenizer

from toporepro.data import scatter, text_folder
from toporepro.data.documents import in_validation
from toporepro.data.index import INDEX, DataError
from toporepro.data.text_store import PreparedText, TokenWriter
from toporepro.data.tokenizer import train_tokenizer
from toporepro.paths import manifest
from toporepro.spec import DataSpec, SpecError

SHARED = Path(__file__).parents[3] / "../shared/data"
needs_real = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data's books")
WORDS = ("it was the best of times", "and the worst of them all,", "they said;", "a tale")


def write_books(folder: Path, count: int = 40) -> dict[str, str]:
    """Small books, a few in a folder below."""
    draw = random.Random(3)
    books = {}
    for number in range(count):
        lines = (" ".join(draw.choices(WORDS, k=4)) for _ in range(draw.randint(1, 12)))
        name = f"more/{number:02d}.txt" if number % 5 == 0 else f"{number:02d}.txt"
        books[name] = f"Book {number}.\n\n" + "\n".join(lines) + "\n"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(books[name], encoding="utf-8")
    return books


def spec(**options: Any) -> DataSpec:
    given = {"folder": "books", "vocabulary": 300, "validation": 0.3, "shards": 3, **options}
    return DataSpec(source="text_folder", options=dataclasses.asdict(text_folder.Options(**given)))


def index_in(root: Path) -> Path:
    return root / "prepared" / "text_folder-1" / INDEX


def contents(index: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(index.parent)): path.read_bytes()
        for path in index.parent.rglob("*")
        if path.is_file() and path != manifest(index) and path.suffix != ".lock"
    }


def documents(data: PreparedText, name: str) -> list[str]:
    ids, tokenizer = data.split(name)[:], data.tokenizer()
    ends = np.flatnonzero(ids == data.end_of_text)
    return [tokenizer.decode(part[:-1]) for part in np.split(ids, ends + 1)[:-1]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_books(tmp_path / "books")
    return tmp_path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("books")
    write_books(root / "books")
    scatter.prepare_all(spec(), root, index_in(root))
    return index_in(root)


def test_every_document_is_in_one_split_by_its_own_text(prepared: Path, tmp_path: Path) -> None:
    data = PreparedText.open(prepared)
    data.verify()
    train, validation = documents(data, "train"), documents(data, "validation")
    books = write_books(tmp_path)
    assert Counter(train + validation) == Counter(books.values())
    assert not set(train) & set(validation)
    assert set(data.splits) == {"train", "validation"}
    assert (data.splits["train"].documents, data.splits["validation"].documents) == (
        len(train),
        len(validation),
    )
    assert 4 <= len(validation) <= 20
    # The tokenizer has seen nothing but the training split.
    assert data.tokenizer() == train_tokenizer(train, 300)
    made = json.loads(manifest(prepared).read_text())
    assert set(made["raw_units"]) == set(books)
    assert "toporepro.data.text_files" in made["modules"]
    assert "toporepro.data.pictures" not in made["modules"]


@pytest.mark.parametrize("seed", [1, 2])
def test_parts_in_any_order_give_the_same_dataset(raw: Path, prepared: Path, seed: int) -> None:
    order = [0, 1, 2]
    random.Random(seed).shuffle(order)
    index = index_in(raw)
    for part in order:
        scatter.prepare_part(spec(), raw, index, part)
        assert not index.exists()
    scatter.prepare_all(spec(), raw, index)
    assert contents(index) == contents(prepared)


def test_another_number_of_parts_holds_the_same_text(raw: Path, prepared: Path) -> None:
    for shards in (1, 50):
        index = raw / "prepared" / f"text_folder-{shards}" / INDEX
        scatter.prepare_all(spec(shards=shards), raw, index)
        one, other = PreparedText.open(index), PreparedText.open(prepared)
        for split in ("train", "validation"):
            assert one.split(split)[:].tolist() == other.split(split)[:].tolist()


def test_equal_documents_go_to_the_same_split(raw: Path) -> None:
    books = {p.read_text(): p for p in (raw / "books").rglob("*.txt")}
    for number, text in enumerate(books):
        (raw / "books" / f"again_{number}.txt").write_text(text)
    scatter.prepare_all(spec(), raw, index_in(raw))
    data = PreparedText.open(index_in(raw))
    train, validation = (Counter(documents(data, name)) for name in ("train", "validation"))
    assert not set(train) & set(validation)
    assert set((train + validation).values()) == {2}


def test_done_again_nothing_is_touched(
    raw: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = index_in(raw)
    shutil.copytree(prepared.parent, index.parent)
    before = {p: p.stat().st_mtime_ns for p in index.parent.rglob("*") if p.suffix != ".lock"}
    shutil.rmtree(raw / "books")
    scatter.prepare_all(spec(), raw, index)
    assert "is there and right" in capsys.readouterr().err
    assert before == {
        p: p.stat().st_mtime_ns for p in index.parent.rglob("*") if p.suffix != ".lock"
    }


@pytest.mark.parametrize("victim", ["train-00001.bin", "vocab.bpe", "parts/00002.json", INDEX])
def test_what_is_damaged_is_made_again(raw: Path, prepared: Path, victim: str) -> None:
    index = index_in(raw)
    shutil.copytree(prepared.parent, index.parent)
    path = index.parent / victim
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    scatter.prepare_all(spec(), raw, index)
    assert contents(index) == contents(prepared)


@pytest.mark.parametrize("after", [0, 4, 30])
def test_killed_and_started_again_gives_the_same_bytes(
    raw: Path, prepared: Path, after: int
) -> None:
    index = index_in(raw)
    pid = os.fork()
    if pid == 0:
        add, left = TokenWriter.add, after

        def add_some(writer: TokenWriter, pieces: Any) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            add(writer, pieces)

        TokenWriter.add = add_some  # type: ignore[method-assign]
        scatter.prepare_all(spec(), raw, index)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert not index.exists()
    scatter.prepare_all(spec(), raw, index)
    assert contents(index) == contents(prepared)


def test_splits_that_the_user_made(tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    for name, text in (("train", "a b c " * 50), ("valid", "b c d"), ("test", "c d e")):
        (books / f"{name}.txt").write_text(text)
    scatter.prepare_all(spec(shards=2), tmp_path, index_in(tmp_path))
    data = PreparedText.open(index_in(tmp_path))
    assert documents(data, "train") == ["a b c " * 50]
    assert documents(data, "validation") == ["b c d"]
    assert documents(data, "test") == ["c d e"]
    (books / "copy.txt").write_text("b c d")
    with pytest.raises(DataError, match="a document is in train and in validation") as caught:
        scatter.prepare_all(spec(shards=1), tmp_path, index_in(tmp_path))
    assert "take one of them away" in str(caught.value)


def test_faults_are_all_told_with_file_and_byte(raw: Path, prepared: Path) -> None:
    books = raw / "books"
    (books / "latin1.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    (books / "utf16.txt").write_text("word", encoding="utf-16")
    (books / "zz.txt").write_bytes(b"word\0word")
    with pytest.raises(DataError, match="3 faults in 1 of 3 parts; nothing was gathered") as caught:
        scatter.prepare_all(spec(), raw, index_in(raw))
    text = str(caught.value)
    assert f"{books / 'latin1.txt'}: byte 3 is not UTF-8" in text
    assert f"{books / 'utf16.txt'}: NUL at byte 3" in text
    assert f"{books / 'zz.txt'}: NUL at byte 4" in text
    assert not index_in(raw).exists()
    assert not list(index_in(raw).parent.glob("train-00002.bin"))
    for name in ("latin1", "utf16", "zz"):
        (books / f"{name}.txt").unlink()
    # The parts made before had their shares of 43 files; they are not mixed with shares of 40.
    scatter.prepare_all(spec(), raw, index_in(raw))
    assert contents(index_in(raw)).items() >= contents(prepared).items()


def test_empty_documents_are_left_out_and_counted(raw: Path, prepared: Path) -> None:
    (raw / "books" / "empty.txt").touch()
    (raw / "books" / "blank.txt").write_text(" \n\t\n")
    scatter.prepare_all(spec(), raw, index_in(raw))
    data = PreparedText.open(index_in(raw))
    assert data.extra == {"oddities": {"empty documents": 2}}
    assert sum(split.documents for split in data.splits.values()) == 40


def test_what_is_absent_is_said_with_what_to_do(tmp_path: Path) -> None:
    chosen = text_folder.Options(folder="books")
    assert "no text files" in (text_folder.missing(chosen, tmp_path / "text_folder") or "")
    with pytest.raises(DataError, match=r"books: no text files \(\*\.txt\) there\. Put plain text"):
        scatter.prepare_all(spec(), tmp_path, index_in(tmp_path))
    write_books(tmp_path / "books", 1)
    assert text_folder.missing(chosen, tmp_path / "text_folder") is None
    with pytest.raises(DataError, match=r"1 documents, none of them in .*valid\.txt"):
        scatter.prepare_all(spec(), tmp_path, index_in(tmp_path))


def test_the_share_is_about_right() -> None:
    digests = [random.Random(n).randbytes(32) for n in range(4000)]
    for share in (0.02, 0.5):
        assert np.mean([in_validation(d, share) for d in digests]) == pytest.approx(
            share, abs=4 * (share / 4000) ** 0.5
        )


@pytest.mark.parametrize(
    "wrong",
    [{"folder": "../x"}, {"folder": ""}, {"vocabulary": 9}, {"validation": 0}, {"shards": 0}],
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        text_folder.Options(**wrong)


@pytest.mark.parametrize("source", ["text_folder", "parquet_text", "grammar", "blimp"])
def test_options_load_without_heavy_libraries(source: str) -> None:
    code = (
        f"import sys, toporepro.data.{source} as plugin; from toporepro.data import scatter;"
        f"from toporepro.spec import DataSpec; scatter.parts(DataSpec(source='{source}'));"
        "heavy = {'numpy', 'torch', 'pyarrow', 'tiktoken', 'tokenizers', 'requests', 'filelock'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    options = scatter.find("data", source).Options
    documented = options.__doc__ or ""
    assert all(field.name in documented for field in dataclasses.fields(options))


@needs_real
def test_real_books_with_gpt2s_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "gpt2_bpe").mkdir()
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / "gpt2_bpe" / name).symlink_to((SHARED / "gpt2_bpe" / name).resolve())
    for name, role in (("valid", "train"), ("test", "valid")):
        path = SHARED / f"text_classic_books/{name}.txt"
        (tmp_path / "books" / f"{role}.txt").symlink_to(path.resolve())
    scatter.prepare_all(spec(tokenizer="gpt2"), tmp_path, index_in(tmp_path))
    data = PreparedText.open(index_in(tmp_path))
    assert (data.vocabulary, data.end_of_text) == (50257, 50256)
    ids = data.split("train")[:]
    assert ids.dtype == np.uint16
    text = (tmp_path / "books" / "train.txt").read_text(encoding="utf-8")
    files = (str(SHARED / "gpt2_bpe" / name) for name in ("encoder.json", "vocab.bpe"))
    other = ByteLevelBPETokenizer(*files)
    assert ids[:-1].tolist() == other.encode(text).ids
    assert ids[-1] == 50256
