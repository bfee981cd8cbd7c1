"""The measure of brains: which network and layer made a brain is recovered, nothing is made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brains import COUNTS, images, write_brains
from measured import measure_spec, train_spec, write_data, write_model

from toporepro.data.store import DataError, PreparedImages
from toporepro.measure import brain
from toporepro.measure.run import measure
from toporepro.measure.subject import Subject
from toporepro.paths import ModelPaths
from toporepro.spec import DataSpec, SpecError, TrainSpec

LAYER = "layer2.0.conv2"
OPTIONS = brain.Options(stimuli=("b/test",), every=5, permutations=99, draws=50)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPaths]:
    """Two networks with random weights; the second is another one of the same architecture."""
    found = {}
    for name, seed in (("mine", 4), ("other", 5)):
        base = train_spec("resnet18", width=0.25)
        spec = TrainSpec(**{**vars(base), "seed": seed})
        found[name] = write_model(tmp_path_factory.mktemp(name), spec, channels=3)[0]
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("base"), channels=3, images=12)


@pytest.fixture(scope="module")
def index(
    networks: dict[str, ModelPaths], base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two participants: voxels of one region are units of a layer, one answers at random."""
    subject = Subject.load(networks["mine"].weights, PreparedImages.open(base), seed=4, final=True,
                           device="cpu")  # fmt: skip
    generator = np.random.default_rng(0)
    units = {
        split: subject.layer_responses([LAYER], images(len(split), count), "float32")[LAYER]
        for split, count in COUNTS.items()
    }
    mean, spread = units["train"].mean(axis=0), units["train"].std(axis=0)
    signals: dict[str, Any] = {}
    for name in ("anna", "ben"):
        mix = np.eye(len(mean))[:, generator.permutation(len(mean))[:25]]
        signals[name] = {
            "mixed": {split: (of - mean) / spread @ mix for split, of in units.items()},
            "null": {split: generator.normal(size=(n, 20)) for split, n in COUNTS.items()},
        }
    return write_brains(tmp_path_factory.mktemp("brains"), signals)


def rows_of(
    networks: dict[str, ModelPaths], base: Path, index: Path, name: str, **changes: Any
) -> dict[tuple[str, str], float]:
    subject = Subject.load(
        networks[name].weights, PreparedImages.open(base), seed=4, final=True, device="cpu",
        stimuli={"b": PreparedImages.open(index)}, **changes,
    )  # fmt: skip
    result = brain.measure(subject, OPTIONS)
    assert {row.stimuli for row in result.rows} == {"b/test"}
    found = {(row.layer, row.metric): row.value for row in result.rows}
    assert len(found) == len(result.rows)
    return found


@pytest.fixture(scope="module")
def mine(networks: dict[str, ModelPaths], base: Path, index: Path) -> dict[tuple[str, str], float]:
    return rows_of(networks, base, index, "mine")


def test_the_network_and_the_layer_that_made_a_brain_are_recovered(
    networks: dict[str, ModelPaths], base: Path, index: Path, mine: dict[tuple[str, str], float]
) -> None:
    other = rows_of(networks, base, index, "other")
    for approach in brain.APPROACHES:
        assert 0.9 < mine["", f"{approach}.mixed"] < 1.03
        assert mine["", f"{approach}.mixed"] > other["", f"{approach}.mixed"]
    assert mine["", "brain_match.mixed"] > other["", "brain_match.mixed"] + 0.2
    for name in ("anna", "ben"):
        ours = mine["", f"brain_ridge.mixed.{name}"]
        assert (LAYER, f"brain_layer.mixed.{name}") in mine
        assert mine[LAYER, f"brain_ridge.mixed.{name}"] == ours
        low, high = (mine["", f"brain_ridge_{end}.mixed.{name}"] for end in ("low", "high"))
        assert low < ours < high
        for approach in brain.APPROACHES:
            assert mine["", f"{approach}_p.mixed.{name}"] == 0.01
            raw = mine["", f"{approach}_raw.mixed.{name}"]
            assert raw / mine["", f"{approach}.mixed.{name}"] == pytest.approx(
                np.sqrt(4 / (4 + 1 / 3))
            )
    means = [mine["", f"brain_ridge.mixed.{name}"] for name in ("anna", "ben")]
    assert mine["", "brain_ridge.mixed"] == pytest.approx(np.mean(means))
    regions = [mine["", f"brain_ridge.{region}"] for region in ("mixed", "null")]
    assert mine["", "brain_ridge"] == pytest.approx(np.mean(regions))


