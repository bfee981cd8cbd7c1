"""Numbers inside a page, as text that the page unpacks (``explorer/src/packed.ts``).

Float32, byte by byte: first the most significant byte of every value, then the next one of every
value, and so on, which deflates better than values one after the other; then base64.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

EXACT, SHORT = 4, 3  # bytes kept of each value


def pack(values: npt.NDArray[Any], kept: int = EXACT) -> str:
    """Values as text.

    Args:
        values: of any shape; read in C order, as float32.
        kept: ``EXACT``, or ``SHORT`` for values rounded to 16 significant bits, which is an error
            of at most one part in 65,000.
    """
    import numpy as np

    if kept not in (EXACT, SHORT):
        raise ValueError(f"kept={kept}: {SHORT} or {EXACT} bytes of each value")
    flat = np.ascontiguousarray(values, np.float32).ravel()
    bits = flat.view(np.uint32)
    if kept == SHORT:
        # To nearest, ties to even; what is no number stays as it is.
        rounded = (bits + 0x7F + ((bits >> 8) & 1)) & np.uint32(0xFFFFFF00)
        bits = np.where(np.isfinite(flat), rounded, bits).astype(np.uint32)
    planes = bits.astype(">u4").view(np.uint8).reshape(-1, 4).T[:kept]
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()


def unpack(text: str, kept: int = EXACT) -> npt.NDArray[Any]:
    """The values of :func:`pack`, flat, as float32."""
    import numpy as np

    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(kept, -1)
    whole = np.zeros((4, planes.shape[1]), np.uint8)
    whole[:kept] = planes
    return np.ascontiguousarray(whole.T).view(">f4").ravel().astype(np.float32)
