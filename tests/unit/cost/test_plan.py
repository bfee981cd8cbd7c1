"""What a run takes, against published formulae, real trainings, and schedules tried by hand."""

from __future__ import annotations

import functools
import importlib
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.train.tiny_training import GPT_SPEC, prototypes, sentences, tiny_spec

from toporepro.compress import parameter_count
from toporepro.config import Resolved, resolve
from toporepro.cost import plan as module
from toporepro.cost import storage, work
from toporepro.cost.estimate import Estimate, Estimator
from toporepro.cost.plan import Plan, plan, wall_seconds
from toporepro.cost.rates import Measured, Rate
from toporepro.paths import ModelPaths
from toporepro.spec import Averaging, DataSpec
from toporepro.train.run import train

ROOT = Path(__file__).parents[3]


@functools.cache
def configured(preset: str = "paper") -> Resolved:
    return resolve({"preset": preset}, ROOT)


@functools.cache
def made(preset: str = "paper", card: str = "A100") -> Plan:
    resolved = configured(preset)
    return plan(resolved, Estimator(resolved, card=card, here=preset == "paper", measured=()))


def test_language_costs_what_nanogpts_own_formula_says() -> None:
    model = configured().model("nanogpt", "1", 0)
    context, width, depth = 1024, 768, 12
    weights = parameter_count("nanogpt", 0.0) - context * width  # positions are looked up
    of_token = 6 * weights + 12 * depth * width * context
    tokens = model.train.recipe.steps * model.train.recipe.batch * context
    operations = work.training_operations(model.train)
    # Tests of 10 Mi tokens, forward alone, come to it: a little over 2 per cent.
    assert operations == pytest.approx(of_token * tokens, rel=0.03)
    assert operations is not None
    assert operations > 0.99 * of_token * tokens


def test_measuring_language_counts_what_is_shown_again() -> None:
    model = configured().model("nanogpt", "1", 0)
    spec = model.train
    held = work.extent(spec.data)
    assert held is not None
    one = work.forward_operations(spec, None)
    assert one is not None
    validation = min(work.samples(spec, held, "validation"), 10 * 2**20 // 1024)
    pairs = 67_000 * 24 / 1024
    given = model.measure.measures["compression"]
    # Sparsities of all methods but the knock-out, and that, besides the network as it is.
    again = (len(given["methods"]) - 1) * len(given["sparsities"]) + 1 + 1
    once = (1 + spec.recipe.snapshots) * (validation + pairs)
    assert work.measuring_operations(model) == pytest.approx(
        one * (once + again * (given["limit"] + pairs))
    )


def test_text_that_a_person_brings_is_not_known_before(tmp_path: Path) -> None:
    spec = DataSpec(source="text_folder", options={"folder": "books"})
    assert work.extent(spec) is None
    assert work.preparing_seconds(spec)[0] is None

    def held() -> storage.Dataset:
        return storage.datasets({"novels": spec}, tmp_path.joinpath)["novels"]

    assert held().by_hand == f"no text files (*.txt) in {tmp_path / 'books'}"
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "one.txt").write_text("A book.")
    assert (held().known, held().by_hand, held().fetched) == (False, "", 0)


def test_a_file_of_two_datasets_is_downloaded_once() -> None:
    digits = {"grey": DataSpec(source="mnist")}
    colour = {"colour": DataSpec(source="mnist", options={"channels": 3})}
    found = storage.datasets(digits | colour, Path("data").joinpath)
    assert found["grey"].fetched == storage.datasets(colour, Path)["colour"].fetched > 11e6
    assert found["colour"].fetched == 0


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (prototypes, {"model": {"hidden": 400}}),
        (prototypes, {"model": {"hidden": 400}, "optimizer": "sgd", "momentum": 0.9}),
        (prototypes, {"model": {"hidden": 400}, "average": {"decay": 0.9}}),
        (sentences, GPT_SPEC | {"model": {**GPT_SPEC["model"], "width": 64, "mlp": 256}}),
    ],
)
def test_networks_take_the_disk_that_a_training_leaves(
    tmp_path: Path, data: Any, changes: dict[str, Any]
) -> None:
    if "average" in changes:
        changes = changes | {"average": Averaging(**changes["average"])}
    spec = tiny_spec(**changes)
    out = ModelPaths(tmp_path / "network")
    train(spec, data(tmp_path / "data"), out, save_every=0.0)
    left = sum(path.stat().st_size for path in out.folder.rglob("*") if path.is_file())
    final, _ = storage.network(spec, float(out.weights.stat().st_size))
    assert final == pytest.approx(left, rel=0.12)  # histories and headers come to it


def test_weights_are_four_bytes_each() -> None:
    assert storage.weights(configured().model("resnet50", "1", 0).train) == 4 * parameter_count(
        "resnet50", 0.0
    )


def test_raw_data_are_downloaded_or_a_persons_own() -> None:
    whole = made()
    assert whole.download["fineweb_edu"] == 28.5e9
    assert "imagenet" not in whole.download
    assert "log in at https://image-net.org" in whole.by_hand["imagenet"]
    assert whole.disk["raw data"] > 150e9 + sum(whole.download.values())
    assert whole.peak > sum(whole.disk.values())
    released = made("released")
    assert released.download["published checkpoints"] == pytest.approx(
        sum(
            storage.weights(model.train)
            for model in configured("released").models
            if model.train.checkpoint and model.train.checkpoint.url
        )
    )


