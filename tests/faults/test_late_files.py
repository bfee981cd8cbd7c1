"""Files that are seen seconds after the job that wrote them has ended, as on network disks."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected
from tests.faults.stages import digest

pytestmark = pytest.mark.e2e
MLP = "models/mlp/tau=3/seed=0"
# In place of the command that rules call: takes away what the job has made, gives it back later.
LATE = """#!{python}
import subprocess, sys
from pathlib import Path

def there():
    others = {{"logs", "benchmarks", "state"}}
    found = (path for path in Path("results").rglob("*") if not others & set(path.parts))
    return {{path: path.stat().st_mtime_ns for path in found if path.is_file()}}

before = there()
status = subprocess.call([{real!r}, *sys.argv[1:]])
new = [path for path, time in there().items() if before.get(path) != time]
hidden = Path({hidden!r})
hidden.mkdir(exist_ok=True)
moves = [(hidden / str(path).replace("/", "+"), path) for path in new]
for away, path in moves:
    path.rename(away)
code = (
    "import os, sys, time; time.sleep({seconds}); "
    "[os.rename(*pair) for pair in zip(sys.argv[1::2], sys.argv[2::2])]"
)
words = [str(word) for pair in moves for word in pair]
subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=True,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
sys.exit(status)
"""


@pytest.fixture
def late(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for that command, which comes first when rules look for it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    monkeypatch.setattr(Copy, "environment", lambda self: {
        **os.environ, "PATH": path, "PYTHONPATH": str(self.root / "workflow")})  # fmt: skip
    return folder


def delay(folder: Path, seconds: int) -> None:
    words = {
        "python": sys.executable,
        "real": shutil.which("toporepro", path=str(Path(sys.executable).parent)),
        "hidden": str(folder / "hidden"),
        "seconds": seconds,
    }
    script = folder / "toporepro"
    script.write_text(LATE.format(**words))
    script.chmod(0o755)


def claims(copy: Copy, *options: str, status: int = 0) -> str:
    """Run what of measuring, tables and claims is not there, one job after the other."""
    profile = ["--workflow-profile", "workflow/profiles/default", "--cores", "1", *options]
    target = str((copy.results / "claims.csv").relative_to(copy.root))
    command = [sys.executable, "-m", "snakemake", *profile, target]
    return copy.run(*command, "--config", f"preset={copy.preset}", status=status)


def remove(copy: Copy) -> dict[Path, str]:
    """What is to be made again, and its digests."""
    names = (f"{MLP}/measures.csv", f"{MLP}/units.parquet", "tables/measures.csv", "claims.csv")
    made = [copy.results / name for name in names]
    before = {path: digest(path) for path in made}
    for path in made:
        path.unlink()
    return before


def test_files_that_are_seen_late_are_waited_for(
    late: Path, copy: Copy, injected: Injected
) -> None:
    before = remove(copy)
    delay(late, 3)
    said = claims(copy)
    assert "3 of 3 steps (100%) done" in said
    assert {path: digest(path) for path in before} == before
    assert not list((late / "hidden").iterdir())
    injected("files seen 3 s late", "measure, tables, claims", 3, "waited for; identical files")


def test_files_that_are_seen_too_late_are_named_and_made_again(
    late: Path, copy: Copy, injected: Injected
) -> None:
    before = remove(copy)
    delay(late, 6)
    said = claims(copy, "--latency-wait", "2", status=1)
    assert f"{MLP}/measures.csv" in said
    assert "--latency-wait" in said
    assert "1 job(s) failed; what they had reached is kept" in said
    until = time.monotonic() + 60
    while list((late / "hidden").iterdir()):  # they come, after all
        assert time.monotonic() < until
        time.sleep(0.2)
    (late / "toporepro").unlink()
    claims(copy)
    assert {path: digest(path) for path in before} == before
    injected("files seen after --latency-wait", "measure", 1, "named; made again, identical")
