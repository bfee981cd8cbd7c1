"""Pictures for a page, and networks small enough to run in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toporepro.report.packing import pack

LARGEST = 64  # pixels a side of a picture
_EXAMPLES = 10


def pictures(index: Path, split: str, numbers: Iterable[int]) -> dict[str, Any]:
    """Some images of a split as data URIs, and what they show.

    Returns:
        ``of`` (source and split, for people), ``classes``, and ``images``: number → class and URI.

    Raises:
        DataError: if the prepared images are missing or damaged.
    """
    from toporepro.data.store import PreparedImages

    prepared = PreparedImages.open(index)
    images = prepared.split(split)
    return {
        "of": f"{prepared.source}, {split}",
        "classes": list(prepared.classes),
        "images": {
            str(number): [int(images.labels[number]), picture(images.images[number])]
            for number in sorted(numbers)
        },
    }


def picture(pixels: Any) -> str:
    """One image (height, width, channels) as a data URI: grey as PNG, colours as JPEG."""
    from PIL import Image

    grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[:, :, 0] if grey else pixels[:, :, :3])
    image.thumbnail((LARGEST, LARGEST))
    buffer, kind = io.BytesIO(), "png" if grey else "jpeg"
    image.save(buffer, kind, **({"optimize": True} if grey else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def drawing(index: Path) -> dict[str, Any] | None:
    """What the explorer needs to know of the images that an MLP takes, to let a reader draw one.

    Returns:
        Their shape, normalisation and classes, and a test image of each class, its pixels row by
        row as base64; ``None`` if they are not grey.

    Raises:
        DataError: if the prepared images are missing or damaged.
    """
    from toporepro.data.store import PreparedImages

    prepared = PreparedImages.open(index)
    height, width, channels = prepared.shape
    if channels != 1:
        return None
    test = prepared.split("test")
    labels = test.labels.tolist()
    first = [labels.index(label) for label in range(len(prepared.classes)) if label in labels]
    return {
        "height": height,
        "width": width,
        "mean": prepared.mean[0],
        "std": prepared.std[0],
        "classes": list(prepared.classes),
        "examples": [
            base64.b64encode(test.images[number].tobytes()).decode() for number in first[:_EXAMPLES]
        ],
    }


def second_layer(weights: Path) -> str:
    """The weights of an MLP's second layer, packed as (classes, hidden units)."""
    import safetensors

    with safetensors.safe_open(weights, framework="np") as file:
        return pack(file.get_tensor("fc2.weight"))
