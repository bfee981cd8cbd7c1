"""Variants of the measures: against the plain ones, brute force, and sheets made with a known φ."""

import itertools
from pathlib import Path

import measured
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.data.store import PreparedImages
from toporepro.measure import definitions, effective_dimensionality, smoothness
from toporepro.measure.definitions import anchor_contrast, binned, rectified, resampled
from toporepro.measure.result import Floats
from toporepro.measure.subject import Subject
from toporepro.models.family import build
from toporepro.models.inputs import Inputs
from toporepro.paths import ModelPaths
from toporepro.spec import SpecError

OPTIONS = definitions.Options(bins=(5, 20), phis=(2, 3), coordinates=("factor",))


def subject_of(folder: Path, architecture: str, channels: int = 1, **model: object) -> Subject:
    data = measured.write_data(folder / "data", channels=channels, images=60)
    spec = measured.train_spec(architecture, **model)
    paths, _ = measured.write_model(folder / "model", spec, channels=channels)
    assert isinstance(paths, ModelPaths)
    return Subject.load(paths.weights, PreparedImages.open(data), seed=4, final=True, device="cpu")


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("residual")
    return subject_of(folder, "resnet18", channels=3, width=0.125, stem="small")


def test_the_plain_definitions_are_those_of_the_plain_measures(residual: Subject) -> None:
    found = {row.metric: row.value for row in definitions.measure(residual, OPTIONS).rows}
    plain = {
        row.metric: row.value
        for result in (
            smoothness.measure(residual, smoothness.Options(shuffles=1)),
            effective_dimensionality.measure(residual, effective_dimensionality.Options()),
        )
        for row in result.rows
        if row.layer == "mean"
    }
    for variant, metric in (
        ("smoothness[tap=layer,spacing=width,bins=20]", "smoothness"),
        ("effective_dimensionality[tap=layer,estimator=plain]", "effective_dimensionality"),
        (
            "effective_dimensionality[tap=layer,estimator=corrected]",
            "effective_dimensionality_corrected",
        ),
    ):
        assert found[variant] == pytest.approx(plain[metric], rel=1e-5)
    taps = {metric.split("tap=")[1].split(",")[0] for metric in found if "tap=" in metric}
    assert taps == {"layer", "rectified"}
    assert len(found) == 2 * (2 + 2 + 2 + 1) + 2


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_rectified_responses_are_the_outputs_of_the_rectifiers(architecture: str) -> None:
    spec = measured.train_spec(architecture, width=0.125, stem="small")
    network = build(spec, Inputs(channels=3, height=12, width=12, classes=3)).eval()
    block = network.get_submodule("layer2.0")
    places = rectified(network, [name for name, _ in _convolutions(network)])
    own = {name: place for name, place in places.items() if name.startswith("layer2.0.")}
    expected: list[Tensor] = []  # a block's one rectifier works after each convolution in turn
    block.get_submodule("relu").register_forward_hook(
        lambda m, i, output: expected.append(output.clone())
    )
    found: dict[str, Tensor] = {}
    for name, place in own.items():
        network.get_submodule(place).register_forward_hook(
            lambda m, i, output, name=name: found.setdefault(name, output.relu())
        )
    network(torch.randn(2, 3, 12, 12))
    assert len(expected) == len(own) == {"resnet18": 2, "resnet50": 3}[architecture]
    for name, output in zip(own, expected, strict=True):
        torch.testing.assert_close(found[name], output)


def _convolutions(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and name.startswith("layer") and "downsample" not in name
    ]


def test_activations_behind_linear_layers() -> None:
    mlp = build(
        measured.train_spec("mlp", hidden=8), Inputs(channels=1, height=4, width=4, classes=2)
    )
    assert rectified(mlp, ["fc1"]) == {"fc1": "relu"}
    spec = measured.train_spec("vit_b_32", patch=4, width=8, depth=1, heads=1, mlp=16)
    vit = build(spec, Inputs(channels=3, height=8, width=8, classes=2))
    name = "encoder.layers.encoder_layer_0.mlp"
    assert rectified(vit, [f"{name}.0"]) == {f"{name}.0": f"{name}.1"}
    assert rectified(vit, [f"{name}.0", "heads.head"]) == {}


def test_linear_layers_are_measured_behind_their_activation_too(tmp_path: Path) -> None:
    subject = subject_of(tmp_path, "mlp", hidden=24)
    rows = definitions.measure(subject, OPTIONS).rows
    found = {row.metric: row.value for row in rows}
    images = torch.cat(list(subject.batches("test")))
    with torch.no_grad():
        hidden = functional.relu(subject.module.get_submodule("fc1")(images.flatten(1))).double()
    eigenvalues = torch.linalg.eigvalsh(torch.cov(hidden.T))
    expected = float(eigenvalues.sum() ** 2 / eigenvalues.square().sum())
    variant = "effective_dimensionality[tap=rectified,estimator=plain]"
    assert found[variant] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("sheet", [(4, 6), (8, 8), (3, 5)])
