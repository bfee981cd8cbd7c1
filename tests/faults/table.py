"""The table of all faults that a run of the tests injected, at its end.

pytest tests/faults [--fault-rounds 5] [--fault-table docs/faults.md]
"""

from __future__ import annotations

from pathlib import Path

import pytest

HEAD = """# Faults injected, and what came of them

*Written by `pytest tests/faults --fault-table docs/faults.md`; every line is a test that passed.*

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
        path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
