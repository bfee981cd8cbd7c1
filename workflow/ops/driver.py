"""Running the workflow: one command to the report, and a clear end when something fails."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from toporepro.cards import cards
from toporepro.lease import BEAT, Lease, LeaseError

STATE = Path(".snakemake")
LOG_LINES = 15
LONGEST_END = 120.0  # seconds that a cancelled job may take to save and to end
_LATE = (
    "it ended well, but its files were not seen in time; where the disk shows them late, raise "
    "latency-wait in workflow/profiles"
)
_SET_BACK = (
    "its output is older than what it read: the clock was set back meanwhile; the next start dates "
    "what is from the future today"
)
FUTURE = 60.0  # seconds by which the clocks of a machine and its file server may differ
_PREPARED = re.compile(r"^Job \d+: Preparing .*\nReason: (?!Missing output)", re.MULTILINE)
_RUN = re.compile(r"^SLURM run ID: (\S+)$", re.MULTILINE)


def snakemake(preset: str, *arguments: str, cores: int = 1, profile: str = "default") -> list[str]:
    """Snakemake's command line for a preset.

    Args:
        cores: of this machine, to use; a cluster's jobs ask for their own.
        profile: name of a folder in workflow/profiles.
    """
    folder = f"workflow/profiles/{profile}"
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", folder]
    if profile == "default":
        # --resources takes all words up to the next option: targets follow --cores.
        command += ["--resources", f"gpu={max(1, len(cards()))}", "--cores", str(cores)]
    return [*command, *arguments, "--config", f"preset={preset}"]


def reproduce(preset: str, cores: int, profile: str) -> int:
    """Run a preset to its report; print its claims and the paths of its pages."""
    from toporepro.report.claims import read_claims
    from toporepro.report.render import render_terminal

    root = Path("results") / Path(preset).stem
    status = _complete(snakemake(preset, cores=cores, profile=profile), root)
    if status:
        return status
    page, other = root / "report.html", root / "snakemake-report.html"
    if not other.exists() or other.stat().st_mtime < page.stat().st_mtime:
        status = run(snakemake(preset, "--quiet", "--report", str(other)))
    print(render_terminal(read_claims(root / "claims.csv")))
    print(f"\nreport: {page}\nexplorer: {root / 'explorer.html'}\nSnakemake's own report: {other}")
    return status


def _complete(command: list[str], root: Path) -> int:
    """Run Snakemake on the results in ``root``; twice where it first prepared data anew.

    Of data that were there it then leaves out jobs that read them as ``ancient``, although they
    have other reasons to run, such as parameters that have changed or outputs that are not there.
    """
    _date_today(root, Path("data/prepared"), Path("config"))
    status = run(command)
    return run(command) if not status and _prepared_anew() else status


def _date_today(*folders: Path) -> None:
    """Give files from the future, as a clock leaves them that was set back, the present time.

    Snakemake fails every job whose outputs are older than its inputs.
    """
    now = time.time()
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    future = [path for path in found if path.stat().st_mtime > now + FUTURE]
    for path in future:
        os.utime(path, (now, now))
    if future:
        print(
            f"{len(future)} files, such as {future[0]}, were from the future: was the clock set "
            "back? They have the present time now",
            file=sys.stderr,
        )


def _prepared_anew() -> bool:
    log = _newest_log()
    return log is not None and bool(
        _PREPARED.search(log.read_text(encoding="utf-8", errors="replace"))
    )


def figure(name: str, preset: str, cores: int, profile: str) -> int:
    """Make one figure of a preset."""
    from toporepro.plugins import names
    from toporepro.spec import nearest

    if name not in names("figures"):
        print(
            f"figure {name!r}: no such figure; {nearest(name, names('figures'))}", file=sys.stderr
        )
        return 2
    root = Path("results") / Path(preset).stem
    target = root / "figures" / f"{name}.png"
    status = _complete(snakemake(preset, str(target), cores=cores, profile=profile), root)
    if not status:
        print(f"figure: {target}")
    return status


def unfinished(preset: str, *targets: str) -> str:
    """What Snakemake would still do for these targets, or why it cannot tell; "" if nothing."""
    command = snakemake(preset, *targets, "--dry-run", "--quiet", "rules", "--nolock")
    plan = subprocess.run(command, capture_output=True, text=True, check=False)
    told = plan.stdout + plan.stderr
    return "" if not plan.returncode and "Nothing to be done" in told else told.strip()


def _newest_log() -> Path | None:
    logs = (STATE / "log").glob("*.snakemake.log")
    return max(logs, key=lambda path: path.stat().st_mtime, default=None)


def failures(log: Path | None) -> int:
    """Print what failed, the last lines of each log, and how to go on."""
    log = log or _newest_log()
    if log is None:
        print("failures: there is no log; nothing has run in this folder yet", file=sys.stderr)
        return 1
    failed = _failed(log.read_text(encoding="utf-8", errors="replace"))
    print(f"\n{len(failed)} job(s) failed; what they had reached is kept.")
    for name, why, logs in failed:
        print(f"\n{name}" + (f": {why}" if why else "") + ("" if logs else ", no log"))
        for number, path in enumerate(logs):
            # After the job's own log comes SLURM's, whose last lines are Snakemake's.
            lines = _last(path, LOG_LINES) if number == 0 else _last(path, 5, "slurmstepd:")
            print("\n".join([f"  {path}", *(f"    {line}" for line in lines)]))
    print(f"\nSnakemake's log: {log}\nTo go on from here, run the same command again.")
    return 0


def _failed(text: str) -> list[tuple[str, str, list[Path]]]:
    """Rule, what the cluster says, and logs of each job that failed and was not made good."""
    failed: dict[str, tuple[str, str, list[Path]]] = {}
    rule = ""
    for block in re.split(r"\n(?=\S)", text):
        if found := re.match(r"(?:\[[^\]]*\]\s*)?Error in rule (\w+)", block):
            listed = re.search(r"^\s*log: (.*?)(?: \(check.*)?$", block, re.MULTILINE)
            logs = [Path(name) for name in listed[1].split(", ")] if listed else []
            status = re.search(r"SLURM status is: '(\w+)'|SLURM sbatch failed.*", block)
            why = (status[1] or status[0]) if status else ""
            job = re.search(r"^\s*jobid: (.*)$", block, re.MULTILINE)
            failed[job[1] if job else block] = found[1], why, logs
        elif found := re.match(r"(?:MissingOutputException|WorkflowError) in rule (\w+)", block):
            rule = found[1]
        elif rule and (found := re.match(r"Output (\S+) has older modification time", block)):
            failed[found[1]] = rule, _SET_BACK, []
        elif rule and (found := re.match(r"Job (\S+)\s+completed successfully, but", block)):
            failed[found[1]] = rule, _LATE, []
        elif done := re.match(r"(?:\[[^\]]*\]\s*)?Finished jobid: (\S+)", block):
            failed.pop(done[1], None)  # another attempt did it
    return list(failed.values())


def _last(path: Path, count: int, containing: str = "") -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if containing in line][-count:]


def run(command: list[str]) -> int:
    """Run Snakemake; its exit status, or 1 at once while another run works in this folder."""
    try:
        with Lease(STATE, "this folder is being worked on") as lease:
            if lease.predecessor:
                _clear_after_crash(lease.predecessor, command)
            return _until_its_end(command, lease)
    except LeaseError as error:
        print(f"{error}; a later start goes on from what it reached", file=sys.stderr)
        return 1


def _until_its_end(command: list[str], lease: Lease) -> int:
    """Run Snakemake, which counts as the holder of the lease even if this process is killed."""
    process = subprocess.Popen(command)
    lease.hand_to(process.pid)
    before = signal.signal(signal.SIGTERM, lambda *_: _interrupt(process.pid))
    look: float | None = BEAT  # seconds; None once it was told to end, since once is enough
    try:
        while True:
            # Snakemake gets the same Ctrl-C from the terminal; it ends its jobs, then itself.
            with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                return process.wait(look)
            if look and lease.lost:
                print("another run has taken over this folder: ending this one", file=sys.stderr)
                _interrupt(process.pid)
                look = None
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(pid: int) -> None:
    """As Ctrl-C does: Snakemake starts no more jobs, and those that run save their state."""
    with contextlib.suppress(psutil.NoSuchProcess):
        snakemake = psutil.Process(pid)
        for process in (snakemake, *snakemake.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)


def _clear_after_crash(killed: dict[str, Any], command: list[str]) -> None:
    """Remove the lock of a run that was killed, and end what it left running on a cluster."""
    _cancel_orphans(killed["started"])
    if (STATE / "locks").exists() and any((STATE / "locks").iterdir()):
        print("the last run was killed and left its lock; removing it", file=sys.stderr)
        subprocess.run([*command, "--unlock", "--quiet"], check=True)


def _cancel_orphans(started: float) -> None:
    """End the cluster's jobs of a killed run: they save their state, from which new ones go on."""
    logs = (path for path in (STATE / "log").glob("*.log") if path.stat().st_mtime >= started)
    runs = {match[1] for path in logs if (match := _RUN.search(path.read_text(errors="replace")))}
    for run in sorted(runs):
        jobs = _jobs_of(run)
        if jobs:
            print(f"the last run was killed; ending its {len(jobs)} SLURM job(s)", file=sys.stderr)
            subprocess.run(["scancel", *jobs], check=False)
        until = time.monotonic() + LONGEST_END
        while _jobs_of(run) and time.monotonic() < until:
            time.sleep(1)


def _jobs_of(run: str) -> list[str]:
    """Numbers of SLURM's jobs that wait or run, by the name that Snakemake gives all of a run."""
    command = ["squeue", "--noheader", "--me", "--name", run, "--format", "%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # SLURM is no more, and so are its jobs
        return []
    return done.stdout.split()
