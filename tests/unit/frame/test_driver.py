"""What is left of a run that was killed, and what is said of jobs that failed."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from toporepro import lease as lease_module
from toporepro.lease import process_start

ROOT = Path(__file__).parents[3]
# As Snakemake and its plugin for SLURM write them.
LOG = """host: node
Building DAG of jobs...
SLURM run ID: {run}
[Tue Nov 24 12:02:08 2026]
Job 12: Training mlp_greedy, τ = 3, seed 0
Reason: Missing output files: results/x/weights.safetensors
Job 12 has been submitted with SLURM jobid 11 (log: /r/.snakemake/slurm_logs/11.log).
"""
ERROR = """[Tue Nov 24 12:02:08 2026]
Error in rule {rule}:
    message: {message}
    jobid: {job}
    input: data/prepared/digits/dataset.json
    output: results/x/weights.safetensors
    log: {logs} (check log file(s) for error details)
    shell:
        toporepro train
        (command exited with non-zero exit code)
    external_jobid: 7
"""
LATE = """MissingOutputException in rule measure_model in file "/r/measure.smk", line 30:
Job 5  completed successfully, but some output files are missing. Missing files after 2 seconds:
results/x/measures.csv (missing locally, parent dir contents: weights.safetensors)
"""
PREPARED = """[Tue Nov 24 12:02:08 2026]
Job 3: Preparing digits-4bae3a4266
Reason: {reason}
"""
STATUS = "SLURM-job '7' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(ROOT / "workflow" / "ops")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake" / "log").mkdir(parents=True)
    return importlib.import_module("driver")


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A queue of jobs, a line each (``run number``), behind commands of SLURM's names."""
    programs = tmp_path / "bin"
    programs.mkdir()
    queue = tmp_path / "queue"
    queue.touch()
    texts = {
        "squeue": f'[ "$1 $2 $3" = "--noheader --me --name" ] && awk -v r="$4" '
        f"'$1 == r {{print $2}}' {queue}",
        "scancel": f'for job; do echo "$job" >> {tmp_path}/cancelled; '
        f'sed -i "/ $job\\$/d" {queue}; done',
    }
    for name, text in texts.items():
        path = programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return queue


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def held(pid: int, **content: Any) -> Path:
    """What the lease says of a run."""
    holder = {"host": platform.node(), "pid": pid, "process_start": process_start(pid)}
    path = Path(".snakemake/lease.json")
    path.write_text(json.dumps(holder | {"token": "x", "started": time.time() - 60} | content))
    return path


def log(name: str, run: str) -> Path:
    path = Path(".snakemake/log") / f"{name}.snakemake.log"
    path.write_text(LOG.format(run=run))
    return path


def cancelled() -> list[str]:
    path = Path("cancelled")
    return path.read_text().split() if path.exists() else []


def test_jobs_of_the_killed_run_are_ended_and_no_others(
    driver: Any, slurm: Path, capsys: Any
) -> None:
    slurm.write_text("mine 7\nmine 8\nelse 9\nolder 10\n")
    os.utime(log("before", "older"), (time.time() - 3600,) * 2)
    held(gone())
    log("last", "mine")
    assert driver.run(["true"]) == 0
    assert cancelled() == ["7", "8"]
    assert "the last run was killed; ending its 2 SLURM job(s)" in capsys.readouterr().err


def test_it_waits_until_they_have_ended(driver: Any, slurm: Path, monkeypatch: Any) -> None:
    slurm.write_text("mine 7\n")
    (slurm.parent / "bin" / "scancel").write_text("#!/bin/sh\n")  # it takes its time
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            slurm.write_text("")

    monkeypatch.setattr(driver.time, "sleep", pause)
    log("last", "mine")
    driver._cancel_orphans(time.time() - 60)
    assert len(pauses) == 3


