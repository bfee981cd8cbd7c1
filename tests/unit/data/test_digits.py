from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from toporepro.data import digits
from toporepro.data.store import INDEX, PreparedImages


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedImages:
    folder = tmp_path_factory.mktemp("digits")
    digits.prepare(digits.Options(), Path("nowhere"), folder)
    return PreparedImages.open(folder / INDEX)


def test_sizes_and_strata(data: PreparedImages) -> None:
    assert digits.raw_files(digits.Options()) == ()
    assert (data.shape, data.mean, data.std) == ((28, 28, 1), (0.5,), (0.5,))
    train, test = data.split("train"), data.split("test")
    assert (len(train), len(test)) == (1437, 360)
    assert np.bincount(test.labels).tolist() == [36] * 10
    total = np.bincount(train.labels) + np.bincount(test.labels)
    assert total.tolist() == np.bincount(load_digits().target).tolist()


def test_every_original_is_there_once_and_looks_the_same(data: PreparedImages) -> None:
    original = load_digits()
    seen = []
    for name in ("train", "test"):
        split = data.split(name)
        # Centres of the 8×8 grid in the 28×28 image: (i + ½)·3.5 − ½, between two pixels or on one.
        at = (np.arange(8) + 0.5) * 3.5 - 0.5
        low, high = np.floor(at).astype(int), np.ceil(at).astype(int)
        pixels = split.images[..., 0].astype(float)
        rows = (pixels[:, low] + pixels[:, high]) / 2
        samples = (rows[:, :, low] + rows[:, :, high]) / 2 * 16 / 255
        flat, known = samples.reshape(len(split), -1), original.images.reshape(1797, -1)
        distance = (flat**2).sum(1)[:, None] - 2 * flat @ known.T + (known**2).sum(1)
        nearest = distance.argmin(axis=1)
        assert np.corrcoef(flat.ravel(), known[nearest].ravel())[0, 1] > 0.98
        np.testing.assert_array_equal(original.target[nearest], split.labels)
        seen += nearest.tolist()
    assert sorted(seen) == list(range(1797))


def test_the_same_bytes_every_time(data: PreparedImages, tmp_path: Path) -> None:
    digits.prepare(digits.Options(), Path("nowhere"), tmp_path)
    assert (tmp_path / INDEX).read_bytes() == data.index.read_bytes()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size == pytest.approx(digits.prepared_bytes(digits.Options()), rel=0.01)