def test_a_planted_null_is_null(mine: dict[tuple[str, str], float]) -> None:
    for approach in brain.APPROACHES:
        assert abs(mine["", f"{approach}.null"]) < 0.1
        assert all(mine["", f"{approach}_p.null.{name}"] > 0.02 for name in ("anna", "ben"))


def test_shuffled_images_give_zero(
    networks: dict[str, ModelPaths], base: Path, index: Path
) -> None:
    """The same responses to the same stimuli, in another order."""
    for name in ("anna", "ben"):
        generator = np.random.default_rng(3)
        for split in COUNTS:
            path = index.parent / f"{name}_{split}.npy"
            values = np.load(path)
            path.rename(path.with_suffix(".kept"))
            np.save(path, generator.permutation(values.T).T.copy())
    try:
        found = rows_of(networks, base, index, "mine")
    finally:
        for kept in index.parent.glob("*.kept"):
            kept.rename(kept.with_suffix(".npy"))
    assert all(abs(found["", f"{approach}.mixed"]) < 0.12 for approach in brain.APPROACHES)


def test_blocks_of_voxels_do_not_matter(
    networks: dict[str, ModelPaths],
    base: Path,
    index: Path,
    mine: dict[tuple[str, str], float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(brain, "_VOXELS", 7)
    found = rows_of(networks, base, index, "mine")
    assert found.keys() == mine.keys()
    assert list(found.values()) == pytest.approx(list(mine.values()), abs=2e-5)


def test_fewer_images_are_shown_if_the_preset_says_so(
    networks: dict[str, ModelPaths], base: Path, index: Path, mine: dict[tuple[str, str], float]
) -> None:
    found = rows_of(networks, base, index, "mine", limit=30)
    assert found.keys() == mine.keys()
    assert found["", "brain_ridge.mixed"] < mine["", "brain_ridge.mixed"]


def test_photographs_of_another_size_fit_networks_that_take_any(
    networks: dict[str, ModelPaths], base: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    signal = {split: generator.normal(size=(n, 20)) for split, n in COUNTS.items()}
    larger = write_brains(tmp_path / "larger", {"anna": {"IT": signal}}, side=20)
    assert ("", "brain_ridge.IT.anna") in rows_of(networks, base, larger, "mine")
    paths, _ = write_model(tmp_path / "mlp", train_spec(), channels=3)
    with pytest.raises(SpecError, match=r"`size: 12` is an option of the dataset"):
        rows_of({"mlp": paths}, base, larger, "mlp")


def test_by_the_verb_and_only_the_final_network(
    networks: dict[str, ModelPaths], base: Path, index: Path
) -> None:
    paths = networks["mine"]
    spec = measure_spec({"brain": {"stimuli": ["b/test"], "every": 16, "permutations": 9,
                                   "draws": 9}})  # fmt: skip
    given = {**vars(spec), "stimuli": {"b": DataSpec(source="brains")}}
    measure(type(spec)(**given), paths, base, [index])
    lines = paths.measures.read_text().splitlines()
    assert any(",brain_ridge.mixed," in line for line in lines)
    assert not any(line.startswith("p,f,1,4,0,") for line in lines[1:])  # untrained, but τ = 1


def test_datasets_without_brains_and_options_that_cannot_be(
    networks: dict[str, ModelPaths], base: Path
) -> None:
    with pytest.raises(DataError, match="without responses of brains"):
        rows_of(networks, base, base, "mine")
    for options, says in (
        ({"stimuli": ("nsd/train",)}, "`dataset/test` is needed"),
        ({"alphas": ()}, "one or more, all above 0"),
        ({"folds": 1}, "folds=1: at least 2"),
    ):
        with pytest.raises(SpecError, match=says):
            brain.Options(**options)  # type: ignore[arg-type]
