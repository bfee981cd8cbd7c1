"""The measures of a layer of GPT-2's size, beside straightforward numpy, scipy and esda.

    python benchmarks/measures.py [--json FILE] [--units 3072] [--stimuli 10000] [--layers 12]

Both sides get the same responses, in batches as a network gives them, and end with the same
numbers, whose largest difference is printed. The peers are written as one would in a notebook: all
responses in one array, ``np.corrcoef``, one pass over all pairs of units per shuffle, a t-test of
scipy's per contrast, esda's Moran's I per stimulus. What a peer repeats alike (shuffles,
permutations, stimuli) is timed on a few of them and scaled up; ours is timed in full. Each is the
best of a few turns. No covariance can be had faster than one triangle of the matrix product of all
responses with themselves, in the responses' precision: the limit. Memory is the peak of a process
that streams all layers at once, above what it held before.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from scipy import stats

from toporepro.measure.contrasts import Contrasts, permuted_maps, scaled, welch
from toporepro.measure.correlation import correlations
from toporepro.measure.effective_dimensionality import participation_ratio
from toporepro.measure.moments import Moments
from toporepro.measure.sheet_pairs import distance_bins
from toporepro.measure.smoothness import extent, morans_i, shuffled_extent
from toporepro.sheet import sheet_shape

BATCH, BINS, SHUFFLES, PERMUTATIONS, CATEGORIES = 64, 20, 100, 1000, 5
TURNS = 3
T = TypeVar("T")
SHOWN = 1000  # images of a localizer, of which the maps of selectivity are made


@dataclass
class Result:
    """Seconds for one layer."""

    measure: str
    peer: str
    ours_s: float
    peer_s: float
    peer_over_ours: float
    largest_difference: float


def batches(units: int, stimuli: int, layer: int = 0) -> Iterator[torch.Tensor]:
    """Responses of units that share 40 hidden features, with neighbours alike; (batch, units)."""
    generator = torch.Generator().manual_seed(layer)
    height, width = sheet_shape(units)
    features = torch.randn(40, 1, height, width, generator=generator)
    features = torch.nn.functional.avg_pool2d(features, 3, 1, 1).reshape(40, units)
    for start in range(0, stimuli, BATCH):
        rows = min(BATCH, stimuli - start)
        drive = torch.randn(rows, 40, generator=generator)
        yield drive @ features + 0.3 * torch.randn(rows, units, generator=generator)


def moments(units: int, stimuli: int, layer: int = 0) -> Moments:
    found = Moments(units, torch.device("cpu"))
    for batch in batches(units, stimuli, layer):
        found.update(batch)
    return found


def timed(work: Callable[[], T], turns: int = TURNS) -> tuple[T, float]:
    best = math.inf
    for _ in range(turns):
        start = time.perf_counter()
        answer = work()
        best = min(best, time.perf_counter() - start)
    return answer, best


def product_limit(responses: np.ndarray) -> float:
    """Seconds for half of the matrix product responsesᵀ · responses."""
    tensor = torch.from_numpy(responses)
    half = tensor[:, : responses.shape[1] // 2]
    return timed(lambda: half.T @ tensor)[1]


def smoothness(responses: np.ndarray, units: int, stimuli: int) -> Result:
    height, width = sheet_shape(units)

    def ours() -> np.ndarray:
        streamed = moments(units, stimuli)
        bins = distance_bins(height, width, BINS)
        matrix, live = correlations(streamed.mean, streamed.covariance())
        raw = extent(bins.curve(matrix, live))
        null = shuffled_extent(matrix, live, bins, SHUFFLES, (0,))
        return np.array([raw, null])

    _, making = timed(lambda: [None for _ in batches(units, stimuli)])
    mine, mine_s = timed(ours)
    matrix, correlating = timed(lambda: np.corrcoef(responses.T))
    start = time.perf_counter()
    first, second = np.triu_indices(units, 1)
    places = np.stack(np.divmod(np.arange(units), width), axis=1)
    distance = np.sqrt(((places[first] - places[second]) ** 2).sum(axis=1))
    edges = np.linspace(0, distance.max(), BINS + 1)
    bin_of = np.clip(np.digitize(distance, edges) - 1, 0, BINS - 1)
    count = np.bincount(bin_of, minlength=BINS)

    def spread(of: np.ndarray) -> float:
        means = np.bincount(bin_of, of[first, second], minlength=BINS) / np.maximum(count, 1)
        return float(np.ptp(means[count > 0]))

    raw = spread(matrix)
    once = correlating + time.perf_counter() - start
    order = np.random.default_rng(0).permutation(units)
    _, shuffling = timed(lambda: spread(matrix[np.ix_(order, order)]))
    theirs_s = once + shuffling * SHUFFLES
    difference = abs(float(mine[0]) - raw)
    return result("smoothness, 100 shuffles", "numpy", mine_s - making, theirs_s, difference)


def dimensionality(responses: np.ndarray, units: int, stimuli: int) -> Result:
    _, making = timed(lambda: [None for _ in batches(units, stimuli)])
    mine, mine_s = timed(lambda: participation_ratio(moments(units, stimuli).covariance()))

    def theirs() -> float:
        values = np.linalg.eigvalsh(np.cov(responses.T))
        return float(values.sum() ** 2 / (values**2).sum())

    other, theirs_s = timed(theirs)
    difference = abs(mine - other)
    return result(
        "effective dimensionality", "numpy, eigvalsh", mine_s - making, theirs_s, difference
    )


def selectivity(responses: np.ndarray) -> Result:
    count = len(responses)
    labels = np.arange(count) % CATEGORIES
    first = np.stack([labels == category for category in range(CATEGORIES)])
    names = tuple(str(category) for category in range(CATEGORIES))
    contrasts = Contrasts(names, True, np.arange(count), first, ~first)

    def ours() -> np.ndarray:
        answers = scaled(responses)
        sides = [torch.from_numpy(mask).to(answers) for mask in (first, ~first)]
        maps = welch(answers, *sides)[0].numpy()
        for chunk in permuted_maps(answers, contrasts, PERMUTATIONS, (0,)):
            chunk.abs().amax(dim=2)
        return maps

    mine, mine_s = timed(ours)

    def theirs(order: np.ndarray) -> np.ndarray:
        shuffled = responses[order].astype(np.float64)
        return np.stack(
            [stats.ttest_ind(shuffled[f], shuffled[~f], equal_var=False).statistic for f in first]
        )

    maps, once = timed(lambda: theirs(np.arange(count)))
    difference = float(np.abs(mine - maps).max())
    return result(
        f"selectivity, 5 maps, {PERMUTATIONS} permutations, {count} images",
        "scipy.stats.ttest_ind",
        mine_s,
        once * (1 + PERMUTATIONS),
        difference,
    )


def moran(responses: np.ndarray, units: int, stimuli: int) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from esda import Moran
        from libpysal.weights import lat2W
    height, width = sheet_shape(units)
    _, making = timed(lambda: [None for _ in batches(units, stimuli)])

    def ours(count: int) -> float:
        streamed = moments(units, count)
        return morans_i(*correlations(streamed.mean, streamed.covariance()), height, width)

    _, mine_s = timed(lambda: ours(stimuli))
    few = 5 * BATCH
    standard = stats.zscore(responses[:few].astype(np.float64), axis=0)
    weights, building = timed(lambda: lat2W(height, width, rook=False))

    def theirs() -> float:
        above = below = 0.0
        for row in standard:
            spread = float(((row - row.mean()) ** 2).sum())
            # One I for all stimuli: esda's of each, weighted by the spread of its map.
            above += Moran(row, weights, transformation="B", permutations=0).I * spread
            below += spread
        return above / below

    other, some = timed(theirs)
    theirs_s = building + some / few * stimuli
    difference = abs(ours(few) - other)
    return result("Moran's I of every map", "esda.Moran", mine_s - making, theirs_s, difference)


def result(measure: str, peer: str, ours_s: float, peer_s: float, difference: float) -> Result:
    return Result(measure, peer, ours_s, peer_s, peer_s / ours_s, difference)


def peak_bytes(units: int, stimuli: int, layers: int) -> int:
    """In a process of its own: all layers streamed side by side, then measured one by one."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import measures; "
        "measures.all_layers(*map(int, sys.argv[2:]))"
    )
    here = str(Path(__file__).parent)
    sizes = map(str, (units, stimuli, layers))
    answer = subprocess.check_output([sys.executable, "-c", code, here, *sizes], text=True)
    return int(answer)


