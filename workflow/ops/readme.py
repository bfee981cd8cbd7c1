"""The README's table and figure, from a finished run: a copy goes to ``docs/record``.

The README is no rule's output, or Snakemake would delete it before the rule runs.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import driver
from jobs import configured

README, RECORD = Path("README.md"), Path("docs/record")
# What the README shows, and what it follows from, by their places in the results.
SHOWN = (Path("claims.csv"), Path("figures/orientation_maps.png"))
BEGIN, END = "<!-- claims of the demo -->", "<!-- end -->"


def readme(preset: str) -> int:
    """Copy what the README shows into the record and splice in the table."""
    root = configured(preset).paths.root
    if plan := driver.unfinished(preset):
        print(plan, file=sys.stderr)
        print(
            f"\nreadme: {root} is not complete; run: make reproduce PRESET={preset}",
            file=sys.stderr,
        )
        return 1
    RECORD.mkdir(parents=True, exist_ok=True)
    for path in SHOWN:
        shutil.copyfile(root / path, RECORD / path.name)
    table = (root / "summary.md").read_text(encoding="utf-8")
    README.write_text(spliced(README.read_text(encoding="utf-8"), table), encoding="utf-8")
    print(f"{README} and {RECORD} are those of {root}")
    return 0


def spliced(text: str, table: str) -> str:
    """The text with the table between its markers.

    Raises:
        ValueError: if the markers do not stand there once each, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"{README}: {BEGIN} and, after it, {END} must stand there once")
    return f"{before}{BEGIN}\n{table}{END}{after}"
