"""Families whose weights come from checkpoints."""

from pathlib import Path
from typing import Any

import pytest

from toporepro.config import ConfigError, resolve
from toporepro.data import floc, konkle, mnist, nsd, text_folder
from toporepro.spec import NOT_TRAINED, CheckpointSpec, Recipe, SpecError

ROOT = Path(__file__).parents[3]
URL = "https://example.org/a/b/{tau}.pt"


def published(**changes: Any) -> Any:
    family = {
        "label": "Theirs",
        "architecture": "resnet18",
        "data": "world_a",
        "phi": 3,
        "taus": [0.5, 1],
        "seeds": [0],
        "checkpoints": {0.5: {"url": URL}, "1.0": {"url": URL, "sha256": "0" * 8}},
        "measures": ["accuracy"],
        **changes,
    }
    return {"theirs": family}


def tiny(**changes: Any) -> Any:
    return resolve({"preset": "tests/presets/tiny.yaml", "overrides": {"tiny": changes}}, ROOT)


def test_a_checkpoint_takes_the_place_of_a_recipe() -> None:
    resolved = tiny(families=published(), images=7)
    model = resolved.model("theirs", "1", 0)
    assert model.train.checkpoint == CheckpointSpec(url=URL, sha256="0" * 8)
    assert model.train.recipe == NOT_TRAINED
    assert model.measure.images == 7
    assert resolved.model("mlp", "0", 0).train.checkpoint is None


def test_an_untrained_control_of_published_networks() -> None:
    control = {
        "like": "theirs",
        "label": "Untrained",
        "control": "untrained",
        "taus": [0],
        "checkpoints": {0: {"untrained": True}},
    }
    resolved = tiny(families={**published(), "untrained": control})
    assert resolved.model("untrained", "0", 0).train.checkpoint == CheckpointSpec(untrained=True)
    assert resolved.families(["untrained"])["untrained"]["control_of"] == "theirs"


def test_a_recipe_may_say_how_images_are_shown() -> None:
    recipe = {"test_pixels": 28, "channels_last": True}
    found = tiny(families=published(recipe=recipe)).model("theirs", "1", 0).train.recipe
    assert (found.test_pixels, found.channels_last, found.optimizer) == (28, True, "none")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipe": {"lr": 0.1}}, "families.theirs.recipe.lr: networks with `checkpoints`"),
        ({"taus": [0.5, 1, 5, 7]}, "families.theirs.checkpoints: none for τ = 5, 7 of `taus`"),
        ({"control": "random_labels"}, "are no controls"),
        ({"checkpoints": {1: {}}}, "a checkpoint has a url or a file"),
        ({"checkpoints": {1: {"url": URL, "file": "f"}}}, "a checkpoint has a url or a file"),
        ({"checkpoints": {1: {"url": "ftp://a/b"}}}, "an http or https address is needed"),
        ({"checkpoints": {1: {"url": URL, "sha256": "xyz"}}}, "8 to 64 hexadecimal digits"),
        ({"checkpoints": {1: {"url": URL, "uri": 1}}}, "uri: unknown key; did you mean url"),
        ({"checkpoints": {1: {"file": "f", "mean": [0.5]}}}, "one value for each of 3 channels"),
        ({"checkpoints": {1: {"untrained": True, "file": "f"}}}, "or is `untrained`"),
        ({"control": "untrained"}, "`untrained` where all checkpoints are"),
        (
            {"checkpoints": {0.5: {"url": URL}, 1: {"untrained": True}}},
            "`untrained` where all checkpoints are",
        ),
        ({"checkpoints": {}}, "families.theirs.recipe.optimizer: missing"),
        (
            {"checkpoints": {}, "recipe": {**vars(NOT_TRAINED)}},
            "optimizer='none': only with `checkpoints`",
        ),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], says: str) -> None:
    family = published()
    for key, value in changes.items():
        family["theirs"][key] = value
    with pytest.raises(ConfigError) as caught:
        tiny(families=family)
    assert says in str(caught.value)


def test_a_spec_is_trained_or_has_a_checkpoint() -> None:
    with pytest.raises(SpecError, match="is not trained"):
        Recipe(optimizer="none", lr=0.1, batch=1, epochs=1)


def stand_in(instead: str = "world_a") -> Any:
    return {
        "data": {"mine": {"source": "mnist", "instead": instead}},
        "families": published(data="mine"),
    }


