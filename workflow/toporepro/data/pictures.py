"""Image files as people made them, read into RGB; what cannot be read is an error."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np

from toporepro.data.store import DataError, Images

_ORIENTATION = 0x0112
_SIXTEEN_TO_EIGHT = 257


@dataclass(frozen=True)
class Picture:
    """An image in RGB, uint8 H×W×3, and what was odd about its file.

    Attributes:
        oddities: of ``not_jpeg``, ``cmyk``, ``grey``, ``palette``, ``alpha``, ``sixteen_bit`` and
            ``orientation``.
    """

    pixels: Images
    oddities: tuple[str, ...]


def read_picture(data: bytes) -> Picture:
    """Decode an image file of any kind that Pillow knows, told by its content, not its name.

    CMYK (also Adobe's inverted kind), grey and palette images become RGB; 16 bits are scaled to 8;
    transparency is dropped. An EXIF orientation is *not* applied: labels, boxes and published
    networks go back to pixels as they are stored.

    Raises:
        DataError: if it is broken, cut short or of a kind without a meaning in RGB.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Of metadata, which is not used; pixels that cannot be read are errors.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                oddities = _oddities(image)
                return Picture(_as_rgb(image), oddities)
    except DataError:
        raise
    except Exception as error:
        # What a broken file raises is up to where in a decoder it leads.
        text = str(error).split("<_io")[0].strip()
        raise DataError(f"not a readable image ({type(error).__name__}: {text})") from None


def _as_rgb(image: object) -> Images:
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise DataError(f"pixel values from {values.min()} to {values.max()}")
        grey = ((values + _SIXTEEN_TO_EIGHT // 2) // _SIXTEEN_TO_EIGHT).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise DataError(f"pixels of mode {image.mode!r}")
    return np.asarray(image.convert("RGB"))


def _oddities(image: object) -> tuple[str, ...]:
    from PIL import Image

    assert isinstance(image, Image.Image)
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # metadata of any kind of brokenness, of which only this number is wanted
        orientation = 1
    found = {
        "not_jpeg": image.format not in ("JPEG", "MPO"),
        "cmyk": image.mode == "CMYK",
        "grey": image.mode in ("1", "L", "LA") or image.mode.startswith("I"),
        "palette": image.mode in ("P", "PA"),
        "alpha": image.mode in ("LA", "PA", "RGBA"),
        "sixteen_bit": image.mode.startswith("I"),
        "orientation": orientation not in (0, 1),
    }
    return tuple(name for name, is_so in found.items() if is_so)


def shrink(image: Images, side: int) -> Images:
    """An image H×W×3 with its shorter side reduced to ``side`` pixels, or as it is if smaller.

    Pillow's bicubic filter, widened to the factor of reduction, so that nothing aliases.
    """
    from PIL import Image

    height, width = image.shape[:2]
    if min(height, width) <= side:
        return image
    factor = side / min(height, width)
    size = (max(side, round(width * factor)), max(side, round(height * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
