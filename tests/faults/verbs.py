"""The workflow's own command lines, taken from its dry-run: what a test kills and damages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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

    @property
    def place(self) -> str:
        """Where it writes, below the copy: a file, a folder, or a file less its suffix."""
        words = shlex.split(self.command)
        return words[words.index("--model" if self.verb == "measure" else "--out") + 1]

    def outputs(self, copy: Copy) -> list[Path]:
        """Files that its manifest lists, and that, or the one file it writes; it has run."""
        place = copy.root / self.place
        folder = place if place.is_dir() else place.parent
        found = []
        for record in folder.glob("*.manifest.json"):
            content = json.loads(record.read_text())
            named = self.verb != "figure" or record.name == f"{place.name}.manifest.json"
            if content["verb"] == self.verb and named:
                both = (folder, folder / "snapshots")
                found += [at / name for name in content["outputs"] for at in both]
                found.append(record)
        return [path for path in found or [place] if path.exists()]

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
        return copy.start("bash", "-c", f"exec {self.command}")


def jobs(copy: Copy, *config: str) -> list[Job]:
    """All jobs of the copy's preset, as a run from nothing would start them.

    Args:
        config: further entries of the configuration, ``key=value``.
    """
    profile = ["--workflow-profile", "workflow/profiles/default", "--cores", "2"]
    command = [sys.executable, "-m", "snakemake", *profile, "--forceall", "--dry-run", "-p"]
    text = copy.run(*command, "--nolock", "--config", f"preset={copy.preset}", *config)
    lines = re.findall(r"^\s*Shell command: (.*\btoporepro (\w+) .*)$", text, re.MULTILINE)
    assert lines, text
    return [Job(verb, command) for command, verb in lines]


def job(found: list[Job], verb: str, *parts: str) -> Job:
    """The first job of a verb whose command line contains all ``parts``."""
    fitting = [j for j in found if j.verb == verb and all(part in j.command for part in parts)]
    assert fitting, f"no job of {verb} with {parts}"
    return fitting[0]
