"""Every skip says why; one whose reason is not on the short list below fails the run."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.faults.table import add_options, print_faults

# The first example pays for imports and caches, and machines differ: no test has a time to keep.
settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")

ALLOWED_SKIPS = (
    "shared data",  # real datasets that are not part of the repository
    "needs a GPU",
    "no C++ compiler",
    "no Chromium",
    "no npm",
    "no sshd",
    "no SLURM",
    "no C compiler",
    "not root",
)
# Files that take longest begin first, so that no worker is left with one of them at the end.
LONGEST = (
    "test_slurm",
    "test_kills",
    "test_full_size",
    "test_drivers",
    "test_versions",
    "test_mnist",
    "test_together",
    "test_topoloss_fused",
    "test_figures",
    "test_resume",
    "test_vision_import",
    "test_data_parallel",
    "test_front_end",
    "test_configuration",
)
_unexpected: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


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
