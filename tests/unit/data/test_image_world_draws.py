"""Parameters of the image world: what the localizer holds out, ranges, independence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from toporepro.data import image_world
from toporepro.data.image_world import CLASSES, SPLITS, Options
from toporepro.data.world_draws import Draws


def _recorded(name: str, split: str, world: str, monkeypatch: pytest.MonkeyPatch) -> Draws:
    """The parameters that drawing 300 images of a class really asked for."""
    kept: list[Draws] = []

    def keep(seed: int, which: str, index: np.ndarray) -> Draws:
        kept.append(Draws(seed, which, index))
        return kept[-1]

    monkeypatch.setattr(image_world, "Draws", keep)
    options = Options(world=world, size=24)  # type: ignore[arg-type]
    image_world.images(options, split, np.arange(300) * len(CLASSES) + CLASSES.index(name))
    (draws,) = kept
    return draws


@pytest.mark.parametrize("name", CLASSES)
def test_localizer_parameters_never_occur_in_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for world in ("A", "B") if name.endswith("_body") else ("A",):
        train, test, held_out = (_recorded(name, s, world, monkeypatch) for s in SPLITS)
        seen = set(held_out.fractions)
        assert seen == set(train.fractions) == set(test.fractions)
        assert {"pose.x", "pose.y", "pose.size", "pose.turn", "light.slope"} < seen
        assert any(parameter.endswith(".hue") for parameter in seen)
        for parameter in seen:
            usual = np.sort(np.r_[train.fractions[parameter], test.fractions[parameter]])
            place = np.searchsorted(usual, held_out.fractions[parameter])
            assert ((place > 0) & (place < len(usual))).all(), "held-out values lie inside"
            gaps = usual[place] - usual[place - 1]
            # Each lies in a stretch of 1/32 of the range or more in which none of the 600 images
            # of the other splits lies; by chance such a stretch has P < 1e-5.
            assert gaps.min() >= 1 / 32, parameter
        assert not set(held_out.kinds["background.kind"]) & set(train.kinds["background.kind"])
        assert not set(held_out.kinds["background.kind"]) & set(test.kinds["background.kind"])


def test_worlds_draw_the_same_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (_recorded("walking_body", "train", world, monkeypatch) for world in ("A", "B"))
    shared = set(a.fractions) & set(b.fractions)
    palettes = set(a.fractions) ^ set(b.fractions)
    assert all(name.startswith("body.") for name in palettes)
    assert {"body.stride", "body.left.knee", "body.girth", "body.lean", "pose.x"} <= shared
    for name in shared:
        np.testing.assert_array_equal(a.fractions[name], b.fractions[name])


def test_training_draws_fill_three_quarters_of_a_range_evenly() -> None:
    draws = Draws(3, "train", np.arange(60_000))
    value = draws.between("x", -2.0, 6.0)
    assert value.shape == (60_000, 1, 1)
    assert value.dtype == np.float32
    count, _ = np.histogram(value, bins=8, range=(-2, 6))
    assert count[[2, 5]].tolist() == [0, 0]
    assert stats.chisquare(count[[0, 1, 3, 4, 6, 7]]).pvalue > 0.001
    count, _ = np.histogram(
        Draws(3, "localizer", np.arange(60_000)).between("x", -2, 6), 8, (-2, 6)
    )
    assert count[[0, 1, 3, 4, 6, 7]].sum() == 0
    assert stats.chisquare(count[[2, 5]]).pvalue > 0.001


def test_parts_repeat_the_cut() -> None:
    value = Draws(0, "localizer", np.arange(20_000)).between("hue", 0, 1, parts=4)
    assert set(np.floor(value * 32).astype(int).ravel() % 8) == {2, 5}
    assert set(np.floor(value * 4).astype(int).ravel()) == {0, 1, 2, 3}


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**62),
    low=st.floats(-100, 100),
    width=st.floats(0.1, 100),
    split=st.sampled_from(SPLITS),
    parts=st.integers(1, 8),
)
def test_values_stay_in_their_range(
    seed: int, low: float, width: float, split: str, parts: int
) -> None:
    value = Draws(seed, split, np.arange(200)).between("x", low, low + width, parts)
    slack = 1e-5 * (abs(low) + width)
    assert low - slack <= value.min() <= value.max() <= low + width + slack


def test_names_images_and_splits_are_independent() -> None:
    index = np.arange(20_000)
    columns = [
        draws.between(name, 0, 1).ravel()
        for draws in (Draws(0, "train", index), Draws(0, "test", index), Draws(1, "train", index))
        for name in ("pose.x", "pose.y")
    ]
    columns.append(np.roll(columns[0], 1))  # the image before
    columns.append(np.roll(columns[0], len(CLASSES)))  # the image of the same class before
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 5 / np.sqrt(len(index))


def test_noise_is_white_and_bell_shaped() -> None:
    noise = Draws(0, "train", np.arange(300)).normal("noise", 3072).astype(float)
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.var() == pytest.approx(1, abs=0.01)
    assert stats.kurtosis(noise.ravel()) == pytest.approx(-0.3, abs=0.02)  # −1.2/4 for four terms
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.005
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.005


def test_choices_and_events_have_their_frequencies() -> None:
    draws = Draws(0, "localizer", np.arange(30_000))
    assert stats.chisquare(np.bincount(draws.choice("sign", 7))).pvalue > 0.001
    assert draws.happens("square", 0.3).mean() == pytest.approx(0.3, abs=0.015)
    assert set(np.unique(draws.sign("mirror"))) == {-1, 1}
    assert set(draws.kind("background", 3, 2)) == {3, 4}
