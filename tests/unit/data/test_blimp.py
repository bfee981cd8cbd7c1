"""BLiMP from small archives in its form, and the real one."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from toporepro.data import blimp
from toporepro.data.index import INDEX, DataError, FileRecord
from toporepro.data.pairs import Pair, PreparedPairs
from toporepro.data.prepare import prepare
from toporepro.spec import DataSpec, SpecError

REAL = Path(__file__).parents[3] / "../shared/data/blimp/blimp_full_data.tar.xz"


def line(paradigm: str, number: int) -> str:
    entry = {
        "sentence_good": f"Some {paradigm} {number} is.",
        "sentence_bad": f"Some {paradigm} {number} are.",
        "field": "syntax",
        "linguistics_term": "agreement",
        "UID": paradigm,
        "simple_LM_method": True,
        "pairID": str(number),
    }
    return json.dumps(entry) + "\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Three paradigms of two pairs, as if that were all."""
    files = {
        name: "".join(line(name, n) for n in range(2)).encode() for name in ("beta", "alpha", "mu")
    }
    known = {
        name: FileRecord(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in files.items()
    }
    monkeypatch.setattr(blimp, "PAIRS_EACH", 2)
    monkeypatch.setattr(blimp, "originals", lambda: known)
    return files


def archive(folder: Path, files: dict[str, bytes], suffix: str = ".tar.xz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"blimp-master{suffix}"
    named = {f"blimp-master/data/{name}.jsonl": data for name, data in files.items()}
    named["blimp-master/README.md"] = b"About"
    named["blimp-master/raw_results/other.jsonl"] = b"not ours"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, data in named.items():
                zipped.writestr(name, data)
        return path
    with tarfile.open(path, f"w:{suffix.rpartition('.')[2]}") as tar:  # type: ignore[call-overload]
        for name, data in named.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def spec(form: str) -> DataSpec:
    return DataSpec(source="blimp", options={"form": form, "pairs": None})


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.gz", ".zip"])
def test_from_an_archive(tmp_path: Path, small: dict[str, bytes], suffix: str) -> None:
    archive(tmp_path / "blimp", small, suffix)
    index = tmp_path / "prepared" / "blimp-1" / INDEX
    prepare(spec("archive"), tmp_path, index)
    pairs = PreparedPairs.open(index).pairs()
    assert [pair.paradigm for pair in pairs] == ["alpha"] * 2 + ["beta"] * 2 + ["mu"] * 2
    assert pairs[3] == Pair("Some beta 1 is.", "Some beta 1 are.", "beta", "syntax", "agreement")


def test_from_files_put_there_by_hand(tmp_path: Path, small: dict[str, bytes]) -> None:
    (tmp_path / "blimp").mkdir()
    for name, data in small.items():
        (tmp_path / "blimp" / f"{name}.jsonl").write_bytes(data)
    index = tmp_path / "prepared" / "blimp-1" / INDEX
    prepare(spec("files"), tmp_path, index)
    assert len(PreparedPairs.open(index).pairs()) == 6


def test_fewer_pairs(tmp_path: Path, small: dict[str, bytes]) -> None:
    archive(tmp_path, small)
    blimp.prepare(blimp.Options(form="archive", pairs=1), tmp_path, tmp_path / "out")
    assert len(PreparedPairs.open(tmp_path / "out" / INDEX).pairs()) == 3
    with pytest.raises(SpecError, match="pairs=3: 1 to 2"):
        blimp.Options(pairs=3)


def test_what_is_not_blimp_is_named(tmp_path: Path, small: dict[str, bytes]) -> None:
    options = blimp.Options(form="archive")
    with pytest.raises(DataError, match="one archive is expected, found: none"):
        blimp.local_files(options, tmp_path)
    archive(tmp_path, {name: data for name, data in small.items() if name != "mu"})
    with pytest.raises(DataError, match="1 of 67 paradigms are missing: mu"):
        blimp.prepare(options, tmp_path, tmp_path / "out")
    archive(tmp_path, {**small, "mu": small["mu"] + small["mu"]})
    with pytest.raises(DataError, match=r"mu\.jsonl: 4 pairs of \['mu'\]; 2 of mu were expected"):
        blimp.prepare(options, tmp_path, tmp_path / "out")
    archive(tmp_path, {**small, "mu": small["beta"]})
    with pytest.raises(DataError, match=r"mu\.jsonl: 2 pairs of \['beta', 'mu'\]"):
        blimp.prepare(options, tmp_path, tmp_path / "out")
    archive(tmp_path, {**small, "mu": small["mu"].replace(b'"UID"', b'"UDI"', 2)})
    with pytest.raises(DataError, match=r"mu\.jsonl, line 1: not a minimal pair: no UID"):
        blimp.prepare(options, tmp_path, tmp_path / "out")
    archive(tmp_path, small, ".zip")
    with pytest.raises(DataError, match=r"found: blimp-master\.tar\.xz, blimp-master\.zip"):
        blimp.local_files(options, tmp_path)


def test_the_originals_are_pinned() -> None:
    files = blimp.raw_files(blimp.Options())
    assert len(files) == blimp.PARADIGMS == 67
    assert sum(file.bytes for file in files) == 29_576_684
    assert all(len(file.urls) == 2 and file.sha256 for file in files)


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data's BLiMP")
def test_the_real_archive(tmp_path: Path) -> None:
    (tmp_path / REAL.name).symlink_to(REAL.resolve())
    blimp.prepare(blimp.Options(form="archive"), tmp_path, tmp_path / "out")
    prepared = PreparedPairs.open(tmp_path / "out" / INDEX)
    pairs = prepared.pairs()
    assert len(pairs) == 67_000
    assert len({pair.paradigm for pair in pairs}) == 67
    assert len({pair.phenomenon for pair in pairs}) == 13
    assert sum(prepared.extra["pairs_of_one_sentence_twice"].values()) == 7
    size = sum(record.bytes for record in prepared.files.values())
    assert size == pytest.approx(blimp.prepared_bytes(blimp.Options()), rel=0.1)
    members = dict(blimp._members(REAL))
    for name, known in blimp.originals().items():
        assert hashlib.sha256(members[name]).hexdigest() == known.sha256
