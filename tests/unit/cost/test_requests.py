"""What jobs ask a cluster for, by spec, machine and attempt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from toporepro.config import ConfigError, Resolved, resolve
from toporepro.cost.estimate import Estimator
from toporepro.cost.requests import Requests

ROOT = Path(__file__).parents[3]


def configured(machine: dict[str, Any] | None = None, preset: str = "paper") -> Resolved:
    return resolve({"preset": preset, "machine": machine or {}}, ROOT)


def asked(
    machine: dict[str, Any] | None,
    *job: str,
    training: bool = True,
    attempt: int = 1,
    preset: str = "paper",
    here: bool = False,
) -> dict[str, Any]:
    """Every resource of one job, as Snakemake evaluates them; what is None it leaves out."""
    resolved = configured(machine, preset)
    requests = Requests(resolved, Estimator(resolved, card="A100", here=here, measured=()))
    found = {}
    for name, function in requests.of(training=training).items():
        wanted = {"attempt": attempt} if name in ("mem_mb", "runtime") else {}
        found[name] = function(job, **wanted)
    return {name: value for name, value in found.items() if value is not None}


def test_one_gpu_on_one_node_unless_more_are_wanted() -> None:
    ask = asked({"gpus": {"use": True}}, "resnet50", "1", "0")
    assert {name: ask[name] for name in ask if name not in ("mem_mb", "runtime")} == {
        "gpu": 1,
        "nodes": 1,
    }
    # 1.6 EFLOP at 43 TFLOP/s are 10.3 hours: twice that, and half an hour.
    assert 20 * 60 < ask["runtime"] < 22 * 60


def test_more_gpus_take_less_time_and_more_memory_and_span_nodes() -> None:
    one = asked({"gpus": {"use": True}}, "resnet50", "1", "0")
    gpus = {"use": True, "type": "a100", "per_node": 4, "training": {"paper": {"resnet50": 8}}}
    eight = asked({"gpus": gpus}, "resnet50", "1", "0")
    assert (eight["gpu"], eight["gpu_model"], eight["nodes"]) == (8, "a100", 2)
    assert (eight["mpi"], eight["tasks"], eight["tasks_per_gpu"]) == ("srun", 2, 0)
    assert eight["runtime"] - 30 == pytest.approx((one["runtime"] - 30) / 8, rel=0.01)
    assert eight["mem_mb"] > 2 * one["mem_mb"]
    other = asked({"gpus": gpus}, "resnet18", "1", "0")
    assert (other["gpu"], other["nodes"]) == (1, 1)
    measuring = asked({"gpus": gpus}, "resnet50", "1", "0", training=False)
    assert (measuring["gpu"], measuring["nodes"]) == (1, 1)
    assert "mpi" not in measuring


def test_a_cluster_that_knows_gres_alone() -> None:
    gpus = {"use": True, "option": "gres", "per_node": 4, "training": {"paper": {"resnet50": 8}}}
    ask = asked({"gpus": gpus}, "resnet50", "1", "0")
    assert (ask["gpu"], ask["gres"], ask["nodes"]) == (0, "gpu:4", 2)
    assert asked({"gpus": gpus | {"type": "v100"}}, "resnet18", "1", "0")["gres"] == "gpu:v100:1"


def test_without_gpus_none_are_asked_for() -> None:
    for option in ("gpus", "gres"):
        ask = asked({"gpus": {"use": False, "option": option}}, "mlp", "3", "0", preset="demo")
        assert ask["gpu"] == 0
        assert "gres" not in ask
    assert asked({}, "mlp", "3", "0", preset="demo", here=True)["gpu"] == 1
    assert asked({}, "mlp", "3", "0", preset="demo", here=False)["gpu"] == 0


def test_an_attempt_after_a_failure_gets_more_up_to_the_longest_job() -> None:
    asks = [asked({}, "mlp", "3", "0", preset="demo", attempt=attempt) for attempt in (1, 2, 3)]
    assert asks[0]["mem_mb"] < asks[1]["mem_mb"] < asks[2]["mem_mb"]
    assert asks[1]["runtime"] == 2 * asks[0]["runtime"]
    long = {"gpus": {"use": True}, "longest_job": 240}
    assert asked(long, "resnet50", "1", "0", attempt=3)["runtime"] == 240


def test_cores_are_those_that_compute_and_those_that_load() -> None:
    for machine, cores in (
        ({}, 16),
        ({"loader_workers": 3}, 19),
        ({"loader_workers": 3, "gpus": {"use": True}}, 5),
        ({"loader_workers": 3, "gpus": {"use": True, "training": {"paper": {"resnet50": 4}}}}, 20),
    ):
        resolved = configured(machine)
        model = resolved.model("resnet50", "1", 0)
        estimator = Estimator(resolved, card="A100", here=False, measured=())
        assert estimator.cores(model, training=True) == cores


def test_the_sites_of_the_page_on_clusters_ask_for_what_it_says() -> None:
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    first, second = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    ask = asked(first["machine"], "resnet50", "1", "0")
    assert (ask["gpu"], ask["gpu_model"], ask["nodes"]) == (8, "a100", 2)
    assert asked(first["machine"], "resnet18", "1", "0")["gpu"] == 1
    ask = asked(second["machine"], "resnet50", "1", "0")
    assert (ask["gpu"], ask["gres"], ask["nodes"]) == (0, "gpu:v100:1", 1)
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    for site in (first, second):
        # An entry replaces the profile's whole block: what is not the site's own must stay in it.
        assert set(profile["default-resources"]) <= set(site["default-resources"])


@pytest.mark.parametrize(
    ("per_node", "training", "message"),
    [
        (8, {"resnet5": 2}, "resnet5: no such family; did you mean resnet50"),
        (8, {"resnet50": 3}, "resnet50=3: a divisor of 512 is needed"),
        (12, {"resnet18": 32}, "resnet18=32: above per_node=12, a multiple of it"),
        (8, {"resnet18": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_shared_out_is_an_error(
    per_node: int, training: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configured({"gpus": {"per_node": per_node, "training": {"paper": training}}})


def test_what_other_presets_say_of_their_families_is_left_alone() -> None:
    assert configured({"gpus": {"training": {"mini": {"anything": 2}}}})
