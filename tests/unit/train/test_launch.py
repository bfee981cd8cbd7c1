"""``--gpus N`` is ``torchrun``: the same training in several processes, stopped and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_data_parallel import largest_difference
from tiny_training import tiny_spec

from toporepro.paths import ModelPaths
from toporepro.spec import SpecError, TrainSpec, encode
from toporepro.train.launch import torchrun
from toporepro.train.run import train


def start(spec: TrainSpec, data: Path, out: ModelPaths) -> subprocess.Popen[str]:
    """``toporepro train --gpus 2`` in a session of its own, as a cluster's job is."""
    arguments = ["--spec", encode(spec), "--data", str(data), "--out", str(out.folder)]
    arguments += ["--log", str(out.folder / "log")]
    return subprocess.Popen(
        [sys.executable, "-m", "toporepro", "train", *arguments, "--gpus", "2"],
        env={name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_two_processes_by_the_command_line_equal_one_and_survive_a_signal_to_all(
    data: Path, out: ModelPaths, tmp_path: Path
) -> None:
    spec = tiny_spec(optimizer="sgd", lr=0.05, epochs=80, snapshots=2)
    train(spec, data, one := ModelPaths(tmp_path / "one"))
    process = start(spec, data, out)
    deadline = time.monotonic() + 60
    while not list(out.train_state.glob("*/attempts.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)  # SLURM signals every process of a job
    _, message = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "SIGTERM: saving the state after this step" in message
    (state,) = out.train_state.glob("*/*.state")
    assert 0 < int(state.stem.split("-")[1]) < 600
    assert not (out.train_state / "lease.json").exists()
    _, message = (process := start(spec, data, out)).communicate(timeout=120)
    assert process.returncode == 0, message
    assert "attempt 2" in message
    assert "attempt 2" in (out.folder / "log").read_text()
    assert largest_difference(one, out) < 1e-4
    manifest = json.loads((out.folder / "weights.manifest.json").read_text())
    assert (manifest["processes"], manifest["attempts"]) == (2, 2)


def test_over_nodes_they_meet_where_the_job_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12345678")
    command = torchrun(["train", "--gpus", "8"], 8, 2)
    assert command[:4] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]
    words = " ".join(command)
    assert "--nproc-per-node 4 --nnodes 2 --rdzv-id 12345678" in words
    assert f"--rdzv-endpoint {os.uname().nodename}:25678" in words
    assert words.endswith("-m -- toporepro train --gpus 8")


def test_what_cannot_be_launched_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(SpecError, match="inside a SLURM job"):
        torchrun(["train"], 8, 2)
    with pytest.raises(SpecError, match="multiple of nodes=2"):
        torchrun(["train"], 3, 2)
