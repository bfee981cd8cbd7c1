"""Maps of weights against scikit-learn and the published package."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import topoloss as package
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import train_spec, write_data, write_model
from sklearn.decomposition import PCA

from toporepro.data.store import PreparedImages
from toporepro.measure import weights
from toporepro.measure.subject import Subject
from toporepro.measure.weights import principal_components


@settings(max_examples=30)
@given(units=st.integers(4, 30), length=st.integers(4, 30), seed=st.integers(0, 2**20))
def test_components_are_those_of_pca(units: int, length: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(units, length)) + 3
    expected = PCA(3, svd_solver="full").fit_transform(vectors)
    scores = principal_components(vectors)
    for found, other in zip(scores.T, expected.T, strict=True):
        assert np.abs(found).max() == pytest.approx(1)
        assert found[np.abs(found).argmax()] > 0
        assert abs(np.corrcoef(found, other)[0, 1]) == pytest.approx(1, abs=1e-6)


def test_components_do_not_depend_on_signs_or_scale_of_the_weights() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 40))
    expected = principal_components(vectors)
    flipped = np.random.default_rng(1).choice([-1.0, 1.0], 40)
    np.testing.assert_allclose(principal_components(7 * vectors * flipped), expected, atol=1e-9)


def test_fewer_dimensions_leave_the_other_components_zero() -> None:
    line = np.outer(np.arange(6.0), np.ones(9))
    scores = principal_components(line)
    np.testing.assert_allclose(np.abs(scores[:, 0]), np.abs(np.arange(6) - 2.5) / 2.5)
    assert (scores[:, 1:] == 0).all()
    assert (principal_components(np.ones((5, 3))) == 0).all()
    assert principal_components(np.ones((5, 2))).shape == (5, 3)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_topo_loss_is_the_published_packages(tmp_path: Path, interpolation: str) -> None:
    spec = train_spec("resnet18", width=0.25, stem="small")
    topo = dataclasses.replace(spec.topo, phi=1.5, interpolation=interpolation)
    model, network = write_model(tmp_path, dataclasses.replace(spec, topo=topo), 16, 3)
    images = PreparedImages.open(write_data(tmp_path / "data", 16, 3, images=9))
    subject = Subject.load(model.weights, images, seed=0, final=True, device="cpu")
    result = weights.measure(subject, weights.Options())
    losses = [
        package.LaplacianPyramid.from_layer(
            network,
            network.get_submodule(name),
            factor_h=1.5,
            factor_w=1.5,
            interpolation=interpolation,
        )
        for name in subject.layers
    ]
    expected = package.TopoLoss(losses).get_layerwise_topo_losses(network, do_scaling=False)
    found = {row.layer: row.value for row in result.rows}
    for name in subject.layers:
        assert found[name] == pytest.approx(float(expected[name].detach()), rel=1e-5)
    mean = np.mean([float(expected[name].detach()) for name in subject.layers])
    assert found["mean"] == pytest.approx(mean, rel=1e-5)
    assert {row.metric for row in result.rows} == {"topo_loss"}
    assert {unit.quantity for unit in result.units} == {"weight_pc"}
