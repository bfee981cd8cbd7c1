"""Running the workflow: one command to the report, and a clear end when something fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

STATE = Path(".snakemake")
DRIVER = STATE / "driver.json"
LOG_LINES = 15


def snakemake(preset: str, *arguments: str, cores: int = 1) -> list[str]:
    """Snakemake's command line for a preset."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "workflow/profiles/default"]
    return [*command, "--cores", str(cores), *arguments, "--config", f"preset={preset}"]


def reproduce(preset: str, cores: int) -> int:
    """Run a preset to its report; print its claims and the paths of its pages."""
    from toporepro.report.claims import read_claims
    from toporepro.report.render import render_terminal

    status = _run(snakemake(preset, cores=cores))
    if status:
        return status
    root = Path("results") / Path(preset).stem
    page, other = root / "report.html", root / "snakemake-report.html"
    if not other.exists() or other.stat().st_mtime < page.stat().st_mtime:
        status = _run(snakemake(preset, "--quiet", "--report", str(other)))
    print(render_terminal(read_claims(root / "claims.csv")))
    print(f"\nreport: {page}\nexplorer: {root / 'explorer.html'}\nSnakemake's own report: {other}")
    return status


def figure(name: str, preset: str, cores: int) -> int:
    """Make one figure of a preset."""
    from toporepro.plugins import names
    from toporepro.spec import nearest

    if name not in names("figures"):
        print(
            f"figure {name!r}: no such figure; {nearest(name, names('figures'))}", file=sys.stderr
        )
        return 2
    target = Path("results") / Path(preset).stem / "figures" / f"{name}.png"
    status = _run(snakemake(preset, str(target), cores=cores))
    if not status:
        print(f"figure: {target}")
    return status


def failures(log: Path | None) -> int:
    """Print what failed, the last lines of each log, and how to go on."""
    log = log or max((STATE / "log").glob("*.snakemake.log"), key=lambda p: p.stat().st_mtime)
    text = log.read_text(encoding="utf-8", errors="replace")
    failed: dict[str, Path | None] = {}
    for block in re.split(r"\n(?=\S)", text):
        if found := re.match(r"(?:\[[^\]]*\]\s*)?Error in rule (\w+)", block):
            path = re.search(r"^\s*log: (.*?)(?: \(check.*)?$", block, re.MULTILINE)
            wildcards = re.search(r"^\s*wildcards: (.*)$", block, re.MULTILINE)
            name = found[1] + (f" ({wildcards[1]})" if wildcards else "")
            failed[name] = Path(path[1].split(",")[0]) if path else None
    print(f"\n{len(failed)} job(s) failed; what they had reached is kept.")
    for name, path in failed.items():
        print(f"\n{name}" + (f", log {path}:" if path else ": no log"))
        if path and path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join(f"    {line}" for line in lines[-LOG_LINES:]))
    print(f"\nSnakemake's log: {log}\nTo go on from here, run the same command again.")
    return 0


def _run(command: list[str]) -> int:
    _unlock_after_crash(command)
    with _registered():
        process = subprocess.Popen(command)
        while True:
            # Snakemake gets the same Ctrl-C from the terminal; it ends its jobs, then itself.
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()


@contextlib.contextmanager
def _registered() -> Iterator[None]:
    STATE.mkdir(exist_ok=True)
    DRIVER.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    try:
        yield
    finally:
        DRIVER.unlink(missing_ok=True)


def _unlock_after_crash(command: list[str]) -> None:
    locks = list((STATE / "locks").glob("*")) if (STATE / "locks").exists() else []
    if not locks or not DRIVER.exists():
        return
    owner = json.loads(DRIVER.read_text() or "{}")
    if owner.get("host") == socket.gethostname() and not Path(f"/proc/{owner['pid']}").exists():
        print("the last run was killed and left its lock; removing it", file=sys.stderr)
        subprocess.run([*command, "--unlock", "--quiet"], check=True)
