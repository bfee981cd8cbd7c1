"""Resume states on disk: damaged ones are noticed, the last two are kept."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toporepro.provenance import sha256
from toporepro.train import state as state_module
from toporepro.train.errors import TrainError, writing
from toporepro.train.state import Ledger, SaveClock, StateFolder, read_state, remove_partial


@pytest.fixture
def states(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "train", "key")
    folder.prepare()
    return folder


def content(step: int, **snapshots: str) -> dict[str, Any]:
    weights = {"w": torch.arange(5.0) + step}
    return {
        "step": step,
        "network": weights,
        "snapshots": {int(k[1:]): v for k, v in snapshots.items()},
    }


def test_what_was_saved_comes_back(states: StateFolder) -> None:
    assert states.newest() is None
    states.save(3, content(3))
    newest = states.newest()
    assert newest is not None
    found = read_state(newest)
    assert found["step"] == 3
    assert torch.equal(found["network"]["w"], torch.arange(5.0) + 3)


def test_the_last_two_are_kept(states: StateFolder) -> None:
    for step in (9, 10, 100):
        states.save(step, content(step))
    assert [read_state(path)["step"] for path in states.states()] == [100, 10]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "header"])
def test_a_damaged_state_gives_way_to_an_older_one(
    states: StateFolder, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2):
        states.save(step, content(step))
    path = states.states()[0]
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
    elif damage == "empty":
        data.clear()
    else:
        data[0] ^= 1
    path.write_bytes(data)
    newest = states.newest()
    assert newest is not None
    assert read_state(newest)["step"] == 1
    assert "damaged (its checksum does not hold); an older state" in capsys.readouterr().err
    newest.write_bytes(b"")
    assert states.newest() is None


def test_a_state_counts_on_its_snapshots(states: StateFolder) -> None:
    states.snapshot(0).write_bytes(b"weights")
    digest = sha256(states.snapshot(0))
    states.save(1, content(1))
    states.save(2, content(2, s0=digest))
    assert read_state(states.newest() or Path())["step"] == 2
    states.snapshot(0).write_bytes(b"weighty")
    assert read_state(states.newest() or Path())["step"] == 1


def test_half_written_files_are_swept_away(states: StateFolder) -> None:
    (states.folder / ".step-0000000001.99.partial.state").touch()
    (states.folder / "kept").touch()
    states.prepare()
    assert [path.name for path in states.folder.iterdir()] == ["kept"]
    (states.folder / ".weights.1.partial.safetensors").touch()
    (states.folder / ".other.1.partial.csv").touch()
    remove_partial(states.folder, "weights")
    assert {path.name for path in states.folder.iterdir()} == {"kept", ".other.1.partial.csv"}


def test_other_trainings_states_go_when_one_has_finished(states: StateFolder) -> None:
    other = StateFolder(states.folder.parent, "other")
    other.prepare()
    states.save(1, content(1))
    states.remove_others()
    assert not other.folder.exists()
    assert states.newest() is not None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"\(No space left on device\): free some space and start again"),
        (errno.EROFS, r"\(Read-only file system\): choose a folder that can be written to"),
        (errno.EIO, r"\(Input/output error\): see to the disk"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(
    states: StateFolder, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    states.save(1, content(1))
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(TrainError, match=words) as caught:
        states.save(2, content(2))
    assert "\n" not in str(caught.value)
    assert [path.name for path in states.folder.iterdir()] == ["step-0000000001.state"]


def test_a_place_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match=r"file.*cannot be written \(Not a directory\)"):
        StateFolder(tmp_path / "file", "key").prepare()


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError


def test_the_clock_keeps_saving_under_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(state_module.time, "monotonic", lambda: now[0])
    clock = SaveClock(10)
    now[0] = 9.9
    assert not clock.due()
    now[0] = 10.0
    assert clock.due()
    clock.saved(3.0)
    now[0] = 69.9
    assert not clock.due()
    now[0] = 70.0
    assert clock.due()
    clock.saved(0.1)
    now[0] = 80.0
    assert clock.due()


def meter(kwh: float | None) -> Any:
    return SimpleNamespace(kwh=lambda: kwh, source="a meter")


def test_the_ledger_sums_over_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(state_module.time, "monotonic", lambda: now[0])
    path = tmp_path / "attempts.json"
    first = Ledger(path)
    assert (first.attempts, first.seconds) == (0, 0)
    first.note()
    assert not path.exists()
    first.begin(0, meter(1.5))
    now[0] = 5.0
    first.note()
    now[0] = 7.0  # killed before it is noted
    second = Ledger(path)
    second.begin(40, meter(2.0))
    now[0] = 9.0
    second.note()
    assert (second.attempts, second.seconds) == (2, 7.0)
    assert second.energy == {"energy_kwh": 3.5, "energy_source": "a meter"}
    assert [attempt["step"] for attempt in json.loads(path.read_text())["attempts"]] == [0, 40]
    third = Ledger(path)
    third.begin(80, meter(None))
    assert third.energy["energy_kwh"] is None
    path.write_text("{")
    assert Ledger(path).attempts == 0
    assert Ledger(path).energy["energy_kwh"] is None
