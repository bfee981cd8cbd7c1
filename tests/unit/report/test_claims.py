"""Claims: the paper's own numbers back from its points, verdicts from columns, gaps said."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recomputed
import synthetic
import yaml

from toporepro.report import claims, tables, verdicts
from toporepro.report.dimensionality import centred, correlation
from toporepro.report.render import render_terminal
from toporepro.report.selection import published_points, topographic_points
from toporepro.spec import SpecError

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "config/paper/figures.csv"
CLAIMS: dict[str, Any] = yaml.safe_load((ROOT / "config/paper/claims.yaml").read_text())

Rows = list[dict[str, Any]]


def spec(families: dict[str, Any], preset: str = "demo", **more: Any) -> dict[str, Any]:
    return {"preset": preset, "families": families, **copy.deepcopy(CLAIMS), **more}


def run(
    tmp_path: Path,
    families: dict[str, Any],
    value_of: Callable[..., dict[str, float]] = synthetic.values,
    preset: str = "demo",
    **more: Any,
) -> Rows:
    folders = synthetic.write(tmp_path / "results", families, preset, value_of)
    tables.collect(folders, tmp_path / "tables")
    content = spec(families, preset, **more)
    return claims.evaluate(content, tmp_path / "tables", PUBLISHED, tmp_path / "claims.csv")


def by_id(rows: Rows) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, run(folder, synthetic.demo_families())


def imagenet(seeds: list[int], taus: tuple[str, ...] = ("0", "1", "5", "10", "50")) -> Any:
    return {
        "resnet18": synthetic.family("ResNet-18", "resnet18", "imagenet", taus, seeds),
        "resnet50": synthetic.family("ResNet-50", "resnet50", "imagenet", taus, seeds),
    }


# The figure's correlations


@pytest.mark.parametrize(
    ("panel", "x", "r", "p"),
    [
        ("vision_ed_vs_accuracy", "imagenet_top1_pct", 0.64, 0.06),
        ("vision_ed_vs_smoothness", "smoothness", -0.85, 0.0034),
        ("language_ed_vs_blimp", "blimp_accuracy", 0.37, 0.41),
        ("language_ed_vs_smoothness", "smoothness", -0.96, 0.0005),
    ],
)
def test_the_paper_s_points_give_the_paper_s_correlations(
    panel: str, x: str, r: float, p: float
) -> None:
    published = tables.read_published(PUBLISHED)
    points = topographic_points(published_points(published, panel, "dimensionality"))
    found = correlation(points, x, "effective_dimensionality")
    assert found is not None
    assert found.r == pytest.approx(r, abs=0.01)
    assert found.p == pytest.approx(p, abs=0.007)
    assert found.n == (9 if panel.startswith("vision") else 7)


@pytest.mark.parametrize(
    ("domain", "accuracy", "r"),
    [
        ("vision_ed_vs_accuracy", "imagenet_top1_pct", 0.96),
        ("language_ed_vs_blimp", "blimp_accuracy", 0.94),
    ],
)
def test_within_families_dimensionality_follows_performance(
    domain: str, accuracy: str, r: float
) -> None:
    published = tables.read_published(PUBLISHED)
    points = topographic_points(published_points(published, domain, "dimensionality"))
    other = domain.split("_")[0] + "_ed_vs_smoothness"
    smooth = published_points(published, other, "dimensionality")[["family", "tau", "smoothness"]]
    both = points.merge(smooth, on=["family", "tau"])
    performance, topography, t, p = centred(
        both, accuracy, "smoothness", "effective_dimensionality"
    )
    assert performance.r == pytest.approx(r, abs=0.005)
    assert topography.r < -0.96
    assert (t > 0) == (abs(topography.r) > performance.r)
    assert 0 < p < 1


def test_what_the_paper_s_points_say_of_competitors() -> None:
    points = published_points(tables.read_published(PUBLISHED), "vision", "performance")
    nets = topographic_points(points)
    for name in ("llcnn-g", "tdann"):
        rival = points[points.family == name].iloc[0]
        above = (nets.imagenet_top1_pct > rival.imagenet_top1_pct) & (
            nets.smoothness > rival.smoothness
        )
        assert (int(above.sum()), len(nets)) == (6, 9)


# The demo


def test_smoothness_rises_in_both_families(demo: tuple[Path, Rows]) -> None:
    rows = by_id(demo[1])
    mlp, resnet = rows["smoothness_rises/mlp"], rows["smoothness_rises/resnet18"]
    assert resnet["p"] == pytest.approx(1 / 120)
    assert mlp["p"] == pytest.approx(1 / 14400)
    assert mlp["p_holm"] == pytest.approx(2 / 14400)
    assert mlp["verdict"] == verdicts.REPRODUCED
    assert resnet["verdict"] == verdicts.THESE
    assert "across seeds not tested" in resnet["sentence"]


def test_demo_is_never_on_the_paper_s_axes(demo: tuple[Path, Rows]) -> None:
    rows = by_id(demo[1])
    for name in ("llcnn-g", "tdann"):
        row = rows[f"above_competitors/{name}"]
        assert row["verdict"] == verdicts.NOT_COMPARABLE
        assert row["effect"] is None
        assert "train_model, measure_model" in row["missing"]
    assert rows["accuracy_at_matched_smoothness/tdann"]["verdict"] == verdicts.NOT_COMPARABLE


def test_dimensionality_is_reported_and_not_claimed_in_demo(demo: tuple[Path, Rows]) -> None:
    row = by_id(demo[1])["dimensionality_falls/resnet18"]
    assert row["verdict"] == verdicts.NOT_TESTABLE
    assert row["p"] == pytest.approx(1 / 120)
    assert row["p_holm"] is None
    assert row["effect"] == pytest.approx(-1)


def test_controls(demo: tuple[Path, Rows]) -> None:
    rows = by_id(demo[1])
    for claim in ("smooth_with_random_labels", "smooth_without_task"):
        found = [row for row in demo[1] if row["claim"] == claim]
        assert len(found) == 2
        assert all(0.8 < row["effect"] < 1.2 and row["verdict"] == verdicts.THESE for row in found)
    for claim in ("untrained_not_smooth", "baseline_not_smooth"):
        assert rows[f"{claim}/mlp"]["effect"] < 0.1


def test_verdicts_follow_from_the_written_columns(demo: tuple[Path, Rows]) -> None:
    rows = claims.read_claims(demo[0] / "claims.csv")
    assert rows == demo[1]
    assert {verdicts.verdict(row) for row in rows} <= set(verdicts.VERDICTS)
    for row in rows:
        assert verdicts.verdict(row) == row["verdict"]
        text = row["sentence"].lower()
        word = {verdicts.REPRODUCED: "reproduced across"}.get(row["verdict"], row["verdict"])
        assert word in text


def test_markdown_and_manifest(demo: tuple[Path, Rows]) -> None:
    folder, rows = demo
    text = (folder / "claims.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == len(rows) + 1
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert all(row["sentence"] in text for row in rows)
    manifest = json.loads((folder / "claims.manifest.json").read_text())
    assert set(manifest["outputs"]) == {"claims.csv", "claims.md", "summary.md"}


def test_the_summary_says_a_claim_once_and_leaves_out_networks_without_a_value(
    demo: tuple[Path, Rows],
) -> None:
    folder, rows = demo
    lines = (folder / "summary.md").read_text().splitlines()
    assert lines[0] == "| claim | network | paper | ours (demo) | P (Holm) | verdict |"
    cells = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines[2:]]
    assert all(len(row) == 6 for row in cells)
    said = [row[0] for row in cells if row[0]]
    assert said == list(dict.fromkeys(row["statement"] for row in rows)), "every claim, once"
    shown = [(row["family"] or "all", row["verdict"]) for row in rows if row["ours"]]
    assert [(row[1], row[5]) for row in cells if row[3] != "–"] == shown
    for claim in {row["statement"] for row in rows}:
        ours = [row["ours"] for row in rows if row["statement"] == claim]
        assert any(ours) or (cells[[row[0] for row in cells].index(claim)][3] == "–")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_the_terminal_table_keeps_its_width(demo: tuple[Path, Rows], width: int) -> None:
    text = render_terminal(demo[1], width)
    assert max(map(len, text.splitlines())) <= width
    joined = " ".join(text.split())
    for row in demo[1]:
        assert row["statement"] in joined
        assert row["verdict"] in joined


def test_no_claims_no_table() -> None:
    assert render_terminal([]) == ""


# Verdicts as a function


def row(**more: Any) -> dict[str, Any]:
    base = {
        "comparable": True, "testable": True, "effect": 1.0, "direction": "above", "bound": 0.0,
        "paper_number": None, "scope": "trainings", "p": 0.01, "p_holm": 0.02, "smallest_p": 0.001,
        "alpha": 0.05, "seeds": 3, "agree": 1.0,
    }  # fmt: skip
    return {**base, **more}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, verdicts.REPRODUCED),
        ({"comparable": False}, verdicts.NOT_COMPARABLE),
        ({"testable": False}, verdicts.NOT_TESTABLE),
        ({"effect": None}, verdicts.NOT_TESTABLE),
        ({"effect": -1.0}, verdicts.NOT_REPRODUCED),
        ({"effect": -1.0, "direction": "below"}, verdicts.REPRODUCED),
        ({"direction": "within", "paper_number": 0.9, "bound": 0.2}, verdicts.REPRODUCED),
        ({"direction": "within", "paper_number": 0.5, "bound": 0.2}, verdicts.NOT_REPRODUCED),
        ({"p": 0.2, "p_holm": 0.4}, verdicts.NOT_REPRODUCED),
        ({"p_holm": 0.08}, verdicts.THESE),
        ({"seeds": 1}, verdicts.THESE),
        ({"p": 0.25, "p_holm": 0.5, "smallest_p": 0.25}, verdicts.THESE),
        ({"p": 0.25, "p_holm": 0.5, "smallest_p": 0.25, "agree": 0.5}, verdicts.NOT_REPRODUCED),
        ({"p": None, "p_holm": None, "smallest_p": None}, verdicts.THESE),
        ({"p": None, "p_holm": None, "smallest_p": None, "agree": 0.5}, verdicts.NOT_REPRODUCED),
        ({"scope": "networks", "p": 0.9}, verdicts.THESE),
    ],
)
def test_verdict(more: dict[str, Any], expected: str) -> None:
    assert verdicts.verdict(row(**more)) == expected


def test_one_seed_is_never_reproduced() -> None:
    choices = itertools.product(
        (-1.0, 1.0, None), (None, 0.001, 0.5), (1 / 120, 0.5), ("trainings", "networks"), (0.5, 1.0)
    )
    for effect, p, smallest, scope, agree in choices:
        one = row(
            seeds=1, effect=effect, p=p, p_holm=p, smallest_p=smallest, scope=scope, agree=agree
        )
        assert verdicts.verdict(one) != verdicts.REPRODUCED


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    folder = tmp_path_factory.mktemp("paper")
    return folder, run(folder, imagenet([0, 1, 2]), preset="paper", calibrated=True)


@pytest.mark.parametrize("world", ["demo", "paper"])
def test_all_that_is_decided_follows_from_the_other_columns(
    world: str, request: pytest.FixtureRequest
) -> None:
    folder, _ = request.getfixturevalue(world)
    written = claims.read_claims(folder / "claims.csv")
    decided = ("p_holm", "verdict", "sentence")
    again = [{**row, **dict.fromkeys(decided)} for row in written]
    verdicts.decide(again)
    assert again == written


@pytest.mark.parametrize("world", ["demo", "paper"])
def test_all_numbers_follow_from_the_data_in_the_row(
    world: str, request: pytest.FixtureRequest
) -> None:
    written = claims.read_claims(request.getfixturevalue(world)[0] / "claims.csv")
    kinds = Counter(recomputed.check(row) for row in written)
    assert kinds["trend_over_tau"] == 4
    assert kinds["pooled_correlation"] == 2
    assert kinds["centred_comparison"] == 1
    on_imagenet = kinds["above_competitor"] == 2 and kinds["matched_smoothness"] == 1
    assert on_imagenet == (world == "paper")
    intervals = {row["test"] for row in written if row["low"] is not None}
    assert ("change_from_baseline" in intervals) == (world == "paper")


def test_all_numbers_of_the_committed_record_follow_from_its_data() -> None:
    kinds = {recomputed.check(row) for row in claims.read_claims(ROOT / "docs/record/claims.csv")}
    assert kinds >= {
        "trend_over_tau", "quiet_ratio", "centred_comparison", "maps_follow_representation",
        "brain_against_baseline", "drop_over_paradigms", "trend_over_steps",
    }  # fmt: skip


def test_every_kind_of_test_can_be_computed_anew() -> None:
    assert recomputed.OF_KIND.keys() == claims.KINDS.keys()


# Other worlds


def test_a_design_that_cannot_reach_alpha_is_no_test(tmp_path: Path) -> None:
    mlp = {"mlp": synthetic.demo_families()["mlp"]}
    few = {
        "vit_b_32": synthetic.family("ViT", "vit_b_32", "image_world", ["0", "10"]),
        "resnet50": synthetic.family("ResNet-50", "resnet50", "image_world", ["0", "10"], [0, 1]),
    }
    alone = by_id(run(tmp_path / "alone", mlp))
    rows = by_id(run(tmp_path / "both", {**mlp, **few}))
    found = rows["smoothness_rises/mlp"]
    assert found["p_holm"] == alone["smoothness_rises/mlp"]["p_holm"] == found["p"]
    for name, smallest in (("vit_b_32", 1 / 2), ("resnet50", 1 / 4)):
        row = rows[f"smoothness_rises/{name}"]
        assert row["p"] == row["smallest_p"] == pytest.approx(smallest)
        assert row["p_holm"] is None
        assert row["verdict"] == verdicts.THESE
        assert f"P = {smallest:g}; so few networks cannot reach 0.05" in row["sentence"]
        assert row["sentence"].endswith("Holds for these networks; across seeds not tested.")


def test_a_trend_that_is_not_there_is_not_reproduced(tmp_path: Path) -> None:
    def flat(name: str, entry: Any, tau: str, seed: int, step: int) -> dict[str, float]:
        values = synthetic.values(name, entry, "0", seed, step)
        return {**values, "smoothness_minus_null": 0.3 - 0.001 * float(tau) + 0.01 * seed}

    rows = by_id(run(tmp_path, imagenet([0, 1]), flat, "paper"))
    found = rows["smoothness_rises/resnet18"]
    assert found["verdict"] == verdicts.NOT_REPRODUCED
    assert found["p"] > 0.9
    assert "Not reproduced" in found["sentence"]
    assert "smoothness_rises/resnet18" in claims.failed(rows.values())


def test_three_seeds_bring_intervals_and_reproduction(tmp_path: Path) -> None:
    rows = by_id(run(tmp_path, imagenet([0, 1, 2]), preset="paper", calibrated=True))
    small = rows["accuracy_at_small_tau/resnet50"]
    assert small["low"] < small["effect"] < small["high"]
    assert small["seeds"] == 3
    assert "95 % interval" in small["sentence"]
    assert rows["untrained_not_smooth/resnet18"]["verdict"] == verdicts.REPRODUCED
    assert rows["dimensionality_falls/resnet18"]["verdict"] == verdicts.REPRODUCED
    tested = [found["p"] for found in rows.values() if found["p_holm"] is not None]
    assert min(found["p_holm"] for found in rows.values() if found["p_holm"]) == pytest.approx(
        min(tested) * len(tested)
    )


def test_competitors_on_the_paper_s_axes(tmp_path: Path) -> None:
    def paper_like(name: str, entry: Any, tau: str, seed: int, step: int) -> dict[str, float]:
        values = synthetic.values(name, entry, tau, seed, step)
        published = {"0": (0.711, 0.17), "5": (0.661, 0.72), "10": (0.6345, 0.82)}
        accuracy, smoothness = published[tau]
        return {**values, "accuracy": accuracy, "smoothness": smoothness}

    families = {"resnet18": imagenet([0], ("0", "5", "10"))["resnet18"]}
    rows = by_id(run(tmp_path, families, paper_like, "paper", calibrated=True))
    both = rows["above_competitors/tdann"]
    assert both["verdict"] == verdicts.THESE
    assert both["effect"] == pytest.approx(0.5)  # τ = 10, not τ = 5
    margin = rows["accuracy_at_matched_smoothness/tdann"]
    by_hand = 66.1 + (63.45 - 66.1) * (0.8161 - 0.72) / (0.82 - 0.72) - 43.9
    assert margin["effect"] == pytest.approx(by_hand)
    uncalibrated = run(tmp_path / "again", families, paper_like, "paper")
    assert by_id(uncalibrated)["above_competitors/tdann"]["verdict"] == verdicts.NOT_COMPARABLE
    assert by_id(uncalibrated)["above_competitors/tdann"]["effect"] == pytest.approx(0.5)


def test_smoothness_that_brackets_nothing(tmp_path: Path) -> None:
    families = {"resnet18": imagenet([0], ("0", "1"))["resnet18"]}
    found = by_id(run(tmp_path, families, preset="paper", calibrated=True))
    row = found["accuracy_at_matched_smoothness/tdann"]
    assert row["verdict"] == verdicts.NOT_TESTABLE
    assert "more τ" in row["missing"]


def test_performance_matched_control(tmp_path: Path) -> None:
    # τ = 0 reaches accuracy 0.5, 0.6, 0.7 at steps 12, 50, 200 with ED 10, 20, 30;
    # τ = 5 ends at accuracy 0.65, where τ = 0 had ED 25; its own is 15: −40 %.
    path = {0: (0.1, 5.0), 3: (0.4, 8.0), 12: (0.5, 10.0), 50: (0.6, 20.0), 200: (0.7, 30.0)}

    def world(name: str, entry: Any, tau: str, seed: int, step: int) -> dict[str, float]:
        values = synthetic.values(name, entry, tau, seed, step)
        accuracy, ed = path[step] if tau == "0" else (0.65, 15.0)
        return {**values, "accuracy": accuracy, "effective_dimensionality": ed}

    families = {"resnet18": imagenet([0, 1], ("0", "5"))["resnet18"]}
    found = by_id(run(tmp_path, families, world, "paper"))[
        "topography_over_performance_matched/resnet18"
    ]
    assert found["effect"] == pytest.approx(15 / 25 - 1)
    assert found["verdict"] == verdicts.THESE
    assert found["n"] == 2
    assert "2 of 2 networks matched" in found["sentence"]


def test_pooled_and_centred_correlations_of_ours(tmp_path: Path) -> None:
    rows = by_id(run(tmp_path, imagenet([0, 1]), preset="paper", calibrated=True))
    pooled = rows["dimensionality_and_smoothness_pooled"]
    assert pooled["n"] == 8  # 2 families × 4 τ > 0, seeds averaged
    assert pooled["effect"] < -0.8
    assert "pseudo-replicated" in pooled["sentence"].lower()
    assert pooled["p_holm"] is None
    assert rows["topography_over_performance_centred"]["verdict"] in (
        verdicts.THESE,
        verdicts.NOT_REPRODUCED,
    )


# Missing data


def test_missing_networks_are_named_with_their_rule(tmp_path: Path) -> None:
    families = synthetic.demo_families()
    trained = {**families, "resnet18": {**families["resnet18"], "taus": ["0", "1"]}}
    folders = synthetic.write(tmp_path / "results", trained)
    tables.collect(folders, tmp_path / "tables")
    rows = by_id(
        claims.evaluate(spec(families), tmp_path / "tables", PUBLISHED, tmp_path / "claims.csv")
    )
    found = rows["smoothness_rises/resnet18"]
    assert found["verdict"] == verdicts.NOT_TESTABLE
    assert "τ=5 seed=0, τ=10 seed=0, τ=50 seed=0" in found["missing"]
    assert "rule measure_model" in found["missing"]
    assert found["missing"] in found["sentence"]
    assert rows["smoothness_rises/mlp"]["verdict"] == verdicts.REPRODUCED


def test_a_seed_short_of_one_tau_leaves_the_test_to_the_others(tmp_path: Path) -> None:
    families = imagenet([0, 1, 2])
    folders = synthetic.write(tmp_path / "results", families, "paper")
    folders = [path for path in folders if path.parts[-3:] != ("resnet18", "tau=5", "seed=2")]
    tables.collect(folders, tmp_path / "tables")
    rows = claims.evaluate(
        spec(families, "paper"), tmp_path / "tables", PUBLISHED, tmp_path / "claims.csv"
    )
    found = by_id(rows)["smoothness_rises/resnet18"]
    assert (found["seeds"], found["n"]) == (2, 10)
    assert "τ=5 seed=2" in found["missing"]


def test_a_preset_with_almost_nothing(tmp_path: Path) -> None:
    families = {"mlp": synthetic.family("MLP", "mlp", "digits", ["3"], [0])}
    rows = run(tmp_path, families)
    assert {found["verdict"] for found in rows} == {verdicts.NOT_TESTABLE, verdicts.NOT_COMPARABLE}
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for found in rows:
        named = re.findall(r"rule (\w+)", found["missing"])
        assert named, found["missing"]
        assert all(f"rule {rule}:" in rules for rule in named)


def test_undefined_values_count_as_missing(tmp_path: Path) -> None:
    def undefined(name: str, entry: Any, tau: str, seed: int, step: int) -> dict[str, float]:
        values = synthetic.values(name, entry, tau, seed, step)
        return {**values, "smoothness_minus_null": math.nan if tau == "5" else 0.1}

    rows = by_id(run(tmp_path, imagenet([0]), undefined, "paper"))
    assert "τ=5 seed=0" in rows["smoothness_rises/resnet18"]["missing"]


# The definitions


def test_every_claim_of_the_paper_is_well_described() -> None:
    definitions = claims.read_definitions(CLAIMS["claims"])
    for claim in definitions:
        assert claim.bound_why
        assert claim.unit
        assert bool(claim.not_in) == bool(claim.not_in_why)
        within = any(word in claim.unit for word in ("networks", "participants"))
        assert (claim.scope == "networks") == within


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"test": "trend_over_taus"}, "did you mean trend_over_tau"),
        ({"directoin": "above"}, "did you mean direction"),
        ({"direction": "within"}, "paper_number"),
        ({"each": "network"}, "each"),
    ],
)
def test_a_claim_that_cannot_be(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        claims.read_definitions([{**CLAIMS["claims"][1], **change}])


def test_ids_are_unique() -> None:
    with pytest.raises(SpecError, match="twice"):
        claims.read_definitions([CLAIMS["claims"][0]] * 2)


def test_reading_what_is_no_table_of_claims(tmp_path: Path) -> None:
    with pytest.raises(tables.TableError, match="No such file"):
        claims.read_claims(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a\n1\n")
    with pytest.raises(tables.TableError, match="not a table of claims"):
        claims.read_claims(tmp_path / "other.csv")


def test_a_table_cut_anywhere_is_told_by_its_line(tmp_path: Path) -> None:
    whole = (ROOT / "docs/record/claims.csv").read_bytes()
    rows = len(claims.read_claims(ROOT / "docs/record/claims.csv"))
    path, refused = tmp_path / "claims.csv", 0
    for cut in range(len(whole) - 1200, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        try:
            assert len(claims.read_claims(path)) <= rows
        except tables.TableError as error:
            refused += "claims.csv, line" in str(error)
    assert refused > 50
