"""Every skip says why; one whose reason is not on the short list below fails the run."""

from __future__ import annotations

import pytest

from tests.faults.table import add_options, print_faults

ALLOWED_SKIPS = (
    "shared data",  # real datasets that are not part of the repository
    "needs a GPU",
    "no C++ compiler",
    "no Chromium",
    "no npm",
    "no sshd",
    "no SLURM",
    "no faketime",
    "not root",
)
_unexpected: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            _unexpected.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    print_faults(terminalreporter)
    for line in _unexpected:
        terminalreporter.write_line(f"unexpected skip: {line}", red=True)
