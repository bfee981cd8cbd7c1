"""Sentence-level fMRI as a table: every form of it gives the same, and what is wrong is said."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toporepro.data import sentence_fmri
from toporepro.data.brain_responses import Participant, participants
from toporepro.data.index import DataError
from toporepro.data.prepare import prepare
from toporepro.data.sentence_store import PreparedSentences
from toporepro.spec import DataSpec, SpecError

SENTENCES = [f"The {noun} {verb}." for noun in ("dog", 'cat, "old"', "tree") for verb in
             ("ran", "slept", "fell", "sang")]  # fmt: skip
VOXELS = {"IFG": ("a", "b"), "AntTemp": ("a",)}
Rows = list[dict[str, Any]]


def response(name: str, region: str, voxel: str, sentence: str, repeat: int) -> float:
    generator = np.random.default_rng([ord(c) for c in name + region + voxel + sentence])
    return float(generator.normal() + 0.5 * np.random.default_rng(
        [repeat, *(ord(c) for c in name + region + voxel + sentence)]).normal())  # fmt: skip


def rows(**extra: Any) -> Rows:
    """Two participants, the second of whom read one sentence less; everything twice."""
    return [
        {"stimulus": sentence, "participant": name, "roi": region, "voxel": voxel,
         "response": response(name, region, voxel, sentence, repeat), **extra}
        for repeat in range(2)
        for name in ("p1", "p2")
        for sentence in (SENTENCES if name == "p1" else SENTENCES[1:])
        for region, voxels in VOXELS.items()
        for voxel in voxels
    ]  # fmt: skip


def write(folder: Path, content: Rows, name: str = "responses.csv") -> Path:
    raw = folder / "sentence_fmri"
    raw.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(content), raw / name)
        return raw
    with (raw / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(content[0]), delimiter="\t" if ".tsv" in name else ",")
        writer.writeheader()
        writer.writerows(content)
    return raw


def prepared(folder: Path, content: Rows, name: str = "responses.csv") -> PreparedSentences:
    raw = write(folder, content, name)
    sentence_fmri.prepare(sentence_fmri.Options(), raw, folder / "out")
    return PreparedSentences.open(folder / "out" / "dataset.json")


def of(data: PreparedSentences) -> dict[str, Participant]:
    return {one.name: one for one in participants(data.index, data.extra)}


def test_responses_are_means_over_repeats(tmp_path: Path) -> None:
    data = prepared(tmp_path, rows())
    people = of(data)
    assert set(people) == {"p1", "p2"}
    assert sorted(data.split("train") + data.split("test")) == sorted(SENTENCES)
    assert len(data.split("test")) == 2  # a fifth of twelve
    for name, one in people.items():
        assert {region: len(voxels) for region, voxels in one.members.items()} == {
            "IFG": 2, "AntTemp": 1,
        }  # fmt: skip
        for split, seen in (("train", one.train), ("test", one.test)):
            sentences = [data.split(split)[row] for row in seen.rows]
            assert (seen.repeats == 2).all()
            values = seen.responses(one.members["IFG"])
            expected = [
                [np.mean([response(name, "IFG", voxel, s, r) for r in range(2)]) for voxel in "ab"]
                for s in sentences
            ]
            assert values == pytest.approx(np.array(expected), abs=1e-6)
        assert np.isnan(one.places).all()
    assert SENTENCES[0] not in [
        data.split(split)[row]
        for split, seen in (("train", people["p2"].train), ("test", people["p2"].test))
        for row in seen.rows
    ]


def test_repeats_tell_the_noise(tmp_path: Path) -> None:
    """Against the variances by hand: of all readings, and of a sentence's."""
    one = of(prepared(tmp_path, rows()))["p1"]
    values = np.array([[response("p1", "IFG", "a", s, r) for r in range(2)] for s in SENTENCES])
    noise = values.var(axis=1, ddof=1).mean()
    expected = np.sqrt(max(0.0, values.var() - noise) / noise)
    assert expected > 0.3
    assert one.ncsnr[one.members["IFG"][0]] == pytest.approx(expected)