def all_layers(units: int, stimuli: int, layers: int) -> None:
    height, width = sheet_shape(units)
    before = held("VmRSS")
    found = [Moments(units, torch.device("cpu")) for _ in range(layers)]
    for batch in batches(units, stimuli):
        for item in found:
            item.update(batch)
    bins = distance_bins(height, width, BINS)
    for item in found:
        covariance = item.covariance()
        participation_ratio(covariance)
        matrix, live = correlations(item.mean, covariance)
        extent(bins.curve(matrix, live))
        shuffled_extent(matrix, live, bins, 1, (0,))
        morans_i(matrix, live, height, width)
    print(held("VmHWM") - before)


def held(what: str) -> int:
    """Bytes of this process's memory, or the most it ever was (``VmHWM``), as Linux counts."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures beside numpy, scipy and esda.")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--units", type=int, default=3072)
    parser.add_argument("--stimuli", type=int, default=10_000)
    parser.add_argument("--layers", type=int, default=12)
    options = parser.parse_args()
    units, stimuli = options.units, options.stimuli
    responses = torch.cat(list(batches(units, stimuli))).numpy()
    found = [
        smoothness(responses, units, stimuli),
        dimensionality(responses, units, stimuli),
        selectivity(responses[:SHOWN]),
        moran(responses, units, stimuli),
    ]
    limit = product_limit(responses)
    memory = peak_bytes(units, stimuli, options.layers)
    print(f"{units} units, {stimuli} stimuli, seconds for one layer")
    for item in found:
        print(
            f"{item.measure:<60}{item.ours_s:>8.2f}{item.peer_s:>10.2f} {item.peer:<24}"
            f"{item.peer_over_ours:>8.1f}×  differ by {item.largest_difference:.0e}"
        )
    print(f"limit, one triangle of the product of all responses: {limit:.2f} s")
    print(f"memory of {options.layers} layers streamed side by side: {memory / 1e9:.2f} GB")
    if options.json:
        content = {
            "units": units,
            "stimuli": stimuli,
            "threads": torch.get_num_threads(),
            "results": [asdict(item) for item in found],
            "product_limit_s": limit,
            "layers": options.layers,
            "peak_bytes": memory,
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
