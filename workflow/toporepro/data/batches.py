"""The pickled batches of CIFAR-10, read without running anything that a pickle may ask for.

A pickle is a program. These batches need three names of numpy and nothing else; here even those
stand for inert objects of ours, which only remember what the pickle gives them, and every other
name is refused.
"""

from __future__ import annotations

import io
import pickle  # what makes reading one dangerous, names, is taken out below
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toporepro.data.store import DataError, Images, Labels

_VALUES = 3 * 32 * 32
_CLASSES = 10


@dataclass(frozen=True)
class Batch:
    """Images as rows of 3,072 values (uint8; red, green, blue planes) and their labels."""

    data: Images
    labels: Labels


def read_batch(content: bytes, where: str) -> Batch:
    """Read one batch: a dictionary with ``data`` (n×3072, uint8) and ``labels`` (n integers).

    Args:
        content: the pickle.
        where: what errors call it.

    Raises:
        DataError: if it is damaged, asks for anything but arrays of bytes, or holds other shapes.
    """
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except Exception as error:
        # A damaged pickle may raise whatever its opcodes run into.
        raise DataError(f"{where}: a damaged pickle ({type(error).__name__}: {error})") from None
    if not isinstance(batch, dict):
        raise DataError(f"{where}: {type(batch).__name__} found, a dictionary expected")
    array, numbers = batch.get(b"data"), batch.get(b"labels")
    if not isinstance(array, _Array) or not isinstance(numbers, list):
        raise DataError(f"{where}: 'data' (an array) and 'labels' (a list) expected")
    data = array.decoded(where)
    if not all(type(n) is int and 0 <= n < _CLASSES for n in numbers):
        raise DataError(f"{where}: labels other than 0 to {_CLASSES - 1}")
    if data.shape != (len(numbers), _VALUES):
        raise DataError(f"{where}: data {data.shape}, ({len(numbers)}, {_VALUES}) expected")
    return Batch(data, np.array(numbers, dtype=np.int64))


class _Dtype:
    """Stands for ``numpy.dtype``."""

    def __init__(self, *arguments: object) -> None:
        self.name = arguments[0] if arguments else None

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which single bytes do not have."""


class _NdarrayName:
    """Stands for the class ``numpy.ndarray``, which the pickle only mentions."""


class _Array:
    """Stands for an array; the pickle fills it with (version, shape, dtype, order, bytes)."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def decoded(self, where: str) -> Images:
        match self.state:
            case (int(), (int() as rows, int() as columns), _Dtype() as dtype, order, bytes(raw)):
                if dtype.name in (b"u1", "u1") and rows >= 0 and rows * columns == len(raw):
                    values = np.frombuffer(raw, dtype=np.uint8)
                    return values.reshape((rows, columns), order="F" if order else "C")
        raise DataError(f"{where}: 'data' is not a two-dimensional array of unsigned bytes")


def _reconstruct(*arguments: object) -> _Array:
    return _Array()


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DataError(f"refused: the pickle asks for {module}.{name}") from None

    def persistent_load(self, pid: object) -> object:
        raise DataError("refused: the pickle asks for a persistent object")
