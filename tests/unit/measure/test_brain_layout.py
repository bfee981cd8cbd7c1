"""A brain laid out like the sheet is told from one that is not; curves against brute force."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brains import COUNTS, images, write_brains
from measured import train_spec, write_model
from scipy.stats import pearsonr

from toporepro.data.store import ImageWriter, PreparedImages
from toporepro.measure import brain_layout
from toporepro.measure.brain_curves import Region
from toporepro.measure.result import Result
from toporepro.measure.subject import Subject

LAYER = "layer4.1.conv2"  # 128 units, 8×16
SHEET = (8, 16)
OPTIONS = brain_layout.Options(stimuli=("b/test", "localizer"), every=16, bins=8, shuffles=99)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A network with random weights, shown images of three classes in two categories."""
    paths, _ = write_model(
        tmp_path_factory.mktemp("model"), train_spec("resnet18", width=0.25), channels=3
    )
    writer = ImageWriter(
        tmp_path_factory.mktemp("base"), source="digits", options={}, shape=(12, 12, 3),
        classes=["a", "b", "c"], mean=(0.5,) * 3, std=(0.25,) * 3,
        categories={"faces": [0], "scenes": [1, 2]},
    )  # fmt: skip
    for split in ("train", "test", "localizer"):
        labels = np.arange(30) % 3
        pixels = images(1, 30) // 2 + (40 * labels[:, None, None, None]).astype(np.uint8)
        writer.write_split(split, 30, [(pixels, labels)])
    base = PreparedImages.open(writer.finish())
    return Subject.load(paths.weights, base, seed=4, final=True, device="cpu")


def measured(subject: Subject, index: Path, options: Any = OPTIONS) -> Result:
    shown = Subject(**{**vars(subject), "stimuli": {"b": PreparedImages.open(index)}})
    return brain_layout.measure(shown, options)


def like_the_sheet(subject: Subject, folder: Path, shuffled: bool) -> Path:
    """Voxels that are the units of a layer, at their places on the sheet or at others'."""
    units = {
        split: subject.layer_responses([LAYER], images(len(split), count), "float32")[LAYER]
        for split, count in COUNTS.items()
    }
    places = np.stack([*np.divmod(np.arange(128), SHEET[1]), np.zeros(128, dtype=int)], axis=1)
    if shuffled:
        places = np.random.default_rng(1).permutation(places)
    maps = brain_layout._maps(subject, OPTIONS, ["localizer"])[LAYER]
    assert list(maps) == ["faces", "scenes"]
    return write_brains(
        folder,
        {"anna": {"IT": units}},
        snr=20.0,
        places=1.8 * places,
        maps={**maps, "odd": maps["faces"]},
    )


def test_a_region_laid_out_like_the_sheet(subject: Subject, tmp_path: Path) -> None:
    result = measured(subject, like_the_sheet(subject, tmp_path, shuffled=False))
    found = {(row.layer, row.metric): row.value for row in result.rows}
    for metric in brain_layout.COMPARISONS:
        assert found[LAYER, f"{metric}.IT.anna"] > 0.97, metric
        assert found[LAYER, f"{metric}_p.IT.anna"] == 0.01
        assert found["mean", metric] == found["mean", f"{metric}.IT"]
        assert found["mean", metric] == pytest.approx(found[LAYER, f"{metric}.IT.anna"])
    curves = {(unit.layer, unit.quantity): unit.values for unit in result.units}
    assert curves[LAYER, "sheet_by_distance"] == pytest.approx(
        curves["", "brain_by_distance.IT.anna"], abs=0.02
    )


def test_a_region_laid_out_otherwise(subject: Subject, tmp_path: Path) -> None:
    result = measured(subject, like_the_sheet(subject, tmp_path, shuffled=True))
    found = {row.metric: row.value for row in result.rows if row.layer == LAYER}
    assert abs(found["brain_place.IT.anna"]) < 0.1
    assert found["brain_place_p.IT.anna"] > 0.05
    assert found["brain_curve_p.IT.anna"] > 0.05


def test_curves_equal_brute_force(subject: Subject, tmp_path: Path) -> None:
    from toporepro.data.brain_responses import participants

    index = PreparedImages.open(like_the_sheet(subject, tmp_path, shuffled=True))
    (one,) = participants(index.index, index.extra)
    sides = [np.arange(0, 50), np.arange(60, 128)]
    region = Region.of(one, sides, 6)
    responses = one.test.responses(np.arange(128))
    pairs = [pair for side in sides for pair in itertools.combinations(side, 2)]
    distances = [float(np.linalg.norm(one.places[a] - one.places[b])) for a, b in pairs]
    order = np.argsort(np.round(distances, 6), kind="stable")
    # A distance belongs to the bin that holds the middle of its pairs, in order of distance.
    ranks: dict[float, list[int]] = {}
    for rank, place in enumerate(order):
        ranks.setdefault(round(distances[place], 6), []).append(rank)
    bins: list[list[float]] = [[] for _ in range(6)]
    t_bins: list[list[float]] = [[] for _ in range(6)]
    t = one.maps["faces"][np.concatenate(sides)]
    scaled = dict(zip(np.concatenate(sides), (t - t.mean()) / t.std(), strict=True))
    for (a, b), distance in zip(pairs, distances, strict=True):
        mine = ranks[round(distance, 6)]
        place = min(5, int(6 * (mine[0] + len(mine) / 2) // len(pairs)))
        bins[place].append(pearsonr(responses[:, a], responses[:, b]).statistic)
        t_bins[place].append(scaled[a] * scaled[b])
    expected = [np.mean(values) for values in bins]
    assert region.curves["responses"] == pytest.approx(expected, abs=1e-5)
    assert region.curves["faces"] == pytest.approx([np.mean(values) for values in t_bins])
    assert max(map(len, bins)) < 2 * min(map(len, bins))


def test_voxels_without_places_and_sets_without_brains(subject: Subject, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    signal = {split: generator.normal(size=(n, 40)) for split, n in COUNTS.items()}
    index = write_brains(tmp_path, {"anna": {"IT": signal}}, places=np.full((40, 3), np.nan))
    assert measured(subject, index).rows == ()
    only = brain_layout.Options(stimuli=("localizer",))
    assert measured(subject, index, only) == Result()
