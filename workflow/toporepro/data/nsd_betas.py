"""A subject's single-trial betas, read in blocks of voxels: z-scored, averaged, and checked.

A file of betas holds (trials, z, y, x), int16, 300 times the percent signal change. Each voxel is
z-scored over the trials of a session, which takes the factor away. A block is a few rows of one
slice, over all sessions: memory depends on neither the number of sessions nor that of voxels.

Nothing in a file says whose betas, of which session, it holds. So the data are asked: repeats of an
image have to agree across sessions more than shuffled ones do, and what they agree has to vary over
voxels as ``ncsnr.nii.gz`` says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toporepro.data.store import DataError

BLOCK = 1 << 22  # numbers of single trials held at once
SHUFFLES = 20
_LEAST_TRIALS = 20  # with repeats in other sessions, for a session to be judged
_LEAST_VOXELS = 20
_LEAST_AGREEMENT = 0.5  # correlation over voxels of our SNR and the file's; real ones exceed 0.9
Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Some voxels: their places in the volume, and their z-scores.

    Attributes:
        voxels: (voxels, 3): x, y, z.
        trials: (trials of all sessions in order, voxels), float32.
    """

    voxels: Integers
    trials: npt.NDArray[np.float32]


def blocks(betas: Mapping[int, Path], trials: int, mask: Mask) -> Iterator[Block]:
    """The voxels of a mask, slice by slice; those that are constant in a session are left out.

    Args:
        betas: session → its file.
        trials: of a session.
        mask: (x, y, z).

    Raises:
        DataError: if a file is damaged, or of another shape than the mask.
    """
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(_opened(path)) for path in betas.values()]
        stored = [
            _checked(path, source, trials, mask.shape)
            for path, source in zip(betas.values(), sources, strict=True)
        ]
        widest = max(1, BLOCK // (trials * len(stored)))
        for z in range(mask.shape[2]):
            for rows in _runs(mask[:, :, z].sum(axis=0), widest):
                y, x = np.nonzero(mask[:, rows, z].T)
                if len(x):
                    parts = [
                        _session(path, dataset, z, rows, x, y)
                        for path, dataset in zip(betas.values(), stored, strict=True)
                    ]
                    block = np.concatenate(parts)
                    alive = np.isfinite(block).all(axis=0)
                    places = np.stack([x, y + rows.start, np.full_like(x, z)], axis=1)
                    yield Block(places[alive], block[:, alive])


def _runs(counts: Integers, widest: int) -> Iterator[slice]:
    """Neighbouring rows of a slice with at most ``widest`` voxels together, or a single row."""
    start, total = 0, 0
    for row, count in enumerate(counts):
        if total and total + count > widest:
            yield slice(start, row)
            start, total = row, 0
        total += int(count)
    yield slice(start, len(counts))


def _session(
    path: Path, dataset: Any, z: int, rows: slice, x: Integers, y: Integers
) -> npt.NDArray[np.float32]:
    """z-scores of one session, (trials, voxels); ``nan`` where a voxel is constant."""
    try:
        raw = dataset[:, z, rows, :][:, y, x].astype(np.float64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read to its end ({error}); get it anew") from None
    with np.errstate(invalid="ignore"):
        scores: npt.NDArray[np.float32] = ((raw - raw.mean(axis=0)) / raw.std(axis=0)).astype("f4")
    return scores


def _opened(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            f"{path}: not an HDF5 file that can be read ({error}); cut short? Get it anew"
        ) from None


def _checked(path: Path, file: Any, trials: int, volume: tuple[int, ...]) -> Any:
    if "betas" not in file:
        raise DataError(f"{path}: has no `betas`, but {', '.join(file) or 'nothing'}")
    dataset, expected = file["betas"], (trials, *volume[::-1])
    if dataset.dtype != np.int16 or dataset.shape != expected:
        raise DataError(
            f"{path}: betas are {dataset.dtype} {dataset.shape}, (trials, z, y, x); int16 "
            f"{expected} is expected, by the subject's regions: another subject's or session's?"
        )
    return dataset


@dataclass
class Repeats:
    """Means over repeats, and how far repeats agree.

    Args:
        images: image of each trial, by session, in the order of the trials.
    """

    images: Mapping[int, Integers]
    shown: Integers = field(init=False)
    counts: Integers = field(init=False)

    def __post_init__(self) -> None:
        every = np.concatenate(list(self.images.values()))
        self.shown, place, self.counts = np.unique(every, return_inverse=True, return_counts=True)
        self._place: Integers = place.ravel().astype(np.int64)
        self._order = np.argsort(self._place, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        generator = np.random.default_rng(0)
        self._sessions, start = {}, 0
        for session, images in self.images.items():
            rows = np.arange(start, start := start + len(images))
            mine = np.bincount(self._place[rows], minlength=len(self.shown))
            elsewhere = (self.counts - mine)[self._place[rows]]
            judged = rows[elsewhere > 0]
            shuffles = [generator.permutation(len(judged)) for _ in range(SHUFFLES)]
            self._sessions[session] = (rows, judged, elsewhere[elsewhere > 0], shuffles)
        self._agreement = {session: np.zeros(1 + SHUFFLES) for session in self.images}
        self._snr: list[npt.NDArray[np.float64]] = []

    def add(self, block: Block) -> npt.NDArray[np.float32]:
        """Mean response to each image of ``shown``, (images, voxels)."""
        trials = block.trials.astype(np.float64)
        sums = np.add.reduceat(trials[self._order], self._starts, axis=0)
        means = sums / self.counts[:, None]
        squares = np.add.reduceat(trials[self._order] ** 2, self._starts, axis=0)
        for session, (rows, judged, elsewhere, shuffles) in self._sessions.items():
            own = trials[judged]
            others = sums[self._place[judged]] - self._within(rows, judged, trials)
            others /= elsewhere[:, None]
            found = [float((own * others).sum())]
            found += [float((own * others[order]).sum()) for order in shuffles]
            self._agreement[session] += found
        self._snr.append(_snr(squares - self.counts[:, None] * means**2, self.counts))
        return means.astype(np.float32)

    def _within(
        self, rows: Integers, judged: Integers, trials: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Of each judged trial, the sum over its image's trials in the same session."""
        images, place = np.unique(self._place[rows], return_inverse=True)
        mine = np.zeros((len(images), trials.shape[1]))
        np.add.at(mine, place.ravel(), trials[rows])
        result: npt.NDArray[np.float64] = mine[place.ravel()[judged - rows[0]]]
        return result

    def check(self, betas: Mapping[int, Path], ncsnr: npt.NDArray[np.floating]) -> None:
        """Whether these are the betas of these trials.

        Args:
            ncsnr: of the file, for the voxels in the order in which they were added.

        Raises:
            DataError: naming the sessions that do not fit, or that all do not.
        """
        judged = [s for s, (_, rows, _, _) in self._sessions.items() if len(rows) >= _LEAST_TRIALS]
        wrong = [s for s in judged if self._agreement[s][0] <= self._agreement[s][1:].max()]
        if wrong and len(wrong) < len(judged):
            names = ", ".join(str(betas[session]) for session in wrong)
            raise DataError(
                f"{names}: repeats of an image do not agree with those of other sessions (no more "
                "than when shuffled): the betas of another session or subject, or in another order"
            )
        if wrong:
            folder = betas[wrong[0]].parent
            raise DataError(
                f"{folder}: repeats of an image agree across sessions no more than when shuffled: "
                "nsd_expdesign.mat is in another order than these betas"
            )
        if not judged or len(ncsnr) < _LEAST_VOXELS:
            return
        r = float(np.corrcoef(np.concatenate(self._snr), ncsnr)[0, 1])
        if not r >= _LEAST_AGREEMENT:
            raise DataError(
                f"{betas[judged[0]].parent}: the signal-to-noise ratio of these betas does not "
                f"follow ncsnr.nii.gz over voxels (r = {r:.2f}): one of them is another subject's"
            )


def _snr(residual: npt.NDArray[np.float64], counts: Integers) -> npt.NDArray[np.float64]:
    """Noise-ceiling SNR of z-scored voxels, from the squares around the means of repeats.

    Noise is the mean variance over repeats of an image, signal what it leaves of the variance 1
    (NSD data manual).
    """
    repeated = counts > 1
    noise = residual[repeated].sum(axis=0) / max(1, (counts - 1)[repeated].sum())
    ratio: npt.NDArray[np.float64] = np.clip(1 - noise, 0, None) / np.maximum(noise, 1e-12)
    return np.sqrt(ratio)
