"""Selectivity against scipy and scikit-image; a planted map is found, and nothing where none is."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import measure_spec, train_spec, write_model
from scipy import stats
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from toporepro.data.store import ImageWriter, PreparedImages
from toporepro.measure import selectivity
from toporepro.measure.clusters import largest_clusters, layout_similarity, morans_i
from toporepro.measure.contrasts import named, one_vs_rest, permuted_maps, scaled, welch
from toporepro.measure.map_similarity import similarity, ssim, unit_scaled
from toporepro.measure.run import measure
from toporepro.measure.subject import Subject
from toporepro.spec import DataSpec, SpecError

GROUPS = {"faces": [0, 1], "bodies": [2], "scenes": [3]}
LABELS = np.repeat([0, 1, 2, 3, 4], [6, 7, 9, 8, 5])


def answers(units: int = 20, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    tuned = generator.normal(size=(5, units))[LABELS]
    noise = generator.normal(size=(len(LABELS), units)) * (1 + LABELS[:, None])
    return (50 + tuned + noise).astype(np.float32)


def t_and_dprime(responses: np.ndarray, contrasts: Any) -> tuple[np.ndarray, np.ndarray]:
    of = scaled(responses[contrasts.stimuli])
    sides = (torch.from_numpy(side).to(of) for side in (contrasts.first, contrasts.second))
    t, dprime = welch(of, *sides)
    return t.numpy(), dprime.numpy()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_t_and_dprime_equal_scipy(seed: int) -> None:
    responses = answers(seed=seed)
    both = (
        one_vs_rest(GROUPS, LABELS),
        named(["x=faces+bodies-4"], GROUPS, list("01234"), LABELS),
    )
    for contrasts in both:
        assert contrasts is not None
        t, dprime = t_and_dprime(responses, contrasts)
        shown = responses[contrasts.stimuli].astype(np.float64)
        for number in range(len(contrasts.names)):
            a, b = shown[contrasts.first[number]], shown[contrasts.second[number]]
            expected = stats.ttest_ind(a, b, equal_var=False).statistic
            assert t[number] == pytest.approx(expected, rel=1e-6, abs=1e-8)
            spread = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / 2)
            assert dprime[number] == pytest.approx((a.mean(0) - b.mean(0)) / spread, rel=1e-6)


def test_images_of_no_category_take_no_part_and_dead_units_are_0() -> None:
    contrasts = one_vs_rest(GROUPS, LABELS)
    assert contrasts is not None
    assert contrasts.stimuli.tolist() == np.flatnonzero(LABELS != 4).tolist()
    responses = answers()
    responses[:, 3] = 7
    t, dprime = t_and_dprime(responses, contrasts)
    assert not t[:, 3].any()
    assert not dprime[:, 3].any()


def test_contrasts_that_cannot_be() -> None:
    assert one_vs_rest({"a": [0, 1], "b": [1]}, LABELS) is None
    assert named(["x=faces-plants"], GROUPS, list("01234"), LABELS) is None
    with pytest.raises(SpecError, match="on both of its sides"):
        named(["x=faces-faces+bodies"], GROUPS, list("01234"), LABELS)
    with pytest.raises(SpecError, match="at least 2 and 2"):
        one_vs_rest({"a": [0], "b": [1]}, np.array([0, 1, 1]))


@pytest.mark.parametrize("sheet", [(16, 16), (11, 30), (12, 64)])
def test_ssim_equals_scikit_image(sheet: tuple[int, int]) -> None:
    maps = np.random.default_rng(1).normal(size=(4, *sheet))
    maps = gaussian_filter(maps, (0, 1, 1))
    unit = unit_scaled(torch.from_numpy(maps.reshape(4, -1))).reshape(4, *sheet)
    pairs = list(itertools.combinations(range(4), 2))
    expected = [
        structural_similarity(
            unit[i].numpy(), unit[j].numpy(), gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, data_range=1.0,
        )
        for i, j in pairs
    ]  # fmt: skip
    assert ssim(unit, pairs).numpy() == pytest.approx(expected, abs=1e-10)


def test_on_small_sheets_all_positions_count_and_borders_mirror() -> None:
    maps = torch.from_numpy(np.random.default_rng(2).random((2, 4, 8)))
    a, b = (one.numpy() for one in maps)

    def smooth(on: np.ndarray) -> np.ndarray:
        return gaussian_filter(on, 1.5, mode="reflect", truncate=3.5)

    mean, other = smooth(a), smooth(b)
    variance = smooth(a * a) - mean**2 + smooth(b * b) - other**2
    covariance = smooth(a * b) - mean * other
    expected = (2 * mean * other + 1e-4) * (2 * covariance + 9e-4)
    expected = expected / ((mean**2 + other**2 + 1e-4) * (variance + 9e-4))
    assert float(ssim(maps, [(0, 1)])[0]) == pytest.approx(expected.mean(), abs=1e-12)
    assert float(ssim(maps, [(0, 0)])[0]) == pytest.approx(1)


def test_shuffles_take_away_what_correlation_alone_gives() -> None:
    generator = np.random.default_rng(3)
    base = generator.normal(size=256)
    rough = np.stack([base, base + 0.5 * generator.normal(size=256)])
    smooth = gaussian_filter(generator.normal(size=(3, 16, 16)), (0, 2, 2)).reshape(3, -1)
    shared = np.stack([smooth[0] + 0.5 * smooth[1], smooth[0] + 0.5 * smooth[2]])
    shuffles = np.stack([generator.permutation(256) for _ in range(40)])
    raw, beyond = similarity(torch.from_numpy(rough), [(0, 1)], (16, 16), shuffles)
    assert raw[0] > 0.5
    assert abs(beyond[0]) < 0.05
    both = torch.from_numpy(np.stack([*rough, *shared]))
    raw, beyond = similarity(both, [(2, 3)], (16, 16), shuffles)
    unit = unit_scaled(torch.from_numpy(shared))
    shuffled = [float(ssim(unit[:, order].reshape(2, 16, 16), [(0, 1)])) for order in shuffles]
    assert float(raw - beyond) == pytest.approx(np.mean(shuffled))


def neighbours_of(place: tuple[int, int]) -> set[tuple[int, int]]:
    return {(place[0] + i, place[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} - {place}


def beside(place: tuple[int, int]) -> set[tuple[int, int]]:
    return {p for p in neighbours_of(place) if p[0] == place[0] or p[1] == place[1]}


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_clusters_equal_a_flood_fill(seed: int, both_ends: bool) -> None:
    maps = np.random.default_rng(seed).normal(size=(3, 2, 5, 6))
    found = largest_clusters(maps, 0.8, both_ends=both_ends)
    for where in np.ndindex(3, 2):
        best = 0
        for sign in (1, -1) if both_ends else (1,):
            left = {(int(i), int(j)) for i, j in np.argwhere(sign * maps[where] > 0.8)}
            while left:
                front, size = [left.pop()], 0
                while front:
                    size += 1
                    near = beside(front.pop()) & left
                    left -= near
                    front += near
                best = max(best, size)
        assert found[where] == best


def test_morans_i_of_known_maps() -> None:
    board = (np.indices((6, 6)).sum(axis=0) % 2).astype(float)
    stripes = np.repeat([0.0, 1.0], 18).reshape(6, 6)
    found = morans_i(np.stack([board.ravel(), stripes.ravel(), np.ones(36)]), 6, 6)
    weights = sum(
        len({p for p in neighbours_of((i, j)) if 0 <= p[0] < 6 and 0 <= p[1] < 6})
        for i, j in np.ndindex(6, 6)
    )
    expected = [
        36 * sum(
            z[i, j] * z[p] for i, j in np.ndindex(6, 6) for p in neighbours_of((i, j))
            if 0 <= p[0] < 6 and 0 <= p[1] < 6
        ) / (weights * (z**2).sum())
        for z in (board - 0.5, stripes - 0.5)
    ]  # fmt: skip
    assert found[:2] == pytest.approx(expected)
    assert np.isnan(found[2])


def test_layouts_at_random_are_not_alike_whatever_the_correlation() -> None:
    generator = np.random.default_rng(8)
    pair = generator.normal(size=(2, 32)) + 2 * generator.normal(size=32)
    orders = [generator.permutation(32) for _ in range(2000)]
    found = [layout_similarity(pair[:, order], 4, 8)[0, 1] for order in orders]
    assert np.corrcoef(pair)[0, 1] > 0.6
    assert np.mean(found) == pytest.approx(0, abs=4 * np.std(found) / 2000**0.5)


def test_a_permuted_map_is_that_of_the_permuted_labels() -> None:
    contrasts = one_vs_rest(GROUPS, LABELS)
    assert contrasts is not None
    responses = answers()
    generator = np.random.default_rng((1, 2))
    count = len(contrasts.stimuli)
    orders = generator.permuted(np.tile(np.arange(count), (5, 1)), axis=1)
    maps = torch.cat(
        list(permuted_maps(scaled(responses[contrasts.stimuli]), contrasts, 5, (1, 2)))
    )
    labels = LABELS[contrasts.stimuli]
    for order, found in zip(orders, maps.numpy(), strict=True):
        again = one_vs_rest(GROUPS, labels[order])
        assert again is not None
        expected, _ = t_and_dprime(responses[contrasts.stimuli], again)
        assert found == pytest.approx(expected, abs=1e-3)


# The measure itself, on a network whose units answer as planted


class Planted:
    """As much of a Subject as the measure reads: responses are given, not computed."""

    def __init__(
        self, images: PreparedImages, responses: np.ndarray, sheet: tuple[int, int]
    ) -> None:
        self.images, self.given, self.shape = images, responses.astype(np.float32), sheet
        self.layers = {"layer": responses.shape[1]}
        self.seed, self.step, self.final = 0, 9, True
        self.device = torch.device("cpu")

    def stimulus_set(self, name: str) -> Any:
        return self.images, self.images.split(name)

    def chosen(self, count: int) -> np.ndarray:
        return np.arange(count)

    def layer_responses(self, *_: object) -> dict[str, np.ndarray]:
        return {"layer": self.given}

    def sheet(self, _: str) -> tuple[int, int]:
        return self.shape


P = (
    "map_ssim_gap_p",
    "map_ssim_minus_shuffled_gap_p",
    "map_ssim_minus_shuffled_p.bodies-faces",
    "selectivity_cluster_p.faces",
)
CATEGORIES = {"faces": [0, 1], "bodies": [2, 3], "scenes": [4, 5]}


def localizer(folder: Path, each: int = 12, side: int = 4, channels: int = 1) -> Path:
    labels = np.arange(6 * each) % 6
    pixels = np.random.default_rng(0).integers(0, 255, (len(labels), side, side, channels))
    writer = ImageWriter(
        folder, source="s", options={}, shape=(side, side, channels), classes=list("abcdef"),
        mean=[0.5] * channels, std=[0.5] * channels, categories=CATEGORIES,
    )  # fmt: skip
    writer.write_split("localizer", len(labels), [(pixels.astype(np.uint8), labels)])
    return writer.finish()


def found_in(planted: Planted, **options: Any) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    chosen = selectivity.Options(**{"permutations": 200, **options})
    result = selectivity.measure(planted, chosen)  # type: ignore[arg-type]
    rows = {f"{row.layer}:{row.metric}": row.value for row in result.rows}
    return rows, {f"{unit.layer}:{unit.quantity}": unit.values for unit in result.units}


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory: pytest.TempPathFactory) -> PreparedImages:
    return PreparedImages.open(localizer(tmp_path_factory.mktemp("localizer")))


def test_a_planted_map_is_recovered(stimuli: PreparedImages) -> None:
    generator = np.random.default_rng(4)
    labels = np.array(stimuli.split("localizer").labels)
    bumps = gaussian_filter(generator.normal(size=(3, 16, 16)), (0, 2, 2)).reshape(3, 256)
    bumps /= bumps.std(axis=1, keepdims=True)
    # Bodies lie where faces do; scenes somewhere else.
    maps = np.stack([bumps[0], bumps[0] + 0.3 * bumps[1], bumps[2]])
    responses = 2 * maps[labels // 2] + generator.normal(size=(len(labels), 256))
    rows, units = found_in(Planted(stimuli, responses, (16, 16)), threshold=4.0)
    planted = maps - maps.mean(axis=0)
    for number, name in enumerate(CATEGORIES):
        assert np.corrcoef(units[f"layer:selectivity_t.{name}"], planted[number])[0, 1] > 0.85
        assert rows[f"layer:selectivity_morans_i.{name}"] > 0.5
        assert rows[f"layer:selectivity_cluster_p.{name}"] < 0.01
        larger = rows[f"layer:selectivity_cluster.{name}"]
        assert larger > rows[f"layer:selectivity_cluster_shuffled.{name}"]
    assert rows["layer:map_ssim_gap"] > 0.2
    assert rows["layer:map_ssim_gap_p"] < 0.02
    assert rows["layer:map_cross_morans_i.bodies-faces"] > 0.1
    assert rows["layer:map_cross_morans_i.faces-scenes"] < -0.1
    scattered = responses[:, generator.permutation(256)]
    rows, _ = found_in(Planted(stimuli, scattered, (16, 16)), permutations=1)
    assert abs(rows["layer:map_cross_morans_i.bodies-faces"]) < 0.1
    assert abs(rows["layer:selectivity_morans_i"]) < 0.1


def test_the_average_over_one_layer_is_that_layer(stimuli: PreparedImages) -> None:
    labels = np.array(stimuli.split("localizer").labels)
    noise = np.random.default_rng(7).normal(size=(len(labels), 64))
    rows, _ = found_in(Planted(stimuli, noise, (8, 8)), permutations=30)
    assert rows["mean:map_ssim_gap"] == rows["layer:map_ssim_gap"]
    assert rows["mean:map_ssim_gap_p"] == rows["layer:map_ssim_gap_p"]


def test_nothing_planted_is_nothing_found(stimuli: PreparedImages) -> None:
    """P is uniform over simulations: smooth sheets whose units know nothing of categories."""
    p: dict[str, list[float]] = {}
    labels = np.array(stimuli.split("localizer").labels)
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=(len(labels), 8, 8))
        responses = gaussian_filter(noise, (0, 1, 1)).reshape(len(labels), 64)
        rows, _ = found_in(
            Planted(stimuli, responses, (8, 8)), permutations=60, shuffles=2, threshold=1.5
        )
        for metric in P:
            p.setdefault(metric, []).append(rows[f"layer:{metric}"])
    for metric in P[:-1]:
        assert stats.kstest(p[metric], "uniform").pvalue > 0.01
    # Family-wise over three categories, a single one is conservative.
    assert np.mean(np.array(p["selectivity_cluster_p.faces"]) <= 0.2) <= 0.2


def test_curves_of_subclasses_tell_pairs_and_categories(stimuli: PreparedImages) -> None:
    labels = np.array(stimuli.split("localizer").labels)
    tuned = np.random.default_rng(5).normal(size=(6, 64))
    tuned[3] = tuned[0]
    responses = tuned[labels] + 0.2 * np.random.default_rng(6).normal(size=(len(labels), 64))
    result = selectivity.measure(
        Planted(stimuli, responses, (8, 8)),  # type: ignore[arg-type]
        selectivity.Options(permutations=2),
    )
    curves = {unit.quantity: unit for unit in result.units if not unit.per_unit}
    alike = curves["subclass_response_similarity"]
    assert alike.indices is not None
    assert alike.indices[int(alike.values.argmax())] == 3
    assert len(alike.values) == 15
    assert curves["subclass_category.bodies"].indices == (2, 3)
    means = [responses[labels == c].mean(axis=0) for c in range(6)]
    spread = responses.astype(np.float32).std(axis=0)
    centre = responses.mean(axis=0)
    matrix = np.corrcoef([(mean - centre) / spread for mean in means])
    expected = [matrix[i, j] for i, j in itertools.combinations(range(6), 2)]
    assert alike.values == pytest.approx(expected, abs=1e-5)


def test_another_datasets_images_are_shown(tmp_path: Path) -> None:
    index = localizer(tmp_path / "own", side=12)
    other = localizer(tmp_path / "stimuli", side=12, each=4)
    content = index.read_text()
    paths, _ = write_model(tmp_path / "model", train_spec())
    del content
    images, sets = PreparedImages.open(index), {"floc": PreparedImages.open(other)}
    subject = Subject.load(
        paths.weights, _with_classes(images, 3), seed=4, final=True, device="cpu", stimuli=sets
    )
    chosen = selectivity.Options(stimuli=("floc/localizer",), permutations=20, shuffles=2)
    result = selectivity.measure(subject, chosen)
    assert {row.stimuli for row in result.rows} == {"floc/localizer"}
    with pytest.raises(SpecError, match="did you mean floc"):
        subject.stimulus_set("flok/localizer")


def _with_classes(images: PreparedImages, count: int) -> PreparedImages:
    import dataclasses

    return dataclasses.replace(images, classes=images.classes[:count], categories={})


def test_the_verb_is_given_the_stimuli(tmp_path: Path) -> None:
    import dataclasses

    from measured import write_data

    paths, _ = write_model(tmp_path / "model", train_spec())
    data = write_data(tmp_path / "data")
    other = localizer(tmp_path / "stimuli", side=12, each=4)
    spec = measure_spec(
        {"selectivity": {"stimuli": ["s/localizer"], "permutations": 20, "shuffles": 2}}
    )
    spec = dataclasses.replace(spec, stimuli={"s": DataSpec(source="s")})
    with pytest.raises(SpecError, match="0 given, but the spec names s"):
        measure(spec, paths, data)
    measure(spec, paths, data, [other])
    first = paths.measures.read_bytes()
    assert b"map_ssim_gap_p" in first
    measure(spec, paths, data, [other])
    assert paths.measures.read_bytes() == first


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"permutations": 0},
        {"threshold": 0.0},
        {"stimuli": ()},
        {"contrasts": ("a-b",)},
        {"contrasts": ("x=a-b-c",)},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        selectivity.Options(**options)
