"""Killed at any moment, a training ends with the bytes it would have had."""

import json
import math
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_training import digests, start, tiny_spec

from toporepro.paths import ModelPaths
from toporepro.spec import Averaging, Resolution, Schedule, TrainSpec
from toporepro.train import run, state
from toporepro.train.run import train

LONG = {"epochs": 250, "snapshots": 6, "flip": True, "shift": 1}


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"{words!r} was never printed")


def test_killed_at_three_random_moments(data: Path, out: ModelPaths, tmp_path: Path) -> None:
    spec = tiny_spec(**LONG)
    undisturbed = ModelPaths(tmp_path / "undisturbed")
    train(spec, data, undisturbed)
    moments = random.Random()
    for _ in range(3):
        process = start(spec, data, out, save_every=0.02)
        wait_for(process, "training mlp")
        while not list(out.train_state.glob("*/*.state")):
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not out.weights.exists()
    process = start(spec, data, out)
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    assert "attempt 4" in messages
    assert "took over from process" in messages
    assert "step 0 of" not in messages
    assert digests(out, 6) == digests(undisturbed, 6)
    manifest = json.loads((out.folder / "weights.manifest.json").read_text())
    assert manifest["attempts"] == 4
    assert manifest["wall_seconds"] > 0


class LostError(Exception):
    """Stands for a process that is gone between two steps."""


def lose_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(state, "_SHARE", math.inf)
    update = run.Training._update

    def lost(self: run.Training, passes: Any) -> tuple[float, float]:
        if self.step == step:
            raise LostError
        return update(self, passes)

    monkeypatch.setattr(run.Training, "_update", lost)


RESNET: dict[str, Any] = {
    "architecture": "resnet18",
    "model": {"width": 0.25},
    "optimizer": "sgd",
    "lr": 0.02,
    "weight_decay": 1e-4,
    "channels_last": True,
    "accumulate": 2,
    "lr_schedule": Schedule(kind="cosine", warmup_epochs=0.5, start=0.1),
}

EVERYTHING: dict[str, Any] = {
    "architecture": "resnet50",
    "model": {"width": 0.25},
    "flip": True,
    "auto_augment": "ra",
    "mixup": 0.2,
    "cutmix": 1.0,
    "repeats": 2,
    "resolution": (Resolution(pixels=12), Resolution(pixels=16, from_epoch=1.0)),
    "test_flip": True,
    "average": Averaging(decay=0.8, every=2, from_epoch=0.5),
}


@pytest.mark.parametrize(
    "spec",
    [
        tiny_spec(optimizer="adamw", weight_decay=0.1, clip=1.0, precision="bfloat16"),
        tiny_spec(control="topoloss_only"),
        tiny_spec(**RESNET),
        tiny_spec(**EVERYTHING),
    ],
    ids=["adamw", "topoloss_only", "resnet18", "everything"],
)
def test_lost_at_any_step(
    spec: TrainSpec,
    data: Path,
    coloured: Path,
    out: ModelPaths,
    tmp_path: Path,
) -> None:
    images = data if spec.architecture == "mlp" else coloured
    train(spec, images, undisturbed := ModelPaths(tmp_path / "undisturbed"))
    for step in (0, 1, 6):
        with pytest.MonkeyPatch.context() as patch:
            lose_at(patch, step)
            with pytest.raises(LostError):
                train(spec, images, out, save_every=0 if step < 6 else 60)
    train(spec, images, out)
    assert digests(out, 3) == digests(undisturbed, 3)


@pytest.mark.parametrize("damage", ["newest", "all", "snapshot"])
def test_damaged_states_cost_time_but_no_exactness(
    data: Path, out: ModelPaths, tmp_path: Path, damage: str
) -> None:
    spec = tiny_spec()
    train(spec, data, undisturbed := ModelPaths(tmp_path / "undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        lose_at(patch, 12)
        with pytest.raises(LostError):
            train(spec, data, out, save_every=0)
    states = sorted(out.train_state.glob("*/*.state"))
    assert [path.name for path in states] == ["step-0000000011.state", "step-0000000012.state"]
    if damage == "snapshot":
        next(out.train_state.glob("*/snapshot-01.safetensors")).write_bytes(b"")
    for path in {"newest": states[1:], "all": states, "snapshot": []}[damage]:
        content = bytearray(path.read_bytes())
        content[-100] ^= 4
        path.write_bytes(content)
    train(spec, data, out)
    assert digests(out, 3) == digests(undisturbed, 3)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_signals_save_first(
    data: Path,
    out: ModelPaths,
    tmp_path: Path,
    number: signal.Signals,
    error: type[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = tiny_spec()
    train(spec, data, undisturbed := ModelPaths(tmp_path / "undisturbed"))
    before = signal.getsignal(number)
    update = run.Training._update

    def interrupted(self: run.Training, passes: Any) -> tuple[float, float]:
        if self.step == 5:
            os.kill(os.getpid(), number)
        return update(self, passes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.Training, "_update", interrupted)
        with pytest.raises(error) as caught:
            train(spec, data, out, workers=1)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 143
    assert f"{number.name}: saving the state" in capsys.readouterr().err
    assert signal.getsignal(number) is before
    assert [path.name for path in out.train_state.glob("*/*.state")] == ["step-0000000006.state"]
    assert not (out.train_state / "lease.json").exists()
    train(spec, data, out)
    assert "step 6 of 22, attempt 2" in capsys.readouterr().err
    assert digests(out, 3) == digests(undisturbed, 3)
