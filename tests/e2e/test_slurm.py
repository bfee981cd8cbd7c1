"""The workflow on a real SLURM: faults of every kind, and the results of a run without any.

One run serves all tests. Trainings that faults are meant for have a state to go on from when they
start, and are stopped (SIGSTOP) once they are under way: so each fault finds its training there on
any machine. docs/cluster.md has the table of faults, which is compared with what happened.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e import slurm_site
from tests.e2e.conftest import ROOT, Copy, copy_repository
from tests.e2e.slurm_site import Site, wait_for
from toporepro import models
from toporepro.config import resolve
from toporepro.data.prepare import prepare
from toporepro.measure.run import measure
from toporepro.paths import ModelPaths
from toporepro.provenance import read_sealed
from toporepro.spec import encode
from toporepro.train import run

pytestmark = pytest.mark.e2e
PRESET = "tests/presets/cluster.yaml"
LOST, CANCELLED, LATE = TAUS = ("0", "1", "3")  # by what happens to each
GREEDY, SPREAD = "mlp_greedy/tau=3", "mlp_spread/tau=3"
EARLY = 200  # steps that a training has behind it at first
MACHINE = """
machine:
  loader_workers: 0
  gpus: {use: true, type: a100, per_node: 1, training: {cluster: {mlp_spread: 2}}}
"""
PROFILE = f"""
slurm-init-seconds-before-status-checks: 3
set-resources:
  - train_model:mem_mb=350 if wildcards.family == 'mlp_greedy' and attempt == 1 else 2000
  - "train_model:constraint='node1|node2' if wildcards.family == 'mlp_spread' else
    'node1' if wildcards.tau == '{LOST}' else 'node2'"
"""


@dataclass
class Cluster:
    """A site, a copy of the repository whose workflow runs on it, and what happened there.

    Attributes:
        undisturbed: folder of the same networks, trained and measured here, one after the other.
        faults: rows of the table: the fault, the state in which SLURM's job was then, and what
            made it good.
        output: what the last run printed.
        duplicate: what a second process said beside a running one.
    """

    site: Site
    copy: Copy
    undisturbed: Path
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    output: str = ""
    duplicate: str = ""
    drivers: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "workflow/ops", "reproduce", "--profile", "slurm"]
        driver = subprocess.Popen(
            [*command, "--preset", PRESET],
            cwd=self.copy.root,
            env=self.copy.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.drivers.append(driver)
        return driver

    def pair(self, name: str) -> tuple[ModelPaths, ModelPaths]:
        """A network as the workflow made it, and as it was made here."""
        ours = self.copy.results / "models" / name / "seed=0"
        return ModelPaths(ours), ModelPaths(self.undisturbed / name / "seed=0")

    def attempts(self, tau: str) -> list[dict[str, Any]]:
        found = list(self._state(tau).glob("*/attempts.json"))
        return read_sealed(found[0])["attempts"] if found else []

    def lease(self, tau: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self._state(tau) / "lease.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content

    def catch(self, *taus: str, attempt: int) -> dict[str, str]:
        """Stop trainings in a certain attempt, as they come; the number of the job of each."""
        caught: dict[str, str] = {}

        def look() -> bool:
            for tau in set(taus) - set(caught):
                lease = self.lease(tau)
                if lease and len(self.attempts(tau)) == attempt:
                    os.kill(lease["pid"], signal.SIGSTOP)
                    caught[tau] = lease["job"]
            return len(caught) == len(taus)

        self._wait(f"attempt {attempt} of τ = {taus}", look, every=0.02)
        return caught

    def release(self, tau: str) -> None:
        os.kill(self.lease(tau)["pid"], signal.SIGCONT)

    def ended(self, job: str) -> str:
        """The state of a job once it is neither running nor being cleared away."""
        busy = ("RUNNING", "COMPLETING")
        self._wait(f"end of job {job}", lambda: self.site.state(job) not in busy)
        return self.site.state(job)

    def again(self) -> None:
        """SLURM starts what it has put back into the queue two minutes later; here, now."""
        for job, (state, _) in self.site.jobs().items():
            if state == "PENDING":
                self.site.ask("scontrol", "update", f"jobid={job}", "starttime=now")

    def _wait(self, what: str, done: Callable[[], object], every: float = 0.2) -> None:
        try:
            wait_for(what, done, 400, every)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; jobs: {self.site.jobs()}") from None

    def _state(self, tau: str) -> Path:
        return self.pair(f"mlp/tau={tau}")[0].train_state


def undisturbed(copy: Copy, folder: Path) -> None:
    """Prepare the copy's data; train and measure here; give trainings there an early state."""
    resolved = resolve({"preset": PRESET}, copy.root)
    (data,) = resolved.datasets.values()
    index = copy.root / resolved.paths.prepared(data)
    prepare(data, copy.root / "data", index)
    update = run.Training._update

    def until_early(self: run.Training, passes: Any) -> tuple[float, float]:
        if self.step == EARLY:
            raise KeyboardInterrupt
        return update(self, passes)

    for model in resolved.models:
        name = Path(model.family, f"tau={model.tau}", "seed=0")
        out = ModelPaths(folder / name)
        run.train(model.train, index, out)
        measure(model.measure, out, index)
        if model.family != "mlp":
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run.Training, "_update", until_early)
            early = ModelPaths(copy.results / "models" / name)
            with pytest.raises(KeyboardInterrupt):
                run.train(model.train, index, early, save_every=0)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := slurm_site.unavailable():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets want short names
    copy = copy_repository(tmp_path_factory.mktemp("cluster") / "repository")
    copy.preset = PRESET
    profile = copy.root / "workflow/profiles/slurm"
    (profile / "machine.yaml").write_text(MACHINE)
    with (profile / "config.yaml").open("a") as file:
        file.write(PROFILE)
    made = Cluster(Site(folder), copy, tmp_path_factory.mktemp("undisturbed"))
    undisturbed(copy, made.undisturbed)
    try:
        made.site.start()
        inject(made)
        yield made
    finally:
        for driver in made.drivers:
            slurm_site.end(driver)
        made.site.stop()
        shutil.rmtree(folder, ignore_errors=True)


