"""The workflow on a real SLURM: the same results as those of the same jobs run here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import slurm_site
from tests.e2e.conftest import Copy, copy_repository
from tests.e2e.slurm_site import Site
from toporepro import models
from toporepro.config import resolve
from toporepro.data.prepare import prepare
from toporepro.measure.run import measure
from toporepro.paths import ModelPaths
from toporepro.train.run import train

pytestmark = pytest.mark.e2e
PRESET = "tests/presets/cluster.yaml"
ALONE = ("mlp/tau=0", "mlp/tau=1", "mlp/tau=3", "mlp_greedy/tau=3")
SPREAD = "mlp_spread/tau=3"
MACHINE = """
machine:
  loader_workers: 0
  gpus: {use: true, type: a100, per_node: 1, training: {cluster: {mlp_spread: 2}}}
"""
PROFILE = """
slurm-init-seconds-before-status-checks: 3
"""


@dataclass
class Cluster:
    """A site, and a copy of the repository whose workflow runs on it.

    Attributes:
        undisturbed: folder of the same networks, trained and measured here, one after the other.
        output: what the run printed.
    """

    site: Site
    copy: Copy
    undisturbed: Path
    output: str = ""

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "workflow/ops", "reproduce", "--profile", "slurm"]
        return subprocess.Popen(
            [*command, "--preset", PRESET],
            cwd=self.copy.root,
            env=self.copy.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pair(self, name: str) -> tuple[ModelPaths, ModelPaths]:
        """A network as the workflow made it, and as it was made here."""
        ours = self.copy.results / "models" / name / "seed=0"
        return ModelPaths(ours), ModelPaths(self.undisturbed / name / "seed=0")


def undisturbed(copy: Copy, folder: Path) -> None:
    """Prepare the data of the copy; train and measure each network here."""
    resolved = resolve({"preset": PRESET}, copy.root)
    (data,) = resolved.datasets.values()
    index = copy.root / resolved.paths.prepared(data)
    prepare(data, copy.root / "data", index)
    for model in resolved.models:
        out = ModelPaths(folder / model.family / f"tau={model.tau}" / "seed=0")
        train(model.train, index, out)
        measure(model.measure, out, index)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := slurm_site.unavailable():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets want short names
    site = Site(folder)
    drivers: list[subprocess.Popen[str]] = []
    try:
        site.start()
        copy = copy_repository(tmp_path_factory.mktemp("cluster") / "repository")
        copy.preset = PRESET
        profile = copy.root / "workflow/profiles/slurm"
        (profile / "machine.yaml").write_text(MACHINE)
        with (profile / "config.yaml").open("a") as file:
            file.write(PROFILE)
        made = Cluster(site, copy, tmp_path_factory.mktemp("undisturbed"))
        undisturbed(copy, made.undisturbed)
        drivers.append(made.start())
        made.output, _ = drivers[-1].communicate(timeout=300)
        assert drivers[-1].returncode == 0, made.output
        yield made
    finally:
        for driver in drivers:
            slurm_site.end(driver)
        site.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", ALONE)
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


def test_a_training_over_two_nodes_is_that_of_one_process(cluster: Cluster) -> None:
    import torch

    ours, theirs = cluster.pair(SPREAD)
    manifest = json.loads((ours.folder / "weights.manifest.json").read_text())
    assert manifest["processes"] == 2
    found, expected = (models.load(made.weights).state_dict() for made in (ours, theirs))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-3)


def test_short_measurements_share_jobs(cluster: Cluster) -> None:
    measuring = [about for _, about in cluster.site.jobs().values() if "measur" in about]
    assert len([about for about in measuring if about.endswith("measuring_mlp_measure_model")]) == 1
