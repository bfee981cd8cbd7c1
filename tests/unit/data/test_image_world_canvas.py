"""Shapes and colours of the image world: areas and distances that geometry knows in closed form."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from toporepro.data import world_canvas as shapes
from toporepro.data.world_canvas import Canvas, Frame
from toporepro.data.world_characters import CLASSES, strokes_of
from toporepro.data.world_colours import hsv
from toporepro.data.world_draws import Array

SIZE = 128


def _frame() -> Frame:
    return Canvas(1, SIZE).frame


def _area(frame: Frame, shape: Array) -> float:
    """Painted area in units of the image's frame, which is 2×2."""
    canvas = Canvas(1, SIZE)
    canvas.paint(frame, shape, np.ones((1, 3, 1, 1), dtype=np.float32))
    return float(canvas.pixels[:, 0].mean() * 4)


def test_painted_areas_are_those_of_geometry() -> None:
    frame = _frame()
    close = {"abs": 0.01}
    assert _area(frame, shapes.ellipse(frame, 0.1, 0, 0.6, 0.3)) == pytest.approx(
        np.pi * 0.18, **close
    )
    assert _area(frame, shapes.box(frame, 0.1, -0.2, 0.5, 0.25)) == pytest.approx(0.5, **close)
    stroke = _area(frame, shapes.limb(frame, (-0.3, -0.4), (0.3, 0.4), 0.1))
    assert stroke == pytest.approx(0.2 + np.pi * 0.01, **close)
    straight = _area(frame, shapes.plank(frame, (-0.3, -0.4), (0.3, 0.4), 0.1))
    assert straight == pytest.approx(1.2 * 0.2, **close)
    triangle = shapes.convex(frame, (0.0, -0.5), (0.5, 0.5), (-0.5, 0.5))
    assert _area(frame, triangle) == pytest.approx(0.5, **close)


def test_a_moved_frame_scales_areas_and_turns_clockwise_on_the_screen() -> None:
    frame = _frame()
    half = frame.moved(0.2, 0.1, 0.7, 0.5)
    assert _area(half, shapes.box(half, 0, 0, 1, 0.5)) == pytest.approx(0.5, abs=0.01)
    quarter = frame.moved(0, 0, np.pi / 2)
    right = shapes.ellipse(quarter, 0.5, 0, 0.2, 0.2)[0]
    row, column = np.unravel_index(right.argmin(), right.shape)
    assert (row, column) == pytest.approx((96, 64), abs=2)  # what was right is below


def test_distances_are_exact_where_they_are_meant_to_be() -> None:
    frame = _frame()
    x, y = frame.u[0].astype(float), frame.v[0].astype(float)
    t = np.linspace(0, 1, 2001)[:, None, None]
    nearest = np.hypot(x - (-0.3 + 0.8 * t), y - (0.2 - 0.5 * t)).min(axis=0)
    found = shapes.limb(frame, (-0.3, 0.2), (0.5, -0.3), 0.15)[0]
    np.testing.assert_allclose(found, nearest - 0.15, atol=1e-3)
    circle = shapes.ellipse(frame, 0.1, -0.2, 0.4, 0.4)[0]
    np.testing.assert_allclose(circle, np.hypot(x - 0.1, y + 0.2) - 0.4, atol=1e-3)


def test_paint_mixes_by_opacity_and_shade() -> None:
    canvas = Canvas(2, 8)
    canvas.fill(np.full((2, 3, 1, 1), 0.5, dtype=np.float32))
    everywhere = np.full((2, 8, 8), -9, dtype=np.float32)
    colour = np.full((2, 3, 1, 1), 1, dtype=np.float32)
    canvas.paint(canvas.frame, everywhere, colour, 0.4 + 0 * everywhere, opacity=0.5)
    np.testing.assert_allclose(canvas.pixels, 0.45, rtol=1e-6)


def test_colours_are_those_of_the_standard_library() -> None:
    given = np.random.default_rng(0).random((50, 3))
    hue, saturation, value = (given[:, i, None, None] for i in range(3))
    expected = [colorsys.hsv_to_rgb(*row) for row in given]
    np.testing.assert_allclose(hsv(hue, saturation, value)[:, :, 0, 0], expected, atol=1e-6)


def test_signs_of_a_script_are_all_different() -> None:
    for script in CLASSES:
        strokes = strokes_of(script)
        assert strokes.min() >= 0
        assert strokes[..., 0::2].max() <= 2
        assert strokes[..., 1::2].max() <= 4
        assert len({frozenset(map(tuple, sign.tolist())) for sign in strokes}) == len(strokes)