def test_a_run_on_another_machine_is_left_alone_while_it_beats(
    driver: Any, slurm: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """And succeeded once it is silent: its jobs on the cluster have nobody to end them."""
    slurm.write_text("mine 7\n")
    log("last", "mine")
    monkeypatch.setattr(lease_module, "SILENCE", 2.0)
    path = held(1, host="another", heartbeat=time.time())
    with monkeypatch.context() as beating:
        beating.setattr(lease_module.time, "sleep", lambda _: held(
            1, host="another", heartbeat=time.time()))  # fmt: skip
        assert driver.run(["touch", "ran"]) == 1
    assert "this folder is being worked on by process 1 on another" in capsys.readouterr().err
    assert json.loads(path.read_text())["host"] == "another"
    assert not Path("ran").exists()
    assert cancelled() == []
    assert driver.run(["touch", "ran"]) == 0
    assert cancelled() == ["7"]
    assert not path.exists()


def test_of_two_runs_in_one_folder_the_second_is_refused(
    driver: Any, slurm: Path, capsys: Any
) -> None:
    """Unless the number of the first is that of another process by now."""
    slurm.write_text("mine 7\n")
    log("last", "mine")
    path = held(os.getpid())
    assert driver.run(["touch", "ran"]) == 1
    assert f"worked on by process {os.getpid()} on" in capsys.readouterr().err
    assert cancelled() == []
    assert not Path("ran").exists()
    assert path.exists()
    held(os.getpid(), process_start="of another")
    assert driver.run(["touch", "ran"]) == 0
    assert cancelled() == ["7"]


# What a driver starts, in place of Snakemake, with a job of its own; both tell of a Ctrl-C.
WORK = """
import signal, subprocess, sys, time
def told(*_):
    print(name, flush=True)
    if name == "snakemake":
        job.wait()
    sys.exit(3)
name = sys.argv[1]
signal.signal(signal.SIGINT, told)
if name == "snakemake":
    job = subprocess.Popen([sys.executable, __file__, "job"], stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "begun\\n"
print("begun", flush=True)
time.sleep(60)
"""
DRIVE = "import sys; sys.path.insert(0, {ops!r}); import driver; sys.exit(driver.run({command!r}))"


@pytest.fixture
def driving(driver: Any, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver whose Snakemake and its job are under way."""
    (tmp_path / "work.py").write_text(WORK)
    command = [sys.executable, str(tmp_path / "work.py"), "snakemake"]
    code = DRIVE.format(ops=str(ROOT / "workflow" / "ops"), command=command)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        yield process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_driver_that_is_told_to_end_ends_its_jobs(driving: subprocess.Popen[str]) -> None:
    driving.terminate()
    said, _ = driving.communicate(timeout=60)
    assert said == "snakemake\n"
    assert driving.returncode == 3
    assert not Path(".snakemake/lease.json").exists()


def test_while_snakemake_outlives_its_driver_nobody_else_begins(
    driving: subprocess.Popen[str], driver: Any, slurm: Path, capsys: Any
) -> None:
    driving.kill()
    driving.wait()
    assert driver.run(["touch", "ran"]) == 1
    assert "this folder is being worked on by process" in capsys.readouterr().err
    os.killpg(driving.pid, signal.SIGKILL)
    while psutil.pid_exists(holder := json.loads(Path(".snakemake/lease.json").read_text())["pid"]):
        if psutil.Process(holder).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.01)
    assert driver.run(["touch", "ran"]) == 0


# Tells of each Ctrl-C, and takes a second to end after the first.
SLOW = """
import signal, sys, threading
ended = threading.Event()
def told(*_):
    print("told", file=open("told", "a"))
    threading.Timer(1, ended.set).start()
signal.signal(signal.SIGINT, told)
open("begun", "w").close()
while not ended.wait(0.01):
    pass
sys.exit(3)
"""


def test_a_run_that_was_taken_over_is_told_once_to_end(
    driver: Any, slurm: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(driver, "BEAT", 0.05)
    monkeypatch.setattr(lease_module, "BEAT", 0.05)

    def take_over() -> None:
        while not Path("begun").exists():
            time.sleep(0.01)
        held(1, host="another")

    other = threading.Thread(target=take_over)
    other.start()
    assert driver.run([sys.executable, "-c", SLOW]) == 3
    other.join()
    assert Path("told").read_text() == "told\n"
    assert "another run has taken over this folder" in capsys.readouterr().err
    assert json.loads(Path(".snakemake/lease.json").read_text())["host"] == "another"


def test_without_slurm_nothing_is_ended(driver: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", "")
    log("last", "mine")
    driver._cancel_orphans(time.time() - 60)


def test_the_lock_of_a_killed_run_is_removed(driver: Any, slurm: Path) -> None:
    held(gone())
    Path(".snakemake/locks").mkdir()
    Path(".snakemake/locks/0.input.lock").touch()
    assert driver.run(["sh", "-c", 'echo "$@" >> calls', "snakemake"]) == 0
    assert Path("calls").read_text() == "--unlock --quiet\n\n"


def failed(driver: Any, capsys: Any, *blocks: str) -> str:
    path = log("last", "mine")
    path.write_text(path.read_text() + "".join(blocks))
    assert driver.failures(path) == 0
    told: str = capsys.readouterr().out
    return told


def test_a_failure_is_told_with_the_ends_of_its_logs(driver: Any, capsys: Any) -> None:
    own, theirs = Path("own.log"), Path("theirs.log")
    own.write_text("".join(f"line {number}\n" for number in range(40)))
    theirs.write_text("chatter\nslurmstepd: error: *** JOB 7 CANCELLED DUE TO TIME LIMIT ***\n")
    block = ERROR.format(rule="train_model", message=STATUS, job=8, logs=f"{own}, {theirs}")
    told = failed(driver, capsys, block)
    assert "1 job(s) failed; what they had reached is kept." in told
    assert "train_model: TIMEOUT" in told
    assert "    line 25\n" in told
    assert "line 24" not in told
    assert "DUE TO TIME LIMIT" in told
    assert "chatter" not in told
    assert "run the same command again" in told


def test_what_another_attempt_made_good_is_no_failure(driver: Any, capsys: Any) -> None:
    block = ERROR.format(rule="train_model", message=STATUS, job=8, logs="own.log")
    good = "[Tue Nov 24 12:03:00 2026]\nFinished jobid: 8 (Rule: train_model)\n"
    assert "0 job(s) failed" in failed(driver, capsys, block, good)
    assert "1 job(s) failed" in failed(driver, capsys, block, block)  # twice the same job
    other = good.replace("8", "88")
    assert "1 job(s) failed" in failed(driver, capsys, block, other)


def test_a_job_of_the_machine_itself_and_one_without_a_log(driver: Any, capsys: Any) -> None:
    local = ERROR.format(rule="write_report", message="None", job=3, logs="gone.log")
    bare = "\n".join(
        line for line in local.replace("jobid: 3", "jobid: 4").splitlines() if "log:" not in line
    )
    told = failed(driver, capsys, local, bare + "\n")
    assert "2 job(s) failed" in told
    assert "\nwrite_report\n  gone.log\n" in told
    assert "\nwrite_report, no log\n" in told


def test_a_submission_that_sbatch_refuses(driver: Any, capsys: Any) -> None:
    why = "SLURM sbatch failed. The error message was: invalid partition"
    told = failed(
        driver, capsys, ERROR.format(rule="train_model", message=why, job=8, logs="own.log")
    )
    assert "train_model: SLURM sbatch failed. The error message was: invalid partition" in told


def test_the_newest_log_is_taken(driver: Any, capsys: Any) -> None:
    os.utime(log("older", "a"), (1, 1))
    newest = log("newest", "b")
    assert driver.failures(None) == 0
    assert f"Snakemake's log: {newest}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reason", "runs"),
    [
        ("Missing output files: data/prepared/digits-4bae3a4266/dataset.json", 1),
        ("Params have changed since last execution: 'code of toporepro.data.index=1'", 2),
    ],
)
def test_data_prepared_anew_are_followed_by_what_reads_them(
    reason: str, runs: int, driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(driver, "run", lambda command: calls.append(command) or 0)
    (driver.STATE / "log").mkdir(parents=True, exist_ok=True)
    (driver.STATE / "log" / "1.snakemake.log").write_text(PREPARED.format(reason=reason))
    assert driver._complete(["snakemake"], Path("results")) == 0
    assert len(calls) == runs


def test_files_that_were_seen_too_late_are_a_failure(driver: Any) -> None:
    ((rule, why, logs),) = driver._failed(LATE)
    assert (rule, logs) == ("measure_model", [])
    assert "latency-wait" in why
    assert not driver._failed(LATE + "Finished jobid: 5 (Rule: measure_model)\n")


def test_files_from_the_future_are_dated_today(
    driver: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    for name, age in (("past", 1000.0), ("future", -1000.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age, now - age))
    driver._date_today(tmp_path, tmp_path / "absent")
    assert (tmp_path / "past").stat().st_mtime == pytest.approx(now - 1000, abs=1)
    assert now - 1 < (tmp_path / "future").stat().st_mtime < now + driver.FUTURE
    assert f"1 files, such as {tmp_path / 'future'}" in capsys.readouterr().err
    driver._date_today(tmp_path)
    assert not capsys.readouterr().err
