"""What reruns: exactly what a change touches. All on one finished run of the tiny preset."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy, job_counts

pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def edited(copy: Copy, file: str, old: str, new: str) -> Iterator[None]:
    before = (copy.root / file).read_text()
    copy.edit(file, old, new)
    try:
        yield
    finally:
        (copy.root / file).write_text(before)


def override(**changes: object) -> str:
    return f"overrides={json.dumps({'tiny': changes})}"


def test_a_run_ends_with_claims_and_pages(finished: Copy) -> None:
    output = finished.first_output
    for page in ("report", "explorer"):
        assert f"{page}: results/{finished.results.name}/{page}.html" in output
    for name in (
        "report.html",
        "explorer.html",
        "snakemake-report.html",
        "claims.csv",
        "tables/measures.csv",
    ):
        assert (finished.results / name).stat().st_size > 100


def test_the_report_s_rule_graph_is_snakemake_s(finished: Copy) -> None:
    dot = finished.plan("--rulegraph")
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    group = {number: "figures" if name.startswith("draw_") else name
             for number, name in names.items()}  # fmt: skip
    told = {(group[a], group[b]) for a, b in re.findall(r"(\d+) -> (\d+)", dot)}
    page = (finished.results / "report.html").read_text()
    (words,) = re.findall(r'<desc id="rules-words">(.*?)\.</desc>', page)
    drawn = {
        (maker, line.split(" reads from ")[0])
        for line in words.split("; ")
        if " reads from " in line
        for maker in line.split(" reads from ")[1].split(", ")
    }
    assert drawn < told
    # Snakemake's also has what the report's ledger lists, and the rule `all`.
    assert {reader for _, reader in told - drawn} == {"all", "write_report"}


def test_the_readme_takes_table_and_figure_from_the_run(finished: Copy) -> None:
    before = (finished.root / "README.md").read_text()
    finished.ops("readme", "--preset", finished.preset)
    after = (finished.root / "README.md").read_text()
    try:
        table = (finished.results / "summary.md").read_text()
        assert table in after
        assert table not in before
        for name, place in (("claims.csv", ""), ("orientation_maps.png", "figures")):
            copy = finished.root / "docs/record" / name
            assert copy.read_bytes() == (finished.results / place / name).read_bytes()
        assert finished.jobs() == {}, "the README is nothing that rules read or write"
    finally:
        finished.run("git", "checkout", "README.md", "docs/record")
    told = finished.ops("readme", "--preset", "demo", status=1)
    assert "results/demo is not complete; run: make reproduce PRESET=demo" in told


def test_a_second_run_does_nothing(finished: Copy) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.results.rglob("*.csv")}
    assert "Nothing to be done" in finished.reproduce()
    assert before == {path: path.stat().st_mtime_ns for path in finished.results.rglob("*.csv")}


def test_touching_sources_and_config_reruns_nothing(finished: Copy) -> None:
    for folder in ("workflow", "config", "tests/presets"):
        for path in (finished.root / folder).rglob("*.*"):
            os.utime(path)
    assert finished.jobs() == {}


def test_editing_a_comment_or_a_docstring_reruns_nothing(finished: Copy) -> None:
    path = finished.root / "workflow/toporepro/train/run.py"
    before = path.read_text()
    path.write_text('"""Another docstring."""\n# a comment\n' + before.split('"""', 2)[2])
    try:
        assert finished.jobs() == {}
    finally:
        path.write_text(before)


def test_a_new_tau_trains_only_the_new_model(finished: Copy) -> None:
    jobs = finished.jobs(override(families={"mlp": {"taus": [0, 1, 3]}}))
    assert (jobs["train_model"], jobs["measure_model"]) == (1, 1)
    assert "prepare_data" not in jobs


ONE = """
about: One family.
snapshots: 2
data:
  digits: {source: digits}
  world_a: {source: image_world, options: {world: A, size: 24, train: 10, test: 5, localizer: 1}}
families:
  mlp:
    label: MLP
    architecture: mlp
    model: {hidden: 64}
    data: digits
    phi: 4
    taus: [0]
    seeds: [0]
    recipe: {optimizer: adam, lr: 0.001, batch: 64, epochs: 1}
    measures: [smoothness]
measures: {smoothness: {}}
figures: {}
"""
ANOTHER = """  resnet18:
    label: ResNet-18
    architecture: resnet18
    model: {width: 0.25}
    data: world_a
    phi: 2
    taus: [0]
    seeds: [0]
    recipe: {optimizer: sgd, lr: 0.1, batch: 40, epochs: 1}
    measures: [smoothness]
"""


