"""Faces: smooth, rounded, skin-coloured ovals with hair, eyes, nose and mouth."""

from __future__ import annotations

import numpy as np

from toporepro.data import world_colours as colours
from toporepro.data.world_canvas import Canvas, Frame, both, ellipse, limb, rounded
from toporepro.data.world_draws import Array, Draws

CLASSES = ("short_haired_face", "long_haired_face", "bearded_face", "child_face")


def draw(canvas: Canvas, frame: Frame, draws: Draws, name: str) -> None:
    """One face per image: turned and nodding a little, with a mouth from sad to smiling."""
    child, bearded, long_haired = (name == CLASSES[i] for i in (3, 2, 1))
    skin, hair = colours.skin(draws, "face.skin"), colours.hair(draws, "face.hair")
    width = draws.between("face.width", 0.6, 0.74) + (0.1 if child else 0.0)
    height = draws.between("face.height", 0.8, 0.94) - (0.1 if child else 0.0)
    turn, nod = draws.between("face.turn", -0.2, 0.2), draws.between("face.nod", -0.08, 0.08)

    neck = limb(frame, (0.0, 0.6), (0.0, 1.2), 0.28)
    canvas.paint(frame, neck, skin, rounded(neck, 0.28))
    shoulders = limb(frame, (-0.5, 1.45), (0.5, 1.45), 0.32)
    canvas.paint(frame, shoulders, skin, rounded(shoulders, 0.32))
    if long_haired:
        length = draws.between("face.hair.length", 0.95, 1.2)
        behind = ellipse(frame, 0, 0.15, width + 0.2, length)
        canvas.paint(frame, behind, hair, rounded(behind, 0.5))
    else:
        behind = ellipse(frame, 0, -0.22, width + 0.06, height - (0.16 if child else 0.1))
        canvas.paint(frame, behind, hair, rounded(behind, 0.5))
        for side in (-1, 1):
            canvas.paint(frame, ellipse(frame, side * width, 0.08, 0.12, 0.18), skin, 0.8 + 0 * nod)
    head = ellipse(frame, 0, 0, width, height)
    canvas.paint(frame, head, skin, rounded(head, 0.6))
    fringe = draws.between("face.fringe", 0.42, 0.6) + (0.12 if child else 0.0)
    canvas.paint(
        frame, both(head, frame.v + fringe - 0.25 * frame.u * turn), hair, rounded(head, 0.5)
    )
    if bearded:
        beard = both(head, 0.2 + 0.1 * nod - frame.v)
        canvas.paint(frame, beard, hair, rounded(head, 0.5))
    _features(canvas, frame, draws, hair, turn, nod + (0.14 if child else 0.0), child=child)


def _features(
    canvas: Canvas, frame: Frame, draws: Draws, hair: Array, turn: Array, nod: Array, *, child: bool
) -> None:
    dark = np.zeros_like(hair) + np.float32(0.08)
    white = np.zeros_like(hair) + np.float32(0.92)
    lips = hair * 0 + np.array([0.6, 0.22, 0.2], dtype=np.float32)[None, :, None, None]
    gaze = draws.between("face.gaze", -0.04, 0.04)
    apart = draws.between("face.eyes.apart", 0.26, 0.34)
    eye = 1.3 if child else 1.0
    for side in (-1, 1):
        x, y = turn + side * apart, nod - 0.12
        canvas.paint(frame, ellipse(frame, x, y, 0.15 * eye, 0.1 * eye), white)
        canvas.paint(frame, ellipse(frame, x + gaze, y, 0.085 * eye, 0.1 * eye), dark)
        if not child:
            brow = limb(frame, (x - 0.15, y - 0.18), (x + 0.15, y - 0.18), 0.045)
            canvas.paint(frame, brow, hair * np.float32(0.7))
    nose = limb(frame, (turn * 1.2, nod), (turn * 1.4, nod + 0.2), 0.05)
    canvas.paint(frame, nose, dark, opacity=0.3)
    smile = draws.between("face.smile", -0.08, 0.12)
    wide = draws.between("face.mouth.width", 0.18, 0.3) * (0.75 if child else 1.0)
    thick = draws.between("face.mouth.open", 0.045, 0.085)
    middle = (turn * 1.1, nod + 0.44 + smile)
    for side in (-1, 1):
        corner = (turn * 1.1 + side * wide, nod + 0.44 - smile)
        canvas.paint(frame, limb(frame, middle, corner, thick), lips)