@pytest.mark.parametrize("absent", [None, "no scans in\n data/mnist"])
def test_one_dataset_stands_in_for_another(
    absent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def missing(options: mnist.Options, raw: Path) -> str | None:
        asked.append(raw)
        return absent

    monkeypatch.setattr(mnist, "missing", missing, raising=False)
    resolved = tiny(**stand_in())
    shown = resolved.model("theirs", "1", 0).train.data.source
    assert shown == ("mnist" if absent is None else "image_world")
    assert ("mine" in resolved.datasets) == (absent is None)
    assert resolved.families(["theirs"])["theirs"]["dataset"] == shown
    reason = {"accuracy on mine": "world_a stands in for it: no scans in data/mnist"}
    assert resolved.absent == (reason if absent else {})
    assert set(asked) == {ROOT / "data" / "mnist"}


def test_what_cannot_stand_in() -> None:
    with pytest.raises(ConfigError, match="mnist is never missing"):
        tiny(**stand_in())
    with pytest.raises(ConfigError, match=r"data\.mine\.instead='world_b': did you mean world_a"):
        tiny(**stand_in("world_b"))


def test_released_says_what_is_not_published() -> None:
    resolved = resolve({"preset": "released"}, ROOT)
    assert all(model.train.checkpoint for model in resolved.models)
    assert any("GPT-Neo" in what for what in resolved.absent)
    substitutes = [name for name in resolved.preset.families if name.endswith("_torchvision")]
    for name in substitutes:
        assert "substitute" in resolved.preset.families[name].label
        assert resolved.preset.families[name].taus == (0,)
    assert len(substitutes) == 3
    assert not any(str(ROOT) in why for why in resolved.absent.values())


def with_brain(**entry: Any) -> Any:
    return {
        "data": {"nsd": {"source": "nsd", "optional": True, "options": {"size": 24}, **entry}},
        "families": {"resnet18": {"measures": ["accuracy", "brain", "selectivity"]}},
        "measures": {
            "brain": {"stimuli": ["nsd/test"]},
            "selectivity": {"stimuli": ["localizer", "nsd/test"]},
        },
    }


@pytest.mark.parametrize("absent", [None, "no betas in\n data/nsd"])
def test_measures_do_without_an_optional_dataset_that_is_absent(
    absent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nsd, "missing", lambda options, raw: absent)
    resolved = tiny(**with_brain())
    measured = resolved.model("resnet18", "0", 0).measure
    assert ("nsd" in resolved.datasets) == ("nsd" in measured.stimuli) == (absent is None)
    assert ("brain" in measured.measures) == (absent is None)
    shown = ("localizer", "nsd/test") if absent is None else ("localizer",)
    assert measured.measures["selectivity"]["stimuli"] == shown
    why = "no betas in data/nsd"
    names = ("brain on nsd", "selectivity on nsd")
    assert resolved.absent == ({} if absent is None else dict.fromkeys(names, why))


def test_families_of_an_optional_dataset_that_is_absent_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_folder, "missing", lambda options, raw: None)
    gpt = {
        "label": "GPT", "architecture": "nanogpt", "data": "books", "phi": 8, "taus": [0, 1],
        "seeds": [0], "recipe": {"optimizer": "adamw", "lr": 0.1, "batch": 4, "epochs": 1},
        "measures": ["smoothness"],
    }  # fmt: skip
    change: Any = {
        "data": {"books": {"source": "text_folder", "optional": True}},
        "families": {"gpt": gpt},
        "figures": {"training_curves": {"families": ["mlp", "gpt"]}},
    }
    there = tiny(**change)
    assert there.model("gpt", "1", 0).train.data == there.datasets["books"]
    assert there.shown("training_curves") == ("mlp", "gpt")
    monkeypatch.setattr(text_folder, "missing", lambda options, raw: "no text")
    without = tiny(**change)
    assert "gpt" not in without.preset.families
    assert "books" not in without.datasets
    assert all(model.family != "gpt" for model in without.models)
    assert without.absent == {"GPT": "no text"}
    assert without.shown("training_curves") == ("mlp",)
    assert "gpt" not in without.families(without.preset.families)
    others = {key: {"data": "books"} for key in tiny().preset.families}
    with pytest.raises(ConfigError, match=r"the data of all of them is absent \(.*no text\)"):
        tiny(**(change | {"families": {"gpt": gpt} | others}))


@pytest.mark.parametrize("there", [True, False])
def test_stimuli_that_are_absent_have_a_stand_in_or_are_left_out(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in (floc, konkle):
        if there:
            monkeypatch.setattr(source, "missing", lambda options, raw: None)
    resolved = tiny(
        data={
            "floc": {"source": "floc", "instead": "world_a"},
            "konkle": {"source": "konkle", "optional": True},
        },
        families={"resnet18": {"measures": ["selectivity"]}},
        measures={"selectivity": {"stimuli": ["floc/localizer", "konkle/localizer"]}},
    )
    measured = resolved.model("resnet18", "0", 0).measure
    wanted = ("floc/localizer", "konkle/localizer") if there else ("world_a/localizer",)
    assert measured.measures["selectivity"]["stimuli"] == wanted
    assert {spec.source for spec in measured.stimuli.values()} == (
        {"floc", "konkle"} if there else {"image_world"}
    )
    assert set(resolved.absent) == (
        set() if there else {"selectivity on floc", "selectivity on konkle"}
    )
    if not there:
        why = resolved.absent["selectivity on floc"]
        assert why.startswith("world_a stands in for it: data/floc/stimuli: not there; put fLoc's")
        assert why.endswith("from https://github.com/VPNL/fLoc")


def test_what_cannot_be_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"data\.nsd\.optional: digits is never missing"):
        tiny(**with_brain(source="digits", options={}))
    monkeypatch.setattr(nsd, "missing", lambda options, raw: "absent")
    changes = with_brain()
    changes["families"] = {"resnet18": {"measures": ["brain"]}}
    with pytest.raises(ConfigError, match=r"families\.resnet18\.measures: none without nsd"):
        tiny(**changes)
