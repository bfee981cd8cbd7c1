"""The workflow's own command lines, taken from its dry-run: what a test kills and damages."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from tests.e2e.conftest import Copy


@dataclass(frozen=True)
class Job:
    """One job of a preset.

    Attributes:
        verb: of ``toporepro``.
        command: the line that Snakemake gives to the shell.
    """

    verb: str
    command: str

    def run(self, copy: Copy) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", self.command],
            cwd=copy.root,
            env=copy.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, copy: Copy) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {self.command}"],
            cwd=copy.root,
            env=copy.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def jobs(copy: Copy) -> list[Job]:
    """All jobs of the copy's preset, as a run from nothing would start them."""
    profile = ["--workflow-profile", "workflow/profiles/default", "--cores", "2"]
    command = [sys.executable, "-m", "snakemake", *profile, "--forceall", "--dry-run", "-p"]
    text = copy.run(*command, "--nolock", "--config", f"preset={copy.preset}")
    lines = re.findall(r"^\s*Shell command: (.*\btoporepro (\w+) .*)$", text, re.MULTILINE)
    assert lines, text
    return [Job(verb, command) for command, verb in lines]


def job(found: list[Job], verb: str, *parts: str) -> Job:
    """The first job of a verb whose command line contains all ``parts``."""
    fitting = [j for j in found if j.verb == verb and all(part in j.command for part in parts)]
    assert fitting, f"no job of {verb} with {parts}"
    return fitting[0]