def inject(cluster: Cluster) -> None:
    """Run the workflow, and do to its trainings all that may happen to them."""
    site, note = cluster.site, cluster.faults.append
    first = cluster.start()
    orphans = cluster.catch(*TAUS, attempt=2)
    slurm_site.end(first)
    states = {site.state(job) for job in orphans.values()}
    note(("kill -9 of the driver", *states, "the next start cancels the job and submits it anew"))
    cluster.duplicate = beside(cluster, CANCELLED)

    second = cluster.start()
    jobs = cluster.catch(*TAUS, attempt=3)
    site.ask("scontrol", "update", f"jobid={jobs[LATE]}", "timelimit=1")
    site.ask("scancel", jobs[CANCELLED])
    site.kill_node("node1")
    note(("scancel", cluster.ended(jobs[CANCELLED]), "Snakemake submits a new job"))
    state = cluster.ended(jobs[LOST])
    note(("kill -9 of slurmd and all its processes", state, "SLURM starts the same job"))
    site.revive_node("node1")
    cluster.again()
    assert cluster.catch(LOST, attempt=4) == {LOST: jobs[LOST]}
    site.ask("scontrol", "requeue", jobs[LOST])
    note(
        (
            "scontrol requeue, as pre-emption does",
            cluster.ended(jobs[LOST]),
            "SLURM starts the same job",
        )
    )
    cluster.again()
    note(("time limit", cluster.ended(jobs[LATE]), "Snakemake submits a new job, with more time"))
    cluster.output, _ = second.communicate(timeout=600)
    assert second.returncode == 0, cluster.output


def beside(cluster: Cluster, tau: str) -> str:
    """What a driver on another machine would start, which cannot know of a job that still runs."""
    resolved = resolve({"preset": PRESET}, cluster.copy.root)
    (data,) = resolved.datasets.values()
    arguments = {
        "--spec": encode(resolved.model("mlp", tau, 0).train),
        "--data": str(resolved.paths.prepared(data)),
        "--out": str(cluster.pair(f"mlp/tau={tau}")[0].folder),
    }
    words = [word for pair in arguments.items() for word in pair]
    return cluster.copy.run("toporepro", "train", *words, status=1)


@pytest.mark.parametrize("name", [*(f"mlp/tau={tau}" for tau in TAUS), GREEDY])
def test_results_are_those_of_the_same_jobs_run_here(cluster: Cluster, name: str) -> None:
    ours, theirs = cluster.pair(name)
    for path in sorted(theirs.folder.rglob("*")):
        if path.suffix in (".safetensors", ".csv", ".parquet") and "state" not in path.parts:
            made = ours.folder / path.relative_to(theirs.folder)
            assert made.read_bytes() == path.read_bytes(), made


def test_nothing_half_made_is_left(cluster: Cluster) -> None:
    assert (cluster.copy.results / "report.html").exists()
    assert not list(cluster.copy.results.rglob("*.partial*"))
    assert not list(cluster.copy.results.rglob("lease.json"))


def test_each_fault_costs_an_attempt_which_goes_on_from_the_last_state(cluster: Cluster) -> None:
    for tau, faults in ((LOST, 3), (CANCELLED, 2), (LATE, 2)):
        steps = [attempt["step"] for attempt in cluster.attempts(tau)]
        assert len(steps) == 2 + faults, (tau, steps)  # the early one, and the one that ends it
        assert steps[0] == 0
        assert 0 < steps[1] <= EARLY
        assert steps[1:] == sorted(steps[1:])


def test_the_table_of_faults_is_what_happened(cluster: Cluster) -> None:
    greedy = {state for state, about in cluster.site.jobs().values() if "mlp_greedy_3" in about}
    memory = greedy - {"COMPLETED", "CANCELLED"}  # the first driver's may have been under way
    happened = [
        *cluster.faults,
        ("memory limit", *memory, "Snakemake submits a new job, with more memory"),
    ]
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    rows = [f"| {' | '.join(row)} |" for row in happened]
    assert [line for line in page.splitlines() if line.startswith("| ")][1:] == rows


def test_an_orphan_keeps_a_second_process_off_and_a_new_driver_ends_it(cluster: Cluster) -> None:
    assert "is being trained by process" in cluster.duplicate
    assert "(cluster job " in cluster.duplicate
    assert "the last run was killed; ending its" in cluster.output


def test_a_training_over_two_nodes_is_that_of_one_process(cluster: Cluster) -> None:
    ours, theirs = cluster.pair(SPREAD)
    manifest = json.loads((ours.folder / "weights.manifest.json").read_text())
    assert manifest["processes"] == 2
    found, expected = (models.load(made.weights).state_dict() for made in (ours, theirs))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-3)


def test_short_measurements_share_jobs(cluster: Cluster) -> None:
    measuring = [about for _, about in cluster.site.jobs().values() if "measur" in about]
    assert len([about for about in measuring if about.endswith("measuring_mlp_measure_model")]) == 1


def test_what_reran_is_not_called_a_failure(cluster: Cluster) -> None:
    assert "job(s) failed" not in cluster.output
    assert "0 job(s) failed" in cluster.copy.ops("failures")