def test_without_repeats_there_is_no_ceiling_unless_given(tmp_path: Path) -> None:
    once = [row for place, row in enumerate(rows()) if place < len(rows()) // 2]
    assert np.isnan(of(prepared(tmp_path, once))["p1"].ncsnr).all()
    given = [{**row, "ncsnr": 0.7 + 0.1 * (row["voxel"] == "b")} for row in once]
    one = of(prepared(tmp_path / "given", given))["p1"]
    assert one.ncsnr[one.members["IFG"]] == pytest.approx([0.7, 0.8])


@pytest.mark.parametrize("name", ["responses.tsv", "responses.parquet"])
def test_other_forms_and_orders_give_the_same(tmp_path: Path, name: str) -> None:
    plain = prepared(tmp_path / "csv", rows())
    shuffled = [rows()[place] for place in np.random.default_rng(0).permutation(len(rows()))]
    other = prepared(tmp_path / "other", shuffled, name)
    assert other.split("train") == plain.split("train")
    for one in ("p1", "p2"):
        mine, theirs = of(plain)[one].train, of(other)[one].train
        every = np.arange(3)
        assert theirs.responses(every) == pytest.approx(mine.responses(every), abs=1e-6)


def test_the_table_may_say_what_is_held_out_and_have_whole_regions(tmp_path: Path) -> None:
    content = [
        {key: value for key, value in row.items() if key != "voxel"}
        | {"split": "test" if row["stimulus"] in SENTENCES[3:6] else "train"}
        for row in rows()
        if row["voxel"] == "a"
    ]
    data = prepared(tmp_path, content)
    assert sorted(data.split("test")) == sorted(SENTENCES[3:6])
    assert {region: len(v) for region, v in of(data)["p1"].members.items()} == {
        "IFG": 1, "AntTemp": 1,
    }  # fmt: skip


def test_prepared_by_the_verb(tmp_path: Path) -> None:
    write(tmp_path, rows())
    index = tmp_path / "prepared" / "dataset.json"
    prepare(DataSpec(source="sentence_fmri"), tmp_path, index)
    data = PreparedSentences.open(index)
    data.verify()
    assert set(of(data)) == {"p1", "p2"}


def edited(**changes: Any) -> Callable[[Rows], Rows]:
    return lambda content: [{**content[0], **changes}, *content[1:]]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda c: [{k: v for k, v in r.items() if k != "roi"} for r in c], "no column roi"),
        (lambda c: [{**r, "voxle": 1} for r in c], "unknown column 'voxle'; did you mean voxel"),
        (edited(response="high"), "not a table that can be read"),
        (edited(response="nan"), r"no response of p1 to 'The dog ran.'; leave the row out"),
        (edited(stimulus=" "), "a row without a stimulus"),
        (edited(participant="p.1"), "participant 'p.1'; letters, digits"),
        (edited(roi="I.F.G"), "roi 'I.F.G'; a name without a dot"),
        (lambda c: [{**r, "split": "train"} for r in c], "`train` and `test` are needed"),
        (lambda c: [{**r, "split": ("train", "test")[i % 2]} for i, r in enumerate(c)],
         "is in two splits"),
        (lambda c: [r for r in c if not (r["participant"] == "p2" and r["voxel"] == "b"
                                         and r["stimulus"] == SENTENCES[4])],
         "p2 has responses of some voxels and not of others to 'The cat, \"old\" ran.'"),
        (lambda c: [r for r in c if r["stimulus"] in SENTENCES[:2]], "2 sentences are too few"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, spoil: Callable[[Rows], Rows], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        prepared(tmp_path, spoil(rows()))
    assert "responses.csv" in str(caught.value)


def test_no_table_and_two_tables(tmp_path: Path) -> None:
    options = sentence_fmri.Options()
    assert "responses.csv not found" in str(sentence_fmri.missing(options, tmp_path))
    with pytest.raises(DataError, match=r"one table of responses is needed .*, none is there"):
        sentence_fmri.local_files(options, tmp_path)
    raw = write(tmp_path, rows())
    assert sentence_fmri.missing(options, raw) is None
    write(tmp_path, rows(), "responses.tsv")
    with pytest.raises(DataError, match=r"responses.csv, responses.tsv is there"):
        sentence_fmri.local_files(options, raw)
    with pytest.raises(SpecError, match="between 0 and 1"):
        sentence_fmri.Options(held_out=1)
