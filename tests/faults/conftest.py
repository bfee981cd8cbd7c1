"""The fault suite: each test says what it injected where; a table of all stands at the end.

pytest tests/faults [--fault-table docs/faults.md]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import finished, fresh

__all__ = ["finished", "fresh"]

Injected = Callable[..., None]
HEAD = """# Faults injected, and what came of them

*Written by `pytest tests/faults --fault-table docs/faults.md`; every line is a test that passed.*

"""


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Injected:
    """Notes one line of the table: fault, where, times, outcome."""

    def note(fault: str, where: str, times: int, outcome: str) -> None:
        record_property("fault", (fault, where, times, outcome))

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, help="write the table of faults to this file")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
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
