"""Parquet files of text: small ones in the hub's form, here and on a server that plays the hub."""

import dataclasses
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from toporepro.data import parquet_text, scatter
from toporepro.data.index import INDEX, DataError
from toporepro.data.text_store import PreparedText
from toporepro.spec import DataSpec, SpecError

TEXTS = [f"Document {n} says “{'words and ' * (n % 7)}more”.\nNo {n}." for n in range(90)]


def packed(texts: list[Any], *, group: int = 4, kind: Any = None, column: str = "text") -> bytes:
    """A file with the columns of FineWeb-Edu's that matter, a few rows to each row group."""
    file = io.BytesIO()
    columns = {
        column: pyarrow.array(texts, type=kind or pyarrow.string()),
        "id": [str(number) for number in range(len(texts))],
        "score": [2.5] * len(texts),
    }
    parquet.write_table(pyarrow.table(columns), file, row_group_size=group)
    return file.getvalue()


def spec(dataset: str, **options: Any) -> DataSpec:
    given = {"tokenizer": "trained", "vocabulary": 290, "validation": 0.2, "shards": 2, **options}
    made = parquet_text.Options(dataset=dataset, **given)
    return DataSpec(source="parquet_text", options=dataclasses.asdict(made))


def index_in(root: Path) -> Path:
    return root / "prepared" / "parquet_text-1" / INDEX


def documents(data: PreparedText, name: str) -> list[str]:
    ids, tokenizer = data.split(name)[:], data.tokenizer()
    ends = np.flatnonzero(ids == data.end_of_text)
    return [tokenizer.decode(part[:-1]) for part in np.split(ids, ends + 1)[:-1]]


def write(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.parquet").write_bytes(content)
    return folder


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.large_string()])
def test_a_persons_own_files(tmp_path: Path, kind: Any) -> None:
    some, others = packed(TEXTS[:50], kind=kind), packed(TEXTS[50:], kind=kind, group=100)
    write(tmp_path / "mine", b=others, a=some)
    scatter.prepare_all(spec("mine"), tmp_path, index_in(tmp_path))
    data = PreparedText.open(index_in(tmp_path))
    data.verify()
    train, validation = documents(data, "train"), documents(data, "validation")
    assert sorted(train + validation) == sorted(TEXTS)
    assert 8 <= len(validation) <= 30
    assert train == [text for text in TEXTS if text in set(train)]
    assert not set(train) & set(validation)


def test_the_first_files_alone(tmp_path: Path) -> None:
    write(tmp_path / "mine", a=packed(TEXTS[:50]), b=packed(TEXTS[50:]))
    scatter.prepare_all(spec("mine", files=1), tmp_path, index_in(tmp_path))
    data = PreparedText.open(index_in(tmp_path))
    assert sum(split.documents for split in data.splits.values()) == 50


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    """A hub that has three files of a corpus; its tree also lists another file."""
    files = {f"{n:03d}_00000.parquet": packed(TEXTS[30 * n : 30 * n + 30]) for n in range(3)}
    corpus = parquet_text.Corpus("Some/corpus", "sample/1T", "{:03d}_00000.parquet", 3, 2e3, 1e4)
    monkeypatch.setitem(parquet_text.CORPORA, "corpus", corpus)
    with hub_server.serving() as server:
        about = "/api/datasets/Some/corpus"
        tree = [
            {
                "type": "file",
                "path": f"sample/1T/{name}",
                "size": len(data),
                "lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)},
            }
            for name, data in files.items()
        ]
        other = {"type": "file", "path": "sample/1T/README.md", "size": 3}
        server.put(f"{about}/revision/main", json.dumps({"sha": hub_server.COMMIT}).encode())
        server.put(
            f"{about}/tree/{hub_server.COMMIT}/sample/1T", json.dumps([*tree, other]).encode()
        )
        for name, data in files.items():
            server.put(f"/datasets/Some/corpus/resolve/{hub_server.COMMIT}/sample/1T/{name}", data)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def test_fetched_from_the_hub_what_is_not_there(tmp_path: Path, hub: hub_server.Hub) -> None:
    (tmp_path / "corpus").mkdir()
    first = packed(TEXTS[:30])
    (tmp_path / "corpus" / "000_00000.parquet").write_bytes(first)
    for part in (1, 0):
        scatter.prepare_part(spec("corpus"), tmp_path, index_in(tmp_path), part)
    scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))
    data = PreparedText.open(index_in(tmp_path))
    assert sorted(documents(data, "train") + documents(data, "validation")) == sorted(TEXTS)
    assert len([path for verb, path in hub.requests if "/api/" in path]) == 2
    assert len(hub.sent()) == 2
    listing = json.loads((tmp_path / "corpus" / "listing.json").read_text())
    assert listing["commit"] == hub_server.COMMIT
    assert set(listing["files"]) == {f"{n:03d}_00000.parquet" for n in range(3)}
    hub.requests.clear()
    for path in (tmp_path / "corpus").glob("*.parquet"):
        path.unlink()
    scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))
    assert hub.requests == []


def test_only_the_files_asked_for_are_fetched(tmp_path: Path, hub: hub_server.Hub) -> None:
    scatter.prepare_all(spec("corpus", files=1), tmp_path, index_in(tmp_path))
    assert len(hub.sent()) == 1
    with pytest.raises(SpecError, match="files=4: 1 to 3"):
        parquet_text.Options(dataset="corpus", files=4)