def test_hours_are_those_of_the_jobs_and_fall_with_faster_cards() -> None:
    resolved = configured()
    estimator = Estimator(resolved, card="A100", here=True, measured=())
    hours = 0.0
    for model in resolved.models:
        for job in (estimator.train(model), estimator.measure(model)):
            assert job.seconds is not None
            hours += job.gpus * job.seconds / 3600
    assert made().gpu_hours == pytest.approx(hours)
    assert made(card="H200").gpu_hours < 0.5 * hours
    # ffcv-imagenet: 187 minutes for 88 epochs on one A100, which the rate was taken from.
    mine = next(line for line in made().lines if (line.rule, line.subject) == ("train", "resnet18"))
    assert mine.hours == pytest.approx(7 * 187 / 60, rel=0.01)
    assert "FLOP estimate" in mine.source


def test_a_benchmark_goes_before_what_others_published() -> None:
    measured = (Measured("NVIDIA H200", "resnet18", 3e14, 1, "2026-01-01"),)
    resolved = configured()
    estimator = Estimator(resolved, card="H200", here=True, measured=measured)
    lines = {(line.rule, line.subject): line for line in plan(resolved, estimator).lines}
    assert lines["train", "resnet18"].source == "measured on NVIDIA H200, 2026-01-01"
    assert "FLOP estimate" in lines["train", "resnet50"].source


class Fixed:
    """Jobs of given lengths, in the place of an estimator."""

    def __init__(self, chains: list[tuple[float, float]], gpus: int = 1) -> None:
        self.chains, self.gpus = chains, gpus

    def train(self, model: int) -> Estimate:
        return Estimate(self.chains[model][0], self.gpus, 2, Rate(1.0, False, ""))

    def measure(self, model: int) -> Estimate:
        return Estimate(self.chains[model][1], 1, 2, Rate(1.0, False, ""))


def walls(chains: list[tuple[float, float]], lanes: int, gpus: int = 1) -> Any:
    class Number(int):
        train = type("", (), {"checkpoint": None})

    resolved: Any = type("", (), {"models": [Number(index) for index in range(len(chains))]})
    fixed: Any = Fixed(chains, gpus)
    return wall_seconds(resolved, fixed, lanes)


@given(
    chains=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9)), min_size=1, max_size=9),
    lanes=st.integers(1, 5),
)
def test_wall_time_lies_within_grahams_bounds(chains: list[tuple[int, int]], lanes: int) -> None:
    found = walls([(float(a), float(b)) for a, b in chains], lanes)
    total, longest = sum(map(sum, chains)), max(map(sum, chains))
    assert max(total / lanes, longest) - 1e-9 <= found
    assert found <= total / lanes + (1 - 1 / lanes) * longest + 1e-9
    if lanes == 1:
        assert found == total


def test_wall_time_by_hand() -> None:
    assert walls([(5.0, 1.0), (4.0, 1.0), (3.0, 1.0)], 2) == 8.0
    assert walls([(5.0, 1.0), (4.0, 1.0)], 4, gpus=4) == 10.0
    assert walls([(5.0, 1.0)], 2, gpus=4) is None


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "workflow" / "ops")
    monkeypatch.chdir(ROOT)
    return importlib.import_module("plan")


def test_what_is_printed_ends_with_the_hours(verb: Any, capsys: Any) -> None:
    assert verb.plan("paper", "H200", "default") == 0
    lines = capsys.readouterr().out.splitlines()
    number = rf"{made(card='H200').gpu_hours:,.1f}"
    assert re.fullmatch(rf"total: [\d,.]+ core-hours, {re.escape(number)} GPU-hours", lines[-1])
    told = "\n".join(lines)
    for part in ("jobs: 1 all, ", "download: 40", "by hand: imagenet: log in", "FLOP estimate"):
        assert part in told
    single = sum(len(family.taus) for family in configured().preset.families.values())
    for words, count in (("one seed", single), ("3 seeds", 3 * single)):
        assert re.search(rf"{words} of each family: {count} networks, [\d.]+ GPU-hours", told)


def test_the_profile_says_what_the_nodes_are_like(verb: Any, capsys: Any) -> None:
    totals = {}
    for profile in ("default", "slurm"):
        verb.plan("paper", "A100", profile)
        last = capsys.readouterr().out.splitlines()[-1]
        totals[profile] = [float(word.replace(",", "")) for word in re.findall(r"[\d,.]*\d", last)]
    assert totals["slurm"][1] == totals["default"][1]
    assert totals["slurm"][0] > 6 * totals["default"][0]  # 16 cores beside each card, not two


def test_seeds_are_a_familys_own_first(verb: Any) -> None:
    resolved = configured()
    for count in (1, 3):
        content = verb.with_seeds({"preset": "paper"}, resolved, count)
        families = resolve(content, ROOT).preset.families
        assert {tuple(family.seeds) for family in families.values()} == {tuple(range(count))}
    released = configured("released")
    assert len(resolve(verb.with_seeds({"preset": "released"}, released, 3), ROOT).models) == len(
        released.models
    )


def test_planning_a_run_at_its_start_needs_no_torch() -> None:
    """The workflow's rules read estimates, which must not slow down its start."""
    program = "import sys, toporepro.cost.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_report_is_given_a_line_for_each_rule_and_family() -> None:
    resolved = configured()
    lines = module.planned(resolved, Estimator(resolved, card="A100", here=True, measured=()))
    hours = sum(line["hours"] for line in lines)
    assert hours == pytest.approx(made().gpu_hours)  # one card a job
    rules = {(line["rule"], line["family"]) for line in lines}
    families = {model.family for model in resolved.models}
    assert rules == set(itertools.product(("train_model", "measure_model"), families))
