"""The paper's preset says what the paper's recipes and its published results say."""

import csv
import re
from pathlib import Path

import pytest

from toporepro.config import resolve
from toporepro.train.plan import Plan

ROOT = Path(__file__).parents[3]
PAPER = resolve({"preset": "paper"}, ROOT)
ROWS = {
    "resnet18": ["0", "0.5", "1", "5", "10", "20", "50"],
    "resnet50": ["0", "1", "30"],
    "vit_b_32": ["0", "10"],
}
LANGUAGE = {"nanogpt": ["0", "0.5", "1", "50"], "gpt_neo_125m": ["0", "1", "5", "10", "50"]}
SMALL = ("nanogpt_588", "nanogpt_101m")
IMAGES = 1_281_167


def plan_of(family: str) -> Plan:
    spec = next(model.train for model in PAPER.models if model.family == family)
    return Plan(spec.recipe, spec.topo, IMAGES)


def test_every_row_of_the_results_table_has_a_network() -> None:
    for family, taus in (ROWS | LANGUAGE).items():
        assert [model.tau for model in PAPER.models if model.family == family] == taus
    blocks = [m for m in PAPER.models if m.family == "resnet18_16"]
    assert {(m.tau, m.seed) for m in blocks} == {
        (t, s) for t in ("0", "1", "10", "50") for s in range(3)
    }


@pytest.mark.parametrize("family", ROWS | LANGUAGE)
def test_expected_accuracies_are_those_of_the_published_figure(family: str) -> None:
    word, metric, unit = ("top-1", "imagenet_top1_pct", 1)
    if family in LANGUAGE:
        word, metric, unit = ("BLiMP", "blimp_accuracy", 100)
    text = (ROOT / "config/presets/paper.yaml").read_text(encoding="utf-8")
    comment = text[: text.index(f"\n  {family}:\n")]
    taus = re.findall(r"#   τ +(.*)", comment)[-1].split()
    said = re.findall(rf"#   {word} +([0-9. ]*)", comment)[-1].split()
    with (ROOT / "config/paper/figures.csv").open(encoding="utf-8") as file:
        published = {
            (row["family"], row["tau"]): unit * float(row["value"])
            for row in csv.DictReader(file)
            if row["figure"] == "performance" and row["metric"] == metric
        }
    assert taus == (ROWS | LANGUAGE)[family]
    for tau, accuracy in zip(taus, said, strict=True):
        assert float(accuracy) == pytest.approx(published[family, tau], abs=0.051)


@pytest.mark.parametrize(
    ("family", "lr", "batch"), [("resnet18", 0.5, 1024), ("resnet50", 1.7, 4096)]
)
def test_residual_networks_follow_ffcv_imagenet(family: str, lr: float, batch: int) -> None:
    plan = plan_of(family)
    per_epoch = IMAGES / batch
    assert plan.steps == round(88 * per_epoch)
    assert plan.lr(0) == pytest.approx(1e-4 * lr)
    assert plan.lr(round(2 * per_epoch)) == pytest.approx(lr, rel=1e-3)
    assert plan.lr(round(45 * per_epoch)) == pytest.approx(lr / 2, rel=1e-3)
    assert plan.lr(plan.steps - 1) == pytest.approx(0)
    recipe = plan.recipe
    assert not recipe.decay_norms_and_biases
    assert recipe.average is None
    for epochs, family_ in ((88, family), (16, "resnet18_16")):
        start, end = {88: (65, 76), 16: (11, 13)}[epochs]
        for epoch in range(epochs):
            ramp = 160 + 32 * min(max((epoch - start) / (end - start), 0), 1)
            sides = [r.pixels for r in plan_of(family_).recipe.resolution if r.from_epoch <= epoch]
            assert sides[-1] == round(ramp / 32) * 32, (family_, epoch)


def test_the_vision_transformers_average_is_torchvisions() -> None:
    recipe = plan_of("vit_b_32").recipe
    assert recipe.average is not None
    alpha = (1 - 0.99998) * recipe.batch * recipe.average.every / recipe.epochs
    assert recipe.average.decay == pytest.approx(1 - alpha, abs=1e-5)
    assert recipe.average.from_epoch == recipe.lr_schedule.warmup_epochs == 88 * 30 / 300


def test_language_follows_nanogpt() -> None:
    for family, context, tokens in (("nanogpt", 1024, 10e9), ("gpt_neo_125m", 2048, 1e9)):
        spec = next(model.train for model in PAPER.models if model.family == family)
        recipe, plan = spec.recipe, Plan(spec.recipe, spec.topo, 4_000_000)
        assert spec.model["context"] == context
        assert recipe.batch * context == 524_288
        assert plan.steps * 524_288 == pytest.approx(tokens, rel=1e-3)
        assert plan.lr(0) == pytest.approx(6e-4 * recipe.lr_schedule.start)
        assert plan.lr(recipe.lr_schedule.warmup_steps) == pytest.approx(6e-4, rel=1e-5)
        assert plan.lr(plan.steps - 1) == pytest.approx(6e-5)
        assert recipe.lr_schedule.start * recipe.lr_schedule.warmup_steps == pytest.approx(1, 0.02)
        assert recipe.lr_schedule.warmup_steps / recipe.steps == pytest.approx(715 / 19_073, 0.02)
        assert (recipe.betas, recipe.weight_decay, recipe.clip) == ((0.9, 0.95), 0.1, 1.0)


def test_what_a_masked_language_model_is_needed_for_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")

    def measured() -> set[str]:
        found = resolve({"preset": "paper"}, tmp_path)
        assert ("integration_windows" in found.absent) == (not folder.exists())
        return set(next(m for m in found.models if m.family == "gpt_neo_125m").measure.measures)

    folder = tmp_path / "data/masked_lm"
    assert "integration_windows" not in measured()
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert "integration_windows" in measured()


def test_small_networks_have_what_compression_leaves() -> None:
    from toporepro.compress import parameter_count
    from toporepro.compress.sampling import sampling

    units = {m.family: m.train.model["mlp"] for m in PAPER.models if m.family in SMALL}
    assert units["nanogpt_588"] == sampling(3072, 0.8).kept
    counts = {mlp: parameter_count("nanogpt", 0, options={"mlp": mlp}) for mlp in units.values()}
    left = parameter_count("nanogpt", 0.8)
    nearest = min((abs(parameter_count("nanogpt", 0, options={"mlp": n}) - left), n)
                  for n in (1824, 1830, 1836))[1]  # fmt: skip
    assert units["nanogpt_101m"] == nearest
    assert f"{counts[588] / 1e6:.1f}M" == "78.6M"
