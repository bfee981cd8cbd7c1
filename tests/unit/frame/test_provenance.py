import hashlib
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro import provenance
from toporepro.code import code_hash
from toporepro.paths import Paths, link, manifest, prepared_name
from toporepro.spec import DataSpec


def test_atomic_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    provenance.write_text(path, "old")

    def fail() -> None:
        with provenance.atomic(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_manifest_says_what_made_its_outputs(tmp_path: Path) -> None:
    source, result = tmp_path / "in.txt", tmp_path / "out.csv"
    source.write_bytes(b"in")
    result.write_bytes(b"out")
    modules = ("toporepro.spec",)
    path = provenance.write_manifest(
        verb="train",
        spec={"seed": 3},
        modules=modules,
        inputs=[source],
        outputs=[result],
        seed=3,
        wall_seconds=7200,
        attempts=2,
        device="cuda:0",
        extra={"energy_joules": 5.0},
    )
    assert path == manifest(result) == tmp_path / "out.manifest.json"
    content = json.loads(path.read_text())
    assert content["inputs"] == {str(source): hashlib.sha256(b"in").hexdigest()}
    assert content["outputs"] == {"out.csv": hashlib.sha256(b"out").hexdigest()}
    assert content["code"] == code_hash(modules)
    assert (content["gpu_hours"], content["attempts"], content["seed"]) == (2.0, 2, 3)
    assert content["energy_joules"] == 5.0
    assert "numpy" in content["packages"]


def test_a_cpu_job_used_no_gpu_hours(tmp_path: Path) -> None:
    result = tmp_path / "out.csv"
    result.write_bytes(b"")
    path = provenance.write_manifest(
        verb="x", spec={}, modules=("toporepro.spec",), inputs=[], outputs=[result], wall_seconds=9
    )
    assert json.loads(path.read_text())["gpu_hours"] == 0


def test_prepared_data_are_named_by_their_spec() -> None:
    one, two = (DataSpec(source="digits", options={"seed": seed}) for seed in (0, 1))
    assert prepared_name(one) != prepared_name(two)
    assert prepared_name(one) == prepared_name(DataSpec(source="digits", options={"seed": 0}))
    assert prepared_name(one).startswith("digits-")


def test_paths_take_wildcards_as_well_as_values() -> None:
    paths = Paths("demo")
    pattern = str(paths.model("{family}", "{tau}", "{seed}").weights)
    assert pattern.format(family="mlp", tau="0.5", seed=1) == str(
        paths.model("mlp", "0.5", 1).weights
    )


def test_a_folder_on_another_disk_is_a_link(tmp_path: Path) -> None:
    folder, target = tmp_path / "repo" / "data", tmp_path / "disk"
    link(folder, target)
    (folder / "file").write_text("there")
    assert (target / "file").read_text() == "there"
    link(folder, target)
    with pytest.raises(FileExistsError, match="already there"):
        link(folder, tmp_path / "elsewhere")
    real = tmp_path / "real"
    real.mkdir()
    with pytest.raises(FileExistsError, match="move its content"):
        link(real, target)


def written(outputs: list[Path], inputs: tuple[Path, ...] | list[Path] = ()) -> Path:
    return provenance.write_manifest(
        verb="tables", spec={}, modules=(), inputs=inputs, outputs=outputs, wall_seconds=1
    )


def test_a_damaged_input_leaves_no_manifest(tmp_path: Path) -> None:
    made, other = tmp_path / "made.csv", tmp_path / "other" / "other.csv"
    made.write_text("0.813\n")
    written(outputs=[made])
    other.parent.mkdir()
    other.write_text("x")
    written(inputs=[made], outputs=[other])
    manifest(other).unlink()
    made.write_text("0.913\n")
    with pytest.raises(provenance.DamagedError, match=r"made\.csv: SHA-256 .* changed or damaged"):
        written(inputs=[made], outputs=[other])
    assert not manifest(other).exists()


def test_files_of_a_subfolder_are_held_against_the_manifest_above(tmp_path: Path) -> None:
    weights, snapshot = tmp_path / "weights.safetensors", tmp_path / "snapshots" / "00.safetensors"
    snapshot.parent.mkdir()
    for path in (weights, snapshot):
        path.write_bytes(b"weights")
    written(outputs=[weights, snapshot])
    assert provenance.intact(snapshot) == provenance.sha256(snapshot)
    snapshot.write_bytes(b"Weights")
    with pytest.raises(provenance.DamagedError, match=r"00\.safetensors"):
        provenance.intact(snapshot)


@settings(max_examples=200)
@given(place=st.integers(min_value=0), byte=st.integers(0, 255), data=st.data())
def test_no_byte_of_a_manifest_changes_unseen(place: int, byte: int, data: st.DataObject) -> None:
    content = {"b": "τ", "a": {"x": [1.5, None, 1e-300]}, "c": float("nan")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.manifest.json"
        provenance.write_sealed(path, content)
        assert str(provenance.read_sealed(path)) == str(dict(sorted(content.items())))
        whole = path.read_bytes()
        place %= len(whole)
        kept = data.draw(st.sampled_from([place, place + 1]))  # replaced or inserted
        changed = whole[:place] + bytes([byte]) + whole[kept:]
        for damaged in (whole[:place], changed):
            path.write_bytes(damaged)
            if damaged != whole:
                with pytest.raises(provenance.DamagedError, match=r"out\.manifest\.json"):
                    provenance.read_sealed(path)


def test_the_checksum_is_that_of_the_file_without_it(tmp_path: Path) -> None:
    provenance.write_sealed(tmp_path / "a.json", {"b": 1, "a": "ü"})
    content = json.loads((tmp_path / "a.json").read_text())
    expected = hashlib.sha256('{\n "a": "ü",\n "b": 1\n}\n'.encode()).hexdigest()
    assert content["checksum"] == expected


@pytest.mark.parametrize("text", ["[]", "null", "{}", "1", "[" * 100_000, "\xff"])
def test_other_json_is_no_manifest(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(provenance.DamagedError, match=r"a\.json"):
        provenance.read_sealed(tmp_path / "a.json")


def test_a_file_without_a_manifest_is_a_persons_own(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("1")
    assert provenance.intact(own) == provenance.sha256(own)


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = platform.node()
    left = {
        f".table.{here}-{ended.pid}.partial.csv": False,
        f".table.{here}-{os.getpid()}.partial.csv": True,
        f".tables.{here}-{ended.pid}.partial.csv": True,
        f".table.{here}-{ended.pid}.partial.png": True,
        ".table.elsewhere-1.partial.csv": True,
        ".table.elsewhere-2.partial.csv": False,
    }
    for name in left:
        (tmp_path / name).touch()
    os.utime(tmp_path / ".table.elsewhere-2.partial.csv", (time.time() - 7200,) * 2)
    with provenance.atomic(tmp_path / "table.csv") as temporary:
        temporary.write_text("new")
        assert {name for name in left if (tmp_path / name).exists()} == {
            name for name, stays in left.items() if stays
        }
