"""The tidy tables: order, refusal of what cannot be right, and that nothing is altered."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import synthetic

from toporepro.report import tables
from toporepro.report.tables import TableError


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    families = {
        "mlp": synthetic.family("MLP", "mlp", "digits", ["10", "0", "0.5", "3"], [1, 0]),
        "conv": synthetic.family("Conv", "resnet18", "image_world", ["5"], [10, 9]),
    }
    return synthetic.write(tmp_path / "results", families)


def test_order_is_by_number_and_independent_of_the_call(
    folders: list[Path], tmp_path: Path
) -> None:
    random.Random(1).shuffle(folders)
    tables.collect(folders, tmp_path / "one")
    tables.collect(sorted(folders), tmp_path / "two")
    for name in ("measures.csv", "history.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    frame = tables.read_measures(tmp_path / "one" / "measures.csv")
    models = list(dict.fromkeys(zip(frame.family, frame.tau, frame.seed, strict=True)))
    assert models == [
        ("conv", "5", 9), ("conv", "5", 10),
        ("mlp", "0", 0), ("mlp", "0", 1), ("mlp", "0.5", 0), ("mlp", "0.5", 1),
        ("mlp", "3", 0), ("mlp", "3", 1), ("mlp", "10", 0), ("mlp", "10", 1),
    ]  # fmt: skip
    one = frame[(frame.family == "conv") & (frame.seed == 9) & (frame.step == 12)]
    assert list(dict.fromkeys(one.layer)) == ["", "layer2.0", "layer10.0", "mean"]


def test_every_row_arrives_unaltered(folders: list[Path], tmp_path: Path) -> None:
    tables.collect(folders, tmp_path / "out")
    given = {
        line
        for folder in folders
        for line in (folder / "measures.csv").read_text().splitlines()[1:]
    }
    collected = (tmp_path / "out" / "measures.csv").read_text().splitlines()
    assert set(collected[1:]) == given
    assert len(collected) == len(given) + 1


def test_history_keeps_both_taus(folders: list[Path], tmp_path: Path) -> None:
    tables.collect(folders, tmp_path / "out")
    frame = tables.read_history(tmp_path / "out" / "history.csv")
    assert list(frame.columns[:6]) == ["preset", "family", "tau", "seed", "step", "epoch"]
    assert "scheduled_tau" in frame
    assert frame.test_accuracy.isna().sum() == len(frame) * 196 // 200


def test_a_manifest_names_the_inputs(folders: list[Path], tmp_path: Path) -> None:
    tables.collect(folders, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "measures.manifest.json").read_text())
    assert len(content["inputs"]) == 2 * len(folders)
    assert set(content["outputs"]) == {
        "measures.csv",
        "curves.csv",
        "history.csv",
        "missing.csv",
    }


def test_a_network_that_was_not_trained_here_has_an_empty_history(
    folders: list[Path], tmp_path: Path
) -> None:
    for folder in folders:
        (folder / "history.csv").write_text(",".join(synthetic.HISTORY) + "\n")
    tables.collect(folders, tmp_path / "out")
    assert len(tables.read_history(tmp_path / "out" / "history.csv")) == 0


def test_what_is_missing_is_listed_with_its_reason(folders: list[Path], tmp_path: Path) -> None:
    path = folders[0] / "measures.csv"
    (head, first, *_) = path.read_text().splitlines()
    identity = first.split(",")[:5]
    network = "{1} τ={2} seed={3}".format(*identity)
    rows = [
        [*identity, "", "0", "test", "accuracy", "nan"],
        [*identity, "fc1", "0", "test", "smoothness", "nan"],
        [*identity, "mean", "0", "test", "smoothness", "0.5"],
        [*identity, "", "0", "test", "images", "40"],
    ]
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")
    tables.collect(folders, tmp_path / "out", {"τ = 7": "never published"})
    assert (tmp_path / "out" / "missing.csv").read_text().splitlines() == [
        "what,why",
        "τ = 7,never published",
        f'"accuracy of {network}, step {identity[4]} on test",not defined for what was shown',
        f"the rest of test for {network},40 images were shown of it",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row[:-1], "9 fields, not 10"),
        (lambda row: [*row[:2], "5.0", *row[3:]], "written '5' everywhere"),
        (lambda row: [*row[:2], "many", *row[3:]], "tau='many'"),
        (lambda row: [*row[:3], "-1", *row[4:]], "seed='-1'"),
        (lambda row: [*row[:4], "1.5", *row[5:]], "step='1.5'"),
        (lambda row: [*row[:6], "1.5", *row[7:]], "sparsity='1.5'"),
        (lambda row: [*row[:8], "", row[9]], "metric is empty"),
        (lambda row: [*row[:9], "high"], "value='high'"),
        (lambda row: [*row[:9], "inf"], "value='inf'"),
        (lambda row: [row[0], "other", *row[2:]], "another model"),
    ],
)
def test_a_malformed_row_is_named(folders: list[Path], tmp_path: Path, change, says) -> None:  # type: ignore[no-untyped-def]
    path = folders[0] / "measures.csv"
    lines = path.read_text().splitlines()
    lines[4] = ",".join(change(lines[4].split(",")))
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(TableError, match=r"measures\.csv, line 5: ") as caught:
        tables.collect(folders, tmp_path / "out")
    assert says in str(caught.value)
    assert not (tmp_path / "out" / "measures.csv").exists()


def test_a_repeated_row_names_both_lines(folders: list[Path], tmp_path: Path) -> None:
    path = folders[0] / "measures.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[3].rsplit(",", 1)[0] + ",0.5"]) + "\n")
    with pytest.raises(TableError, match=rf"line {len(lines) + 1}: repeats line 4"):
        tables.collect(folders, tmp_path / "out")


def test_the_same_model_twice(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TableError, match="the same model as"):
        tables.collect([*folders, folders[0]], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("measures.csv", "", "line 1: the header"),
        ("measures.csv", ",".join(synthetic.MEASURES) + "\n", "no rows"),
        ("history.csv", "a,b\n", "line 1: the header"),
        ("history.csv", ",".join(synthetic.HISTORY) + "\n1,x,0,0,0,0,0,0,0\n", "line 2: epoch='x'"),
        ("history.csv", ",".join(synthetic.HISTORY) + "\n-,1,0,0,0,0,0,0,0\n", "line 2: step='-'"),
        ("history.csv", ",".join(synthetic.HISTORY) + "\n" + "1,,,,,,,,\n" * 2, "repeats line 2"),
    ],
)
def test_broken_files(folders: list[Path], tmp_path: Path, name: str, text: str, says: str) -> None:
    (folders[0] / name).write_text(text)
    with pytest.raises(TableError) as caught:
        tables.collect(folders, tmp_path / "out")
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_files_that_are_missing_or_no_text(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "history.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match="not a table"):
        tables.collect(folders, tmp_path / "out")
    (folders[0] / "history.csv").unlink()
    with pytest.raises(TableError, match="No such file"):
        tables.collect(folders, tmp_path / "out")


def test_an_undefined_value_is_kept(folders: list[Path], tmp_path: Path) -> None:
    path = folders[0] / "measures.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ",nan"
    path.write_text("\n".join(lines) + "\n")
    tables.collect(folders, tmp_path / "out")
    assert tables.read_measures(tmp_path / "out" / "measures.csv").value.isna().sum() == 1


def test_reading_what_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        tables.read_measures(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match="needed"):
        tables.read_measures(tmp_path / "other.csv")
