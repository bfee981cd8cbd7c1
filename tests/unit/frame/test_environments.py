"""Setup, conda's environment and the container install the same versions, of all that is needed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def constraints() -> dict[str, str]:
    lines = (ROOT / "envs/constraints.txt").read_text().splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[0-9a-z.]+", version) for version in found.values())
    return found


def bare(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0]  # type: ignore[index]


def conda() -> dict[str, str]:
    content = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())
    (pip,) = (entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    return dict(line.split("==") for line in pip)


def test_all_that_is_needed_is_pinned() -> None:
    asked = [*PROJECT["dependencies"]]
    for extra in PROJECT["optional-dependencies"].values():
        asked += extra
    missing = {bare(name) for name in asked} - set(constraints()) - {"toporepro"}
    assert not missing


def test_conda_installs_the_pins_of_what_jobs_need() -> None:
    pins, found = constraints(), conda()
    assert {bare(name): version for name, version in found.items()} == {
        bare(name): pins[bare(name)] for name in found
    }
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["workflow"]]
    assert [bare(name) for name in found] == [bare(name) for name in wanted]
    assert next(iter(found)) == "torch"


def test_the_container_installs_the_same_by_the_constraints(tmp_path: Path) -> None:
    text = (ROOT / "envs/toporepro.def").read_text()
    for copied in re.findall(r"^    (\S+) /opt/toporepro/\S+$", text, re.MULTILINE):
        (tmp_path / Path(copied).name).write_bytes((ROOT / copied).read_bytes())
    post = text.split("%post\n")[1].split("\n%")[0]
    (program,) = re.findall(r"python -c '(.*?)' >requirements.txt", post, re.DOTALL)
    listed = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, text=True)
    assert [bare(line) for line in listed.split()] == [bare(name) for name in conda()]
    assert "pip install --no-cache-dir -c constraints.txt" in post
    assert "From: python:3.12-" in text
    assert "python=3.12\n" in (ROOT / "envs/environment.yaml").read_text()


def test_every_rule_names_the_environment() -> None:
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        text = path.read_text()
        assert text.count("    conda:\n") == text.count("    shell:\n"), path.name
