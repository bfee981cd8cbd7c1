"""Brain measures of one layer and one participant of NSD's size, beside scikit-learn.

    python benchmarks/brain.py [--json FILE] [--images 10000] [--voxels 10000] [--units 512]

All three measures with their P and intervals: each voxel's best unit, the one-to-one assignment
over all voxels at once, and the ridge with its penalty chosen for each voxel. Nine images in ten
are fitted to, the rest are held out. Memory is the peak of the process, torch itself included. The
peer fits the same ridge as one would in a notebook, all voxels at once with scikit-learn's
``GridSearchCV`` over the same penalties and folds; it is timed on a few voxels and scaled up, which
favours it: one penalty is all that it chooses for them together.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toporepro.data.brain_responses import Participant, ResponseFile, Seen
from toporepro.measure import brain

PEER_VOXELS = 200


def participant(folder: Path, images: int, voxels: int, units: np.ndarray) -> Participant:
    """Voxels that mix a few units each, with noise, written as a preparation would."""
    generator = np.random.default_rng(0)
    test = images // 10
    seen = {}
    for split, part in (("train", units[test:]), ("test", units[:test])):
        path = folder / f"{split}.npy"
        with ResponseFile(path, len(part)) as file:
            for start in range(0, voxels, 500):
                count = min(500, voxels - start)
                mix = np.random.default_rng(start).normal(size=(8, count)).astype(np.float32)
                noise = generator.standard_normal((len(part), count), dtype=np.float32)
                file.write(part[:, start % 400 : start % 400 + 8] @ mix / 3 + noise)
        rows = np.arange(len(part))
        seen[split] = Seen(rows, np.full(len(part), 3), path, rows)
    return Participant(
        name="subj01",
        members={"all": np.arange(voxels)},
        ncsnr=np.ones(voxels),
        places=np.zeros((voxels, 3)),
        right=np.zeros(voxels, dtype=bool),
        maps={},
        **seen,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    for name, default in (("images", 10_000), ("voxels", 10_000), ("units", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)  # as a job has them, unless its preset gives it more
    generator = np.random.default_rng(1)
    units = generator.standard_normal((given.images, given.units), dtype=np.float32)
    options = brain.Options()
    with tempfile.TemporaryDirectory() as folder:
        one = participant(Path(folder), given.images, given.voxels, units)
        test = torch.from_numpy(units[: given.images // 10])
        train = torch.from_numpy(units[given.images // 10 :])
        start, cpu = time.perf_counter(), time.process_time()
        ((_, found),) = brain._layer(one, options, train, test)
        fitted = time.perf_counter()
        statistics = dict(brain._statistics(found.held, options, (0,)))
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cpu = time.process_time() - cpu
        peer = _peer(train.numpy(), one.train.responses(np.arange(PEER_VOXELS)), options)
    result: dict[str, Any] = {
        **{name: getattr(given, name) for name in ("images", "voxels", "units")},
        "seconds": round(seconds, 2),
        "of which P and intervals": round(seconds - (fitted - start), 2),
        "cpu_seconds": round(cpu, 2),
        "peak_gib": round(peak, 2),
        "peer_ridge_seconds": round(peer * given.voxels / PEER_VOXELS, 1),
        "scores": {name: round(statistics[name], 4) for name in brain.APPROACHES},
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result))


def _peer(units: np.ndarray, voxels: np.ndarray, options: brain.Options) -> float:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, KFold

    start = time.perf_counter()
    search = GridSearchCV(Ridge(), {"alpha": list(options.alphas)}, cv=KFold(options.folds))
    search.fit(units, voxels)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
