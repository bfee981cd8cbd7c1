"""Jobs in software environments that Snakemake sets up; conda and Apptainer are stood in for.

The stand-ins answer Snakemake's questions, and run a container's command on this machine, with
nothing of the caller's environment but PATH: so it is the command that is tested, not the image.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy

pytestmark = pytest.mark.e2e
APPTAINER = """#!/bin/bash
case $1 in
--version) echo "apptainer version 1.4.2" ;;
exec)
    echo "$@" >>"$HOME/apptainer.log"
    while [ "$1" != -c ]; do shift; done
    exec env -i HOME="$HOME" PATH="@PYTHON@:/usr/bin:/bin" bash -c "$2"
    ;;
esac
"""
CONDA = """#!/bin/bash
case "$*" in
"info --json")
    echo '{"conda_version": "26.1.0", "conda_prefix": "/opt/conda", "platform": "linux-64"}' ;;
"--version") echo "conda 26.1.0" ;;
*channel_priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
esac
"""


def stand_in(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text.replace("@PYTHON@", str(Path(sys.executable).parent)))
    path.chmod(0o755)


def snakemake(copy: Copy, bin_: Path, *arguments: str, target: str = "all") -> str:
    command = ["snakemake", "--workflow-profile", "workflow/profiles/default", "--cores", "2"]
    path = f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    place = ["env", f"PATH={path}", f"HOME={bin_.parent}", f"CONDA_EXE={bin_ / 'conda'}"]
    preset = ["--config", f"preset={copy.preset}"]
    return copy.run(*place, *command, *arguments, *preset, "--", target)


def test_a_job_in_a_container_runs_this_code(fresh: Copy, tmp_path: Path) -> None:
    stand_in(tmp_path / "bin", "apptainer", APPTAINER)
    (fresh.root / "envs/toporepro.sif").touch()
    target = "results/tiny/models/mlp/tau=3/seed=0/weights.safetensors"
    output = snakemake(fresh, tmp_path / "bin", "--sdm", "apptainer", target=target)
    assert "Activating singularity image envs/toporepro.sif" in output
    assert (fresh.root / target).exists()
    runs = (tmp_path / "apptainer.log").read_text()
    assert len(re.findall(r"toporepro train ", runs)) == 1


def test_conda_would_build_the_environment(fresh: Copy, tmp_path: Path) -> None:
    stand_in(tmp_path / "bin", "conda", CONDA)
    output = snakemake(fresh, tmp_path / "bin", "--sdm", "conda", "--dry-run")
    assert "envs/environment.yaml will be created" in output


def test_lint_finds_nothing_but_what_is_meant(fresh: Copy) -> None:
    output = fresh.run("snakemake", "--lint", "--config", f"preset={fresh.preset}", status=None)
    found = set(re.findall(r"^    \* (.*)$", output, re.MULTILINE))
    # A verb is given its model's folder; what finds a rule's inputs stands above the rule.
    meant = ("is a prefix of input or output file", "Mixed rules and functions")
    assert found
    assert not [title for title in found if not any(words in title for words in meant)]
