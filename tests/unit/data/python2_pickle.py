"""Writes CIFAR-10's batches opcode by opcode as Python 2's cPickle wrote them (protocol 2)."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt


def string(value: bytes) -> bytes:
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


def integer(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 65536:
        return b"M" + struct.pack("<H", value)
    return b"J" + struct.pack("<i", value)


def array(values: npt.NDArray[np.generic], fortran: bool = False) -> bytes:
    kind = values.dtype.str[1:].encode()
    order = values.dtype.str[:1].encode()
    shape = b"(" + b"".join(integer(side) for side in values.shape) + b"t"
    dtype = (
        b"cnumpy\ndtype\n" + string(kind) + integer(0) + integer(1) + b"\x87R"
        b"(" + integer(3) + string(order) + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    )
    data = values.tobytes("F" if fortran else "C")
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + integer(0) + b"\x85" + string(b"b") + b"\x87R"
        b"(" + integer(1) + shape + dtype + (b"\x88" if fortran else b"\x89") + string(data) + b"tb"
    )  # fmt: skip


def listed(items: list[bytes]) -> bytes:
    return b"](" + b"".join(items) + b"e"


def dictionary(items: Mapping[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(string(key) + value for key, value in items.items()) + b"u"


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def batch(
    data: npt.NDArray[np.generic], labels: list[int], name: bytes, fortran: bool = False
) -> bytes:
    return pickled(
        dictionary(
            {
                b"batch_label": string(name),
                b"labels": listed([integer(label) for label in labels]),
                b"data": array(data, fortran),
                b"filenames": listed([string(b"image_%d.png" % i) for i in range(len(labels))]),
            }
        )
    )


def archive(path: Path, members: Mapping[str, bytes]) -> None:
    """A tar.gz with the original's folder and further members."""
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo("cifar-10-batches-py")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in {**members, "readme.html": b"<html></html>"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