def test_the_first_family_with_fields_of_its_own_reruns_no_other(
    fresh: Copy, finished: Copy
) -> None:
    shutil.copytree(finished.root / "data", fresh.root / "data")
    preset = fresh.root / "tests/presets/one.yaml"
    preset.write_text(ONE)
    fresh.preset = "tests/presets/one.yaml"
    fresh.snakemake("models", "measurements", "--config", f"preset={fresh.preset}")
    assert fresh.jobs().keys() & {"train_model", "measure_model"} == set()
    preset.write_text(
        ONE.replace("measures: {smoothness: {}}", ANOTHER + "measures: {smoothness: {}}")
    )
    jobs = fresh.jobs()
    assert (jobs["train_model"], jobs["measure_model"]) == (1, 1)


def test_a_changed_recipe_trains_that_family_and_names_the_field(finished: Copy) -> None:
    change = override(families={"resnet18": {"recipe": {"lr": 0.05}}})
    plan = finished.plan(change)
    assert job_counts(plan)["train_model"] == 2
    assert "before: 'recipe.lr=0.1' now: 'recipe.lr=0.05'" in plan
    assert "differs from the preset: families.resnet18.recipe.lr: 0.1 → 0.05" in plan


def test_a_changed_style_redraws_and_trains_nothing(finished: Copy) -> None:
    jobs = finished.jobs(override(style={"dpi": 100}))
    assert jobs
    assert all(rule.startswith("draw_") or rule in ("write_report", "all") for rule in jobs)


def test_a_changed_measure_keeps_the_networks(finished: Copy) -> None:
    jobs = finished.jobs(override(measures={"smoothness": {"shuffles": 7}}))
    assert jobs["measure_model"] == 6
    assert "train_model" not in jobs


def test_an_edit_of_the_training_code_retrains_and_names_the_module(finished: Copy) -> None:
    path = finished.root / "workflow/toporepro/train/run.py"
    before = path.read_text()
    path.write_text(before + "\n\nCHANGED = 1\n")
    try:
        plan = finished.plan()
        assert job_counts(plan)["train_model"] == 6
        assert "code of toporepro.train.run" in plan
    finally:
        path.write_text(before)
    assert finished.jobs() == {}


def test_an_accepted_edit_reruns_nothing(finished: Copy) -> None:
    path = finished.root / "workflow/toporepro/train/run.py"
    accepted = finished.root / "workflow/toporepro/accepted.json"
    before, earlier = path.read_text(), accepted.read_text() if accepted.exists() else None
    path.write_text(before + "\n\nHARMLESS = 1\n")
    try:
        finished.ops("accept", "toporepro.train.run", "--reason", "a constant nobody reads")
        assert finished.jobs() == {}
    finally:
        path.write_text(before)
        accepted.unlink() if earlier is None else accepted.write_text(earlier)


def test_one_figure_can_be_asked_for(finished: Copy, tmp_path: Path) -> None:
    figures = finished.results / "figures"
    target = figures / "performance_vs_smoothness.png"
    shutil.copytree(figures, kept := tmp_path / "figures")
    target.unlink()
    output = finished.ops("figure", "performance_vs_smoothness", "--preset", finished.preset)
    assert "performance_vs_smoothness.png" in output
    assert target.exists()
    wrong = finished.ops("figure", "performance", "--preset", finished.preset, status=2)
    assert "did you mean" in wrong
    assert "performance_vs_smoothness" in wrong
    shutil.copytree(kept, figures, dirs_exist_ok=True)  # or the report would be older


def test_a_wrong_key_is_named_with_its_neighbour(finished: Copy) -> None:
    change = override(families={"mlp": {"recipe": {"lrr": 0.1}}})
    output = finished.run(
        "snakemake", "--cores", "1", "-n", "--config", f"preset={finished.preset}", change, status=1
    )
    assert "families.mlp.recipe.lrr: unknown key; did you mean lr?" in output
    assert "Traceback" not in output


def test_training_by_hand_gives_the_same_bytes(finished: Copy, tmp_path: Path) -> None:
    folder = finished.results / "models/mlp/tau=3/seed=0"
    manifest = json.loads((folder / "weights.manifest.json").read_text())
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(manifest["spec"]))
    (index,) = (finished.root / "data/prepared").glob("digits-*/dataset.json")
    finished.run(
        "toporepro",
        "train",
        "--spec",
        str(spec),
        "--data",
        str(index),
        "--out",
        str(tmp_path / "m"),
    )
    weights = [(path / "weights.safetensors").read_bytes() for path in (folder, tmp_path / "m")]
    assert weights[0] == weights[1]
