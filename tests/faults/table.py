"""The table of all faults that a run of the tests injected, at its end.

pytest tests/faults [--fault-rounds 5] [--fault-table docs/faults.md]
"""

from __future__ import annotations

from pathlib import Path

import pytest

HEAD = """# Faults injected, and what came of them

*Every line is tests that passed, in one run of `pytest -n 2 --dist loadfile tests/faults
tests/e2e/test_remotes.py --fault-table docs/faults.md`, which takes ten minutes on two cores. Each
half of `make test` prints such a table of all its tests too.*
`--fault-rounds N` ends each stage N times in each way, at other moments. Kills of a cluster's jobs
are in `tests/e2e/test_slurm.py`.

`python tests/faults/soak.py` trains and measures 200 networks in one run of the workflow. The last
time (26 minutes on two cores that had other work too) Snakemake held 209 MB in the second third of
the run and 210 MB in the last, 13 file handles in both, and each network left 2,584 to 2,585 kB on
the disk.

"""
END = """
## What is not survived, and why

- **Memory that errs.** A bit that flips in memory while a job computes is in its result; manifests
  hold what was written, not what should have been.
- **Someone who means it.** Manifests are no signatures: who changes a result *and* its manifest
  with the checksum is found by `git diff` of the record, or by running the job again (on a CPU, to
  the same bytes).
- **Raw data that were damaged before they came here.** What is fetched is held against its makers'
  checksums, archives and Parquet pages against their own, where they have any. Of a plain tar or an
  image that a person put there nobody published a checksum: it is refused where it cannot be read;
  a pixel that is another is not seen. Its SHA-256 goes into the manifest, so that it is seen later.
- **Memory that is refused inside a library.** Python, torch and NumPy turn that into one sentence;
  another library's own code may end the process without a word, which is as good as `kill -9`.
  Snakemake itself may then wait for ever: end it, and start again.
- **Files that a network disk shows later than `latency-wait`** (30 seconds; 60 on a cluster). The
  job counts as failed, with a sentence that says so, and the next start makes it again.
- **A disk that lies.** Files are flushed before they get their names; a disk that reports that too
  early can lose them in a power cut. Their checksums then do not hold, and the job runs again.
- **A GPU's order of summation.** Interrupted trainings go on to the same bytes on a CPU; on a GPU
  to the same result within rounding.
- **Two machines on one folder whose disk has no locks.** A driver and a training each hold a lease,
  which other machines judge by its heartbeat: silent for 45 seconds, it is taken over. Two that
  begin in the same instant can both take it where the disk has no `flock`; the first of them
  notices within 10 seconds, and ends.
- **A server that trickles.** A download that never pauses is not given up, however slow it is.
"""


def add_options(parser: pytest.Parser) -> None:
    parser.addoption("--fault-rounds", type=int, default=1, help="kills of each kind and stage")
    parser.addoption("--fault-table", type=Path, help="write the table of faults to this file")


def print_faults(terminalreporter: pytest.TerminalReporter) -> None:
    """Of all tests that passed; also into the file that ``--fault-table`` names."""
    found: dict[tuple[str, str, str], int] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "fault":
                fault, where, times, outcome = value
                key = (fault, where, outcome)
                found[key] = found.get(key, 0) + times
    if not found:
        return
    rows = [
        (fault, where, str(found[fault, where, outcome]), outcome)
        for fault, where, outcome in sorted(found)
    ]
    table = [("fault", "where", "times", "outcome"), *rows]
    terminalreporter.section("faults injected")
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())
    path = terminalreporter.config.getoption("--fault-table")
    if path:
        lines = ["| fault | where | times | outcome |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        path.write_text(HEAD + "\n".join(lines) + "\n" + END, encoding="utf-8")