def test_files_that_a_person_put_there_need_no_network(
    tmp_path: Path, hub: hub_server.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "corpus"
    write(folder, **{f"{n:03d}_00000": packed(TEXTS[30 * n : 30 * n + 30]) for n in range(3)})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))
    assert sum(s.documents for s in PreparedText.open(index_in(tmp_path)).splits.values()) == 90
    (folder / "001_00000.parquet").unlink()
    (index_in(tmp_path).parent / "parts" / "00001.json").unlink()
    with pytest.raises(DataError, match=r"is there a network\? Or get the files of sample/1T at"):
        scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))


def test_what_the_hub_does_not_have_is_named(tmp_path: Path, hub: hub_server.Hub) -> None:
    about = f"/api/datasets/Some/corpus/tree/{hub_server.COMMIT}/sample/1T"
    hub.files[about] = json.dumps(json.loads(hub.files[about])[1:]).encode()
    with pytest.raises(DataError, match=r"the hub has no 000_00000\.parquet in sample/1T"):
        scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))
    (tmp_path / "corpus" / "listing.json").unlink()
    hub.files[about] = b'[{"path": "a.parquet"}]'
    with pytest.raises(DataError, match="an answer of an unknown form"):
        scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))
    del hub.files[about]
    with pytest.raises(DataError, match=r"404 Not Found: get the files of sample/1T"):
        scatter.prepare_all(spec("corpus"), tmp_path, index_in(tmp_path))


def test_wrong_files_are_told_with_what_is_wrong(tmp_path: Path) -> None:
    whole = packed(TEXTS[:20])
    not_utf8 = pyarrow.StringArray.from_buffers(
        1, pyarrow.py_buffer(np.array([0, 3], "<i4").tobytes()), pyarrow.py_buffer(b"ab\xff")
    )
    folder = write(
        tmp_path / "mine",
        a=packed(TEXTS, column="content"),
        b=packed([b"x"], kind=pyarrow.binary()),
        c=packed(["x", None, "", " "], group=2),
        d=whole[:-30],
        e=whole[: len(whole) // 2] + b"#" * 50 + whole[len(whole) // 2 + 50 :],
        f=packed([not_utf8[0]]),
        g=whole,
    )
    with pytest.raises(DataError, match="6 faults in 1 of 1 parts") as caught:
        scatter.prepare_all(spec("mine", shards=1), tmp_path, index_in(tmp_path))
    text = str(caught.value)
    assert f"{folder / 'a.parquet'}: no column `text`; there are: content (string), id" in text
    assert f"{folder / 'b.parquet'}: column `text` is of binary, not of strings" in text
    assert f"{folder / 'c.parquet'}: row 1: null in column `text`" in text
    for name in ("d", "e"):
        assert f"{folder / name}.parquet: row" in text
    assert text.count("a damaged file") == 2
    assert f"{folder / 'f.parquet'}: row 0: byte 2 is not UTF-8" in text
    assert "g.parquet" not in text


def test_what_is_absent_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine: no Parquet files .* or choose one of fineweb_edu"):
        scatter.prepare_all(spec("mine"), tmp_path, index_in(tmp_path))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Arrow's own, in a process of its own, over a file of few and one of many row groups."""
    code = (
        "import sys, pyarrow; from pathlib import Path; from toporepro.data import parquet_text;"
        "options = parquet_text.Options(dataset='mine', shards=1);"
        "raw = parquet_text.open_raw(options, Path(sys.argv[1]) / 'parquet_text');"
        "read = sum(len(d.pieces[0]) for d in raw.read(sys.argv[2]));"
        "print(read, pyarrow.default_memory_pool().max_memory())"
    )
    text = "some words that are not the same as other words, and some that are " * 30
    write(
        tmp_path / "mine",
        few=packed([f"{n} {text}" for n in range(500)], group=500),
        many=packed([f"{n} {text}" for n in range(5000)], group=500),
    )
    found = []
    for name in ("few", "many"):
        answer = subprocess.check_output(
            [sys.executable, "-c", code, str(tmp_path), f"{name}.parquet"], text=True
        )
        found.append([int(value) for value in answer.split()])
    assert found[1][0] > 9 * found[0][0]
    assert found[1][1] < 1.5 * found[0][1]


def test_known_corpora() -> None:
    for name, corpus in parquet_text.CORPORA.items():
        options = parquet_text.Options(dataset=name)
        extent = parquet_text.extent(options)
        assert parquet_text.prepared_bytes(options) == 2 * sum(extent.splits.values())
        assert 4e9 < sum(extent.splits.values()) < 1.1e10
        assert corpus.names.format(corpus.files - 1).endswith(".parquet")
        # Text has some 4 to 5 bytes a token and is packed to half of that or so.
        assert 1.8 < corpus.raw / corpus.tokens < 3.2
    assert parquet_text.extent(parquet_text.Options(dataset="mine")).by_hand


@pytest.mark.parametrize(
    "wrong", [{"dataset": "../x"}, {"files": 0}, {"files": 15}, {"vocabulary": 9}, {"shards": 0}]
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        parquet_text.Options(**wrong)
