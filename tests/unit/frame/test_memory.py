"""Errors of a process without memory are told in one sentence; a mistake keeps its traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A verb that fails, in a process that may hold what it has, and some of that again.
VERB = """
import resource, sys
from pathlib import Path
from toporepro import cli

def fail(options):
    more = float(sys.argv[1])
    if more:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (int(more * used),) * 2)
    raise {error}

cli._tables = fail
sys.exit(cli.main(["tables", "--models", ".", "--out", "."]))
"""


def run(error: str, more: float) -> tuple[int, str]:
    command = [sys.executable, "-c", VERB.format(error=error), str(more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("error", ["SystemError('no exception set')", "AttributeError('stats')"])
def test_whatever_is_raised_without_memory_is_a_lack_of_it(error: str) -> None:
    status, said = run(error, 1.0)
    kind, text = error.removesuffix("')").split("('")
    assert (status, said) == (1, f"toporepro tables: out of memory; {kind}: {text}\n")


@pytest.mark.parametrize("more", [0, 2.0])
def test_a_mistake_with_memory_to_spare_shows_where_it_is(more: float) -> None:
    status, said = run("AttributeError('stats')", more)
    assert status == 1
    assert said.startswith("Traceback")
    assert said.endswith("AttributeError: stats\n")
    assert "out of memory" not in said


@pytest.mark.parametrize(
    "error",
    ["MemoryError()", "RuntimeError('std::bad_alloc')", "OSError(12, 'Cannot allocate memory')"],
)
def test_errors_that_name_memory_are_told_without_a_limit(error: str) -> None:
    status, said = run(error, 0)
    assert status == 1
    assert said.startswith("toporepro tables: out of memory; ")
    assert "Traceback" not in said
