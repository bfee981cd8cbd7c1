"""Responses of brains to the stimuli of a prepared dataset: files that lie beside its own.

Per participant ``{name}_train.npy`` and ``{name}_test.npy`` (float32, voxels × stimuli, each the
mean over its repeats) and ``{name}.npz``: which stimuli of the split they are, how often each was
shown, and of the voxels their regions, places, noise-ceiling SNR and maps. The dataset's index
names them under ``extra.brain``. What answers is called a voxel, whatever it is.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toporepro.data.store import DataError

SPLITS = ("train", "test")
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """What a participant was shown of one split.

    Attributes:
        rows: the stimuli's numbers in the split, ascending, (stimuli,).
        repeats: how often each was shown, (stimuli,).
        file: responses, float32 (voxels, stimuli shown).
        columns: which of these the stimuli are.
    """

    rows: Integers
    repeats: Integers
    file: Path
    columns: Integers

    def some(self, chosen: Integers) -> Seen:
        """Only the stimuli ``chosen``, by their place among these."""
        return Seen(self.rows[chosen], self.repeats[chosen], self.file, self.columns[chosen])

    def responses(self, voxels: Integers) -> npt.NDArray[np.float32]:
        """Mean responses of some voxels, (stimuli, voxels)."""
        mapped = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return np.ascontiguousarray(mapped[voxels].T[self.columns])


@dataclass(frozen=True)
class Participant:
    """One participant's responses.

    Attributes:
        name: such as ``subj01``.
        members: region → its voxels' numbers; regions may overlap, those without voxels are left
            out.
        ncsnr: noise-ceiling signal-to-noise ratio of each voxel, for one showing; ``nan`` where no
            repeat tells it.
        places: of the voxels in mm, (voxels, 3); ``nan`` where they have none.
        right: whether each voxel is in the right hemisphere.
        maps: category → t of each voxel for it, from a localizer of the participant's own.
        train, test: what was shown.
    """

    name: str
    members: Mapping[str, Integers]
    ncsnr: Floats
    places: Floats
    right: npt.NDArray[np.bool_]
    maps: Mapping[str, Floats]
    train: Seen
    test: Seen

    def shown(self, choose: Callable[[int], Integers]) -> Participant:
        """The same participant, shown less: ``choose`` says which of so many stimuli of a split."""
        train, test = (seen.some(choose(len(seen.rows))) for seen in (self.train, self.test))
        return replace(self, train=train, test=test)


def participants(index: Path, extra: Mapping[str, Any]) -> tuple[Participant, ...]:
    """The participants of a prepared dataset.

    Args:
        index: its ``dataset.json``.
        extra: the same of its index.

    Raises:
        DataError: if the dataset has no brains, or a file is not what the index says.
    """
    if "brain" not in extra:
        raise DataError(f"{index}: a dataset without responses of brains")
    facts = extra["brain"]
    return tuple(_read(index.parent, name, facts["regions"]) for name in facts["participants"])


def _read(folder: Path, name: str, regions: Sequence[str]) -> Participant:
    path = folder / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        seen = {}
        for split in SPLITS:
            rows, repeats = arrays[f"{split}_rows"], arrays[f"{split}_repeats"]
            responses = folder / f"{name}_{split}.npy"
            shape = np.load(responses, mmap_mode="r", allow_pickle=False).shape
            if shape != (len(arrays["ncsnr"]), len(rows)):
                raise ValueError(f"{responses.name} is {shape}")
            seen[split] = Seen(rows, repeats, responses, np.arange(len(rows)))
        found = zip(regions, arrays["members"], strict=True)
        return Participant(
            name=name,
            members={region: np.flatnonzero(inside) for region, inside in found if inside.any()},
            ncsnr=arrays["ncsnr"],
            places=arrays["places"],
            right=arrays["right"],
            maps={str(key): t for key, t in zip(arrays["map_names"], arrays["maps"], strict=True)},
            train=seen["train"],
            test=seen["test"],
        )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: not a participant's responses ({error}); remove the folder {folder} and "
            "prepare the data again"
        ) from None


class ResponseFile:
    """A ``.npy`` of float32 (voxels, stimuli) that is written some voxels at a time."""

    def __init__(self, path: Path, stimuli: int) -> None:
        self._file, self._stimuli, self._voxels = path.open("wb"), stimuli, 0
        self._start = self._head()

    def __enter__(self) -> ResponseFile:
        return self

    def __exit__(self, *failure: object) -> None:
        """Close it, with the number of voxels that were written in its head."""
        self._file.seek(0)
        assert self._head() == self._start, "heads of one length"
        self._file.close()

    def write(self, responses: npt.NDArray[np.floating]) -> None:
        """The next voxels' responses, (stimuli, voxels)."""
        assert responses.shape[0] == self._stimuli, "as many stimuli as announced"
        self._voxels += responses.shape[1]
        self._file.write(np.ascontiguousarray(responses.T, dtype="<f4").data)

    def _head(self) -> int:
        shape = (self._voxels, self._stimuli)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()


def write_voxels(
    folder: Path,
    name: str,
    *,
    members: npt.NDArray[np.bool_],
    ncsnr: npt.NDArray[np.floating],
    places: npt.NDArray[np.floating],
    right: npt.NDArray[np.bool_],
    maps: Mapping[str, npt.NDArray[np.floating]],
    shown: Mapping[str, tuple[Integers, Integers]],
) -> list[str]:
    """Write ``{name}.npz`` and return the names of all the participant's files.

    Args:
        members: (regions, voxels), the regions in the order of the index.
        shown: split → its stimuli's rows and repeats.
        ncsnr, places, right, maps: as in :class:`Participant`.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "members": members,
        "ncsnr": ncsnr.astype(np.float64),
        "places": places.astype(np.float64),
        "right": right,
        "map_names": np.array(list(maps), dtype=np.str_),
        "maps": np.array(list(maps.values()), dtype=np.float64).reshape(len(maps), len(ncsnr)),
    }
    for split, (rows, repeats) in shown.items():
        arrays |= {f"{split}_rows": rows, f"{split}_repeats": repeats}
    np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)
    return [f"{name}.npz", *(f"{name}_{split}.npy" for split in SPLITS)]
