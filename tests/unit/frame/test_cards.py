"""One job at a time on each card; the cards are pretended, the locks are real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from toporepro import cards as module
from toporepro.cards import SCHEDULERS, cards, claim

JOB = """
import os, sys, time
from pathlib import Path
from toporepro.cards import claim
log, locks, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with claim(count, locks):
    mine = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    with log.open("a") as file:
        file.write("".join(f"+{card}\\n" for card in mine))
    time.sleep(0.2)
    with log.open("a") as file:
        file.write("".join(f"-{card}\\n" for card in mine))
"""


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SCHEDULERS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def test_cards_are_the_devices_there_are_or_those_that_the_environment_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(module, "DEVICES", tmp_path)
    assert cards() == ("0", "2", "10")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-8f0c")
    assert cards() == ("2", "GPU-8f0c")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cards() == ()


def test_jobs_never_share_a_card_and_use_them_all(tmp_path: Path) -> None:
    log, environment = tmp_path / "log", os.environ | {"CUDA_VISIBLE_DEVICES": "4,5,7"}
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", JOB, str(log), str(tmp_path), str(count)], env=environment
        )
        for count in (1, 1, 2, 1, 3, 1)
    ]
    assert [job.wait(60) for job in jobs] == [0] * len(jobs)
    held: Counter[str] = Counter()
    used = set()
    for line in log.read_text().split():
        held[line[1:]] += 1 if line[0] == "+" else -1
        assert held[line[1:]] in (0, 1), "two jobs on one card"
        used.add(line[1:])
    assert used == {"4", "5", "7"}
    assert not any(held.values())


def test_a_card_outlives_no_holder_however_it_ends_and_passes_to_what_it_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    becomes = (
        "import os, sys; from pathlib import Path; from toporepro.cards import claim\n"
        "with claim(1, Path(sys.argv[1])): os.execvp('sleep', ['sleep', '60'])"
    )
    holder = subprocess.Popen([sys.executable, "-c", becomes, str(tmp_path)])
    comm = Path(f"/proc/{holder.pid}/comm")
    while comm.read_text().strip() != "sleep":
        assert holder.poll() is None
    pauses: list[float] = []

    def then_kill(seconds: float) -> None:
        pauses.append(seconds)
        holder.kill()
        holder.wait()

    monkeypatch.setattr(module.time, "sleep", then_kill)
    with claim(1, tmp_path):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert pauses == [2.0]


def test_more_cards_than_there_are_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    message = r"3 GPUs are needed, 2 are here \(0, 1\)"
    with pytest.raises(RuntimeError, match=message), claim(3, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_clusters_scheduler_has_given_out_the_cards(
    scheduler: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(scheduler, "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with claim(1, tmp_path), claim(1, tmp_path):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_without_cards_nothing_is_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "DEVICES", tmp_path)
    with claim(1, tmp_path):
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with claim(1, tmp_path):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
