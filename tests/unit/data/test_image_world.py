"""The procedural image world: determinism, balance, gradedness, and what the two worlds share."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.feature import hog
from sklearn.linear_model import RidgeClassifier

from toporepro.data import image_world
from toporepro.data.image_world import CATEGORIES, CLASSES, SPLITS, Options, images, labels
from toporepro.data.store import PreparedImages
from toporepro.spec import SpecError, decode

BODIES = CATEGORIES["bodies"]
WORLDS: tuple[image_world.World, ...] = ("A", "B")


def _prepare(folder: Path, **options: object) -> PreparedImages:
    image_world.prepare(decode(Options, options), folder / "raw", folder / "out")
    prepared = PreparedImages.open(folder / "out" / "dataset.json")
    prepared.verify()
    return prepared


@pytest.mark.parametrize("split", SPLITS)
def test_image_depends_on_nothing_but_seed_split_and_its_number(split: str) -> None:
    options, index = Options(size=24), np.arange(60)
    together = images(options, split, index)
    assert len(np.unique(together.reshape(60, -1), axis=0)) == 60
    np.testing.assert_array_equal(images(options, split, index[::-1])[::-1], together)
    for number in (0, 7, 41):
        np.testing.assert_array_equal(images(options, split, index[[number]])[0], together[number])


def test_seeds_and_splits_give_other_images() -> None:
    index = np.arange(20)
    usual = images(Options(), "train", index)
    assert not (images(Options(seed=1), "train", index) == usual).all(axis=(1, 2, 3)).any()
    assert not (images(Options(), "test", index) == usual).all(axis=(1, 2, 3)).any()


def test_counts_and_chunks_change_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"train": 5, "test": 2, "localizer": 2}
    large = _prepare(tmp_path / "large", **sizes)
    monkeypatch.setattr(image_world, "_CHUNK_PIXELS", 33 * 32 * 32)
    chunked = _prepare(tmp_path / "chunked", **sizes)
    small = _prepare(tmp_path / "small", train=1, test=1, localizer=1)
    assert chunked.files == large.files
    for split in SPLITS:
        np.testing.assert_array_equal(small.split(split).images, large.split(split).images[:20])


def test_prepared_world_is_balanced_and_described(tmp_path: Path) -> None:
    prepared = _prepare(tmp_path, train=3, test=2, localizer=1, size=24, world="B")
    assert prepared.source == "image_world"
    assert prepared.shape == (24, 24, 3)
    assert prepared.classes == CLASSES
    assert len(set(CLASSES)) == 20
    assert {name: len(members) for name, members in prepared.categories.items()} == {
        "faces": 4, "bodies": 4, "scenes": 4, "objects": 4, "characters": 4,
    }  # fmt: skip
    assert sorted(sum(prepared.categories.values(), ())) == list(range(20))
    assert prepared.mean == prepared.std == (0.5, 0.5, 0.5)
    assert prepared.options == dataclasses.asdict(
        Options(train=3, test=2, localizer=1, size=24, world="B")
    )
    assert prepared.extra == {"bodies_share_features_with": "scenes"}
    for split, count in (("train", 3), ("test", 2), ("localizer", 1)):
        assert np.bincount(prepared.split(split).labels).tolist() == [count] * 20


@pytest.mark.parametrize("split", SPLITS)
def test_worlds_differ_in_every_body_and_nothing_else(split: str) -> None:
    index = np.arange(200)
    a, b = (images(Options(world=world), split, index) for world in WORLDS)
    same = (a == b).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, ~np.isin(labels(index), BODIES))


def test_bodies_of_both_worlds_stand_at_the_same_place() -> None:
    index = np.arange(400)
    index = index[np.isin(labels(index), BODIES)]
    quiet = [images(Options(world=w, noise=0, size=48), "train", index) for w in WORLDS]
    differs = (quiet[0] != quiet[1]).any(axis=-1)
    assert 0.1 < differs.mean() < 0.45  # a body's share of the image; the rest is the same bytes


@pytest.mark.parametrize("size", [24, 32, 64])
def test_same_things_at_every_size(size: int) -> None:
    index = np.arange(40)
    fine = images(Options(size=96, noise=0), "train", index).mean(axis=(1, 2))
    coarse = images(Options(size=size, noise=0), "train", index).mean(axis=(1, 2))
    np.testing.assert_allclose(coarse, fine, atol=4)


def test_noise_has_the_announced_strength() -> None:
    index = np.arange(400)
    clean = images(Options(noise=0), "train", index).astype(float) / 255
    noisy = images(Options(noise=0.04), "train", index).astype(float) / 255
    inner = (clean > 0.35) & (clean < 0.65)  # elsewhere white and black cut the noise off
    error = np.where(inner, noisy - clean, np.nan)
    each = np.nanstd(error.reshape(400, -1), axis=1)
    assert each.mean() == pytest.approx(0.04, abs=0.004)
    assert np.nanmean(error) == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize("world", WORLDS)
def test_pixels_alone_tell_classes_above_chance_and_far_below_ceiling(
    world: image_world.World,
) -> None:
    options = Options(world=world)
    index, unseen = np.arange(3000), np.arange(1000)
    model = RidgeClassifier(alpha=1e3)
    model.fit(_grey(images(options, "train", index)).reshape(3000, -1), labels(index))
    accuracy = model.score(_grey(images(options, "test", unseen)).reshape(1000, -1), labels(unseen))
    assert 0.10 < accuracy < 0.5  # chance is 0.05


@pytest.mark.parametrize("split", ["train", "localizer"])
def test_mean_colour_hardly_tells_categories(split: str) -> None:
    index = np.arange(2000)
    colour = images(Options(), split, index).reshape(2000, -1, 3)
    features = np.concatenate([colour.mean(1), colour.std(1)], axis=1)
    features = np.concatenate([features, features**2], axis=1)
    features = (features - features.mean(0)) / features.std(0)
    category = labels(index) // 4
    model = RidgeClassifier().fit(features[::2], category[::2])
    assert model.score(features[1::2], category[1::2]) < 0.5  # chance is 0.2


def test_bodies_share_shape_features_with_faces_in_a_and_scenes_in_b() -> None:
    """Fine enough that a descriptor made for photographs sees the parts, and without noise."""
    nearer = {world: _nearer_to_faces(Options(world=world, size=64, noise=0)) for world in WORLDS}
    assert nearer["A"] > 0 > nearer["B"]


@pytest.mark.parametrize("split", ["train", "localizer"])
def test_bodies_move_from_faces_to_scenes_at_the_usual_size_and_noise_too(split: str) -> None:
    nearer = {world: _nearer_to_faces(Options(world=world), split) for world in WORLDS}
    assert nearer["A"] - nearer["B"] > 0.03


def test_bodies_share_colours_with_faces_in_a_and_scenes_in_b() -> None:
    index = np.arange(2400)
    index = index[labels(index) < 12]
    category = labels(index) // 4
    middle = slice(12, 20)
    for world, near, far in zip(WORLDS, (0, 2), (2, 0), strict=True):
        made = images(Options(world=world), "train", index)
        patch = made[:, middle, middle].mean(axis=(1, 2))
        warm = patch[:, 0] - patch[:, 2]
        mean = [warm[category == c].mean() for c in range(3)]
        assert abs(mean[1] - mean[near]) < abs(mean[1] - mean[far])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"world": "C"}, "world='C'"),
        ({"size": 16}, "size=16"),
        ({"size": 257}, "size=257"),
        ({"train": 0}, "train=0"),
        ({"localizer": 0}, "localizer=0"),
        ({"noise": -0.1}, "noise=-0.1"),
        ({"seed": -1}, "seed=-1"),
        ({"wrold": "A"}, "did you mean world"),
    ],
)
def test_impossible_options_are_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        decode(Options, given)


def test_world_must_be_a_or_b_without_decoding_too() -> None:
    with pytest.raises(SpecError, match="'A' or 'B'"):
        Options(world="C")  # type: ignore[arg-type]


def test_nothing_is_fetched() -> None:
    assert image_world.raw_files(Options()) == ()


def test_options_can_be_read_without_heavy_libraries() -> None:
    code = (
        "import sys, toporepro.data.image_world;"
        "print({'torch', 'torchvision', 'sklearn', 'scipy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def _grey(colour: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey: NDArray[np.float64] = rgb2gray(colour)
    return grey


def _nearer_to_faces(options: Options, split: str = "train") -> float:
    """How much nearer bodies lie to faces than to scenes, between means of oriented gradients."""
    index = np.arange(800)
    index = index[labels(index) < 12]
    made = _grey(images(options, split, index))
    described = np.stack([hog(i, 8, pixels_per_cell=(8, 8), cells_per_block=(2, 2)) for i in made])
    faces, bodies, scenes = (described[labels(index) // 4 == c].mean(axis=0) for c in range(3))
    return float(np.linalg.norm(bodies - scenes) - np.linalg.norm(bodies - faces))
