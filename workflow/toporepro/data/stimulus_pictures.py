"""Pictures that a person puts into folders, one folder per class, as a set of stimuli."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toporepro.data.store import STIMULI, DataError, Images, ImageWriter

_AT_ONCE = 32
_WHITE = (255, 255, 255)


def square(path: Path, size: int) -> Images:
    """A picture as size×size×3: what is transparent or missing to a square becomes white.

    Raises:
        DataError: if the file is no picture that can be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I"):  # 16 bits; Pillow would cut, not scale, them
                deep = np.asarray(upright, dtype=np.float64) / 257
                upright = Image.fromarray(deep.round().clip(0, 255).astype(np.uint8))
            layered = upright.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a picture that can be read ({error}); replace it") from None
    side = max(layered.size)
    ground = Image.new("RGBA", (side, side), (*_WHITE, 255))
    corner = ((side - layered.width) // 2, (side - layered.height) // 2)
    ground.alpha_composite(layered, corner)
    picture: Images = np.asarray(
        ground.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    )
    return picture


def write(
    out: Path,
    *,
    source: str,
    options: Mapping[str, Any],
    size: int,
    files: Mapping[str, Sequence[Path]],
    categories: Mapping[str, Sequence[str]],
) -> None:
    """Write the split ``localizer`` of a set of stimuli, class after class, and its index.

    Args:
        files: class → its pictures, in order.
        categories: name → its classes.
    """
    classes = list(files)
    writer = ImageWriter(
        out,
        source=source,
        options=options,
        shape=(size, size, 3),
        classes=classes,
        categories={name: [classes.index(c) for c in of] for name, of in categories.items()},
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    listed = [(path, label) for label, name in enumerate(classes) for path in files[name]]

    def chunks() -> Iterator[tuple[Images, npt.NDArray[np.int64]]]:
        for start in range(0, len(listed), _AT_ONCE):
            some = listed[start : start + _AT_ONCE]
            labels = np.array([label for _, label in some])
            yield np.stack([square(path, size) for path, _ in some]), labels

    writer.write_split(STIMULI, len(listed), chunks())
    writer.finish()
