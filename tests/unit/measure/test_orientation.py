"""Orientation selectivity against an explicit t, and lines against exact geometry."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.measure.orientation import (
    FILM,
    continuity,
    line_image,
    preferred_angles,
    t_values,
)


def test_54_of_the_180_images_are_distinct() -> None:
    images = [line_image(angle) for angle in range(180)]
    assert len({image.tobytes() for image in images}) == 54
    assert {value for image in images for value in np.unique(image)} == {0.0, 1.0}


def test_lines_at_the_four_plain_angles() -> None:
    horizontal, rising, vertical, falling = (line_image(a) for a in (0, 45, 90, 135))
    np.testing.assert_array_equal(np.argwhere(horizontal), [(14, c) for c in range(28)])
    np.testing.assert_array_equal(np.argwhere(vertical), [(r, 14) for r in range(28)])
    np.testing.assert_array_equal(np.argwhere(rising), [(r, 28 - r) for r in range(5, 24)])
    np.testing.assert_array_equal(np.argwhere(falling), [(r, r) for r in range(5, 24)])


@pytest.mark.parametrize("size", [7, 21, 33])
def test_each_line_is_the_nearest_row_of_pixels(size: int) -> None:
    """One pixel per step along the longer axis, at most half a pixel beside the ideal line."""
    centre = size // 2
    for angle in range(180):
        right = int(centre * math.cos(math.radians(angle)))
        up = int(centre * math.sin(math.radians(angle)))
        pixels = np.argwhere(line_image(angle, size)) - centre
        ends, longer = np.array([-up, right]), int(abs(right) >= abs(up))
        along, beside = pixels[:, longer], pixels[:, 1 - longer]
        assert sorted(along) == list(range(-abs(ends[longer]), abs(ends[longer]) + 1))
        deviation = beside * ends[longer] - along * ends[1 - longer]
        assert (2 * np.abs(deviation) <= abs(ends[longer])).all()
        assert [*ends] in pixels.tolist()
        assert [*-ends] in pixels.tolist()


@settings(max_examples=30)
@given(target=st.integers(0, 179), tolerance=st.integers(1, 5), seed=st.integers(0, 2**20))
def test_t_equals_its_definition(target: int, tolerance: int, seed: int) -> None:
    responses = np.random.default_rng(seed).normal(size=(180, 3))
    found = t_values(responses, target, tolerance)
    for unit in range(3):
        inside = [responses[a, unit] for a in range(180) if abs(a - target) <= tolerance]
        outside = [responses[a, unit] for a in range(180) if abs(a - target) > tolerance]
        n, m = len(inside), len(outside)
        mean_in, mean_out = sum(inside) / n, sum(outside) / m
        var_in = sum((v - mean_in) ** 2 for v in inside) / n
        var_out = sum((v - mean_out) ** 2 for v in outside) / m
        pooled = math.sqrt(((n - 1) * var_in + (m - 1) * var_out) / (n + m - 2))
        expected = (mean_in - mean_out) / (pooled * math.sqrt(1 / n + 1 / m))
        assert found[unit] == pytest.approx(expected, rel=1e-9)


def test_angles_do_not_wrap_round() -> None:
    """At 0° the four lines 0 … 3° are the target; 177 … 179° count among the others."""
    responses = np.random.default_rng(0).normal(size=(180, 1))
    before = t_values(responses, 0, 3)[0]
    responses[177:] += 100
    assert t_values(responses, 0, 3)[0] < before
    responses[177:] -= 100
    responses[:4] += 100
    assert t_values(responses, 0, 3)[0] > before + 100


def test_a_unit_that_answers_all_lines_alike_has_t_zero_and_prefers_none() -> None:
    responses = np.stack([np.full(180, 0.3), np.cos(np.radians(np.arange(180) - 60))], axis=1)
    film = np.stack([t_values(responses, angle, 1) for angle in FILM], axis=1)
    assert (film[0] == 0).all()
    preferred = preferred_angles(responses, film)
    assert math.isnan(preferred[0])
    assert preferred[1] == pytest.approx(60, abs=1)


def naive_continuity(preferred: np.ndarray, width: int) -> float:
    near, far = [], []
    for i in range(len(preferred)):
        for j in range(len(preferred)):
            if i != j and not np.isnan(preferred[[i, j]]).any():
                likeness = math.cos(2 * math.radians(preferred[i] - preferred[j]))
                far.append(likeness)
                rows, columns = abs(i // width - j // width), abs(i % width - j % width)
                if max(rows, columns) == 1:
                    near.append(likeness)
    return float(np.mean(near) - np.mean(far))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**20), missing=st.integers(0, 3))
def test_continuity_equals_a_double_loop(seed: int, missing: int) -> None:
    preferred = np.random.default_rng(seed).uniform(0, 180, 20)
    preferred[:missing] = np.nan
    assert continuity(preferred, 4, 5) == pytest.approx(naive_continuity(preferred, 5), abs=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**20), turn=st.integers(0, 179))
def test_continuity_is_blind_to_turning_all_angles(seed: int, turn: int) -> None:
    preferred = np.random.default_rng(seed).uniform(0, 180, 20)
    turned = (preferred + turn) % 180
    assert continuity(turned, 4, 5) == pytest.approx(continuity(preferred, 4, 5), abs=1e-9)


def test_continuity_of_a_pinwheel_is_high_and_of_its_shuffles_zero_on_average() -> None:
    rows, columns = np.mgrid[:12, :12] - 5.5
    pinwheel = (np.degrees(np.arctan2(rows, columns)) / 2 % 180).ravel()
    assert continuity(pinwheel, 12, 12) > 0.8
    generator = np.random.default_rng(0)
    shuffled = [continuity(generator.permutation(pinwheel), 12, 12) for _ in range(200)]
    assert np.mean(shuffled) == pytest.approx(0, abs=0.01)


def test_continuity_without_neighbours_is_undefined() -> None:
    assert math.isnan(continuity(np.array([10.0, np.nan, 20.0]), 1, 3))
