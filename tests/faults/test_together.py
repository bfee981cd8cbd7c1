"""Several at once in one place, and the same work in several ways: one result, or one refusal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Copy
from tests.faults.conftest import Injected
from tests.faults.stages import MLP, clear, digest, leftovers, made
from tests.faults.verbs import Job, job, jobs

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("verb", ["prepare", "measure", "tables", "figure"])
def test_two_of_one_job_at_once_make_one_result(
    verb: str, copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    """As of two users who share their data, or of a cluster's job that was believed dead."""
    one = job(all_jobs, verb, "digits" if verb == "prepare" else "")
    outputs = one.outputs(copy)
    before = made(outputs)
    clear(one, outputs)
    both = [one.start(copy), one.start(copy)]
    for process in both:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert made(outputs) == before
    assert not leftovers(copy)
    injected("two at once", verb, 1, "both end with identical files")


def test_the_second_of_two_trainings_is_refused(
    copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    one = job(all_jobs, "train", MLP)
    outputs = one.outputs(copy)
    before = made(outputs)
    clear(one, outputs)
    both = [one.start(copy), one.start(copy)]
    said = [process.communicate()[1] for process in both]
    ended = sorted(process.returncode for process in both)
    assert ended in ([0, 0], [0, 1]), said  # both, where the second came after the first's end
    if ended == [0, 1]:
        assert sum("is being trained by" in text for text in said) == 1, said
    assert made(outputs) == before
    assert not leftovers(copy)
    injected("two at once", "train", 1, "one trains, the other is refused")


# Of a manifest: what two runs of the same may differ in.
VOLATILE = ("finished", "wall_seconds", "energy_kwh", "energy_source", "checksum", "git_commit")


def told(path: Path) -> dict[str, Any]:
    """What a manifest says would explain a difference of results."""
    content = json.loads(path.read_text())
    return {key: value for key, value in content.items() if key not in VOLATILE}


METACHARACTERS = "$(touch pwned) `touch pwned` ; touch pwned | touch pwned & 'a' \"b\" τ² \\ !"


def test_what_a_shell_would_run_is_never_run(
    copy: Copy, all_jobs: list[Job], injected: Injected
) -> None:
    families = {"mlp": {"label": METACHARACTERS}, "resnet18": {"label": "{input} {{x}} $HOME"}}
    overrides = json.dumps({"tiny": {"families": families}})
    found = jobs(copy, f"overrides={overrides}")
    for verb, part in (("figure", "figure training_curves"), ("claims", "")):
        one = job(found, verb, part)
        assert "touch pwned" in one.command
        done = one.run(copy)
        assert done.returncode == 0, done.stderr
        assert job(all_jobs, verb, part).run(copy).returncode == 0  # as it was
    assert not list(copy.root.rglob("pwned"))
    injected("configuration: text for a shell", "figure, claims", 2, "taken as it is, never run")


TOKEN = "hf_Swordfish"


def test_a_token_of_the_environment_is_written_nowhere(
    copy: Copy, all_jobs: list[Job], monkeypatch: pytest.MonkeyPatch, injected: Injected
) -> None:
    """Nor is it in a command line, which other users can read."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for verb in ("prepare", "train", "measure", "report"):
        one = job(all_jobs, verb, "digits" if verb == "prepare" else "")
        clear(one, one.outputs(copy))
        process = one.start(copy)
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert not any(TOKEN.encode() in text for text in [*lines, said.encode()])
    for path in (*copy.results.rglob("*"), *(copy.root / "data").rglob("*")):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    injected("network", "a token in the environment", 4, "in no file and no process list")


NASTY = "a \"folder\" of 'its' own $(touch pwned) ü"


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (4, 2)])
def test_cores_workers_and_folders_change_no_byte(
    cores: int, workers: int, finished: Copy, tmp_path: Path, injected: Injected
) -> None:
    copy = Copy(tmp_path / (NASTY if cores == 1 else "elsewhere"))
    shutil.copytree(finished.root, copy.root, symlinks=True)
    for name in ("results", "data", ".snakemake"):
        shutil.rmtree(copy.root / name)
    copy.edit("config/config.yaml", "loader_workers: 0", f"loader_workers: {workers}")
    copy.ops("reproduce", "--preset", copy.preset, "--cores", str(cores))
    for pattern in ("models/**/*.safetensors", "models/**/*.csv", "tables/*.csv", "claims.csv"):
        here = {
            str(path.relative_to(copy.results)): digest(path)
            for path in copy.results.glob(pattern)
            if "state" not in path.parts
        }
        there = {name: digest(finished.results / name) for name in here}
        assert here
        assert here == there
    for path in copy.results.rglob("*.manifest.json"):
        assert told(path) == told(finished.results / path.relative_to(copy.results))
    assert not list(tmp_path.rglob("pwned"))
    if cores == 1:
        injected("a folder of spaces, quotes and signs", "everything", 1, "identical files")
    injected(f"{cores} core(s), {workers} loader worker(s)", "everything", 1, "identical files")