def test_bins_of_equal_count_and_of_unit_width(sheet: tuple[int, int]) -> None:
    places = list(itertools.product(range(sheet[0]), range(sheet[1])))
    distances = np.array(
        [np.hypot(a[0] - b[0], a[1] - b[1]) for a, b in itertools.combinations(places, 2)]
    )
    unit = binned(*sheet, "unit", 0)
    expected = np.bincount(distances.astype(int), minlength=unit.bins)
    np.testing.assert_array_equal(unit.counts, expected)
    even = binned(*sheet, "count", 4)
    assert even.counts.sum() == len(distances)
    most = max(np.unique(distances.round(9), return_counts=True)[1])
    assert abs(even.counts - len(distances) / 4).max() <= most
    filled = even.distances[~np.isnan(even.distances)]
    assert (np.diff(filled) > 0).all()


@pytest.mark.parametrize("size", [8, 16, 20])
@pytest.mark.parametrize("phi", [2, 2.5, 3, 4])
def test_resampling_is_torchs(size: int, phi: float) -> None:
    basis = torch.eye(size, dtype=torch.float64)[:, None]
    small = int(size // phi)
    for coordinates, down in (
        ("factor", functional.interpolate(basis, scale_factor=1 / phi, mode="linear")),
        ("size", functional.interpolate(basis, size=small, mode="linear")),
    ):
        expected = functional.interpolate(down, size=size, mode="linear")[:, 0].T
        found = resampled(size, phi, coordinates)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-12)


def trained_sheet(phi: float, coordinates: str) -> Floats:
    """Random weights, pulled towards where TopoLoss wants them and back by what they were."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(16, 32, 24, generator=generator)
    sheet = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([sheet], lr=0.05)
    small = (
        {"scale_factor": 1 / phi}
        if coordinates == "factor"
        else {"size": (int(16 // phi), int(32 // phi))}
    )
    for _ in range(60):
        optimizer.zero_grad()
        image = sheet.permute(2, 0, 1)[None]
        coarse = functional.interpolate(image, mode="bilinear", **small)  # type: ignore[arg-type]
        made = functional.interpolate(coarse, size=(16, 32), mode="bilinear")
        loss = 1 - functional.cosine_similarity(image, made, dim=1).mean()
        (2 * loss + (sheet - start).square().mean()).backward()
        optimizer.step()
    found: Floats = sheet.detach().double().numpy()
    return found


@pytest.mark.parametrize(
    ("phi", "coordinates"), [(2, "factor"), (3, "factor"), (3, "size"), (4, "factor")]
)
def test_the_grid_that_a_sheet_was_trained_on_is_found(phi: float, coordinates: str) -> None:
    sheet = trained_sheet(phi, coordinates)
    found = {
        (other, kind): anchor_contrast(sheet, other, kind)  # type: ignore[arg-type]
        for other in (2, 3, 4, 5)
        for kind in ("factor", "size")
    }
    best = min(found, key=lambda key: found[key])
    assert best[0] == phi
    if phi == 3:  # of 2 and 4, which divide the sheet, both conventions are one
        assert best[1] == coordinates
    assert found[best] < -0.15
    assert all(value > found[best] / 3 for (other, _), value in found.items() if other != phi)


@pytest.mark.parametrize("phi", [2, 3])
def test_contrast_equals_its_definition(phi: int) -> None:
    sheet = np.random.default_rng(2).normal(size=(9, 12, 5)).cumsum(axis=0)
    inside, losses = -(-phi // 2), {}
    for down, right in itertools.product(range(-(phi // 2), phi - phi // 2), repeat=2):
        made = np.einsum(
            "ab,cd,bde->ace",
            resampled(9, phi, "size", down),
            resampled(12, phi, "size", right),
            sheet,
        )
        cosine = functional.cosine_similarity(torch.tensor(made), torch.tensor(sheet), dim=2)
        losses[down, right] = float(1 - cosine[inside:-inside, inside:-inside].mean())
    expected = np.log(losses.pop((0, 0)) / np.mean(list(losses.values())))
    assert anchor_contrast(sheet, phi, "size") == pytest.approx(expected)


def test_an_untrained_sheet_has_no_grid() -> None:
    sheet = np.random.default_rng(0).normal(size=(16, 32, 24))
    assert all(abs(anchor_contrast(sheet, phi, "factor")) < 0.05 for phi in (2, 3, 4, 5))
    assert np.isnan(anchor_contrast(sheet[:4], 3, "factor"))


@pytest.mark.parametrize(
    "wrong", [{"bins": (1,)}, {"phis": (1,)}, {"spacings": ("length",)}], ids=str
)
def test_options_that_cannot_be(wrong: dict[str, tuple[object, ...]]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        definitions.Options(**wrong)  # type: ignore[arg-type]
