"""MixUp and CutMix: their distributions, and their arithmetic against torchvision's."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from toporepro.data.loader import Batches, Shard
from toporepro.data.mixing import Mixing
from toporepro.data.store import Split
from toporepro.models.vision import import_torchvision

import_torchvision()
from torchvision.transforms import v2  # noqa: E402


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_of_mixup_are_beta(alpha: float) -> None:
    shares = [float(Mixing(alpha, 0).draw(1, step, 2, 2).share) for step in range(600)]
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("height", [32, 33])
def test_cutmix_cuts_torchvisions_box(height: int) -> None:
    """Box and share as in its ``make_params``, from the centre and size that the mask tells."""
    for step in range(200):
        mix = Mixing(0, 1.0).draw(2, step, height, 40)
        rows, columns = (np.flatnonzero((mix.weights == 0).any(axis)) for axis in (1, 0))
        box = np.zeros((height, 40), bool)
        if len(rows):
            box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        np.testing.assert_array_equal(mix.weights, ~box)
        assert float(mix.share) == pytest.approx(1 - box.sum() / box.size)


def test_cutmix_covers_the_image_evenly_and_shrinks_with_its_share() -> None:
    """Expected area of a box clipped at the border, by simulating the formula independently."""
    found = np.mean([1 - float(Mixing(0, 1.0).draw(3, s, 64, 64).share) for s in range(1500)])
    generator = np.random.default_rng(0)
    half = (32 * np.sqrt(1 - generator.uniform(size=200_000))).astype(int)
    sides = []
    for _ in range(2):
        centre = generator.integers(0, 64, half.size)
        sides.append(np.minimum(centre + half, 64) - np.maximum(centre - half, 0))
    assert found == pytest.approx(np.mean(sides[0] * sides[1]) / 64**2, abs=0.02)


def test_with_both_each_step_takes_one() -> None:
    constant = [np.ptp(Mixing(0.4, 1.0).draw(0, step, 16, 16).weights) == 0 for step in range(400)]
    # A box of no area also leaves constant weights; few do.
    assert 0.42 < np.mean(constant) < 0.62


def test_a_mix_depends_on_seed_and_step_alone() -> None:
    first, again = (Mixing(0.2, 1.0).draw(5, 9, 8, 8) for _ in range(2))
    np.testing.assert_array_equal(first.weights, again.weights)
    others = [Mixing(1.0, 0).draw(*key, 8, 8).share for key in ((5, 9), (5, 10), (6, 9))]
    assert len(set(map(float, others))) == 3


def with_params(transform: Any, **params: Any) -> Any:
    transform.make_params = lambda inputs: params
    return transform


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_blending_partners_equals_torchvisions(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, 10, 12, generator=generator)
    labels = torch.arange(6)
    mix = Mixing(**{"mixup": 0.0, "cutmix": 0.0, kind: 1.0}).draw(0, 3, 10, 12)
    share = float(mix.share)
    assert 0.05 < share < 0.95
    if kind == "mixup":
        transform = with_params(v2.MixUp(num_classes=6), labels=labels, batch_size=6, lam=share)
    else:
        ys, xs = np.nonzero(mix.weights == 0)
        box = tuple(int(v) for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        transform = with_params(
            v2.CutMix(num_classes=6), labels=labels, batch_size=6, box=box, lam_adjusted=share
        )
    expected, targets = transform(images, labels)
    partners = images.roll(1, 0)
    weights = torch.tensor(mix.weights)
    torch.testing.assert_close(images * weights + partners * (1 - weights), expected)
    one_hot = torch.eye(6)
    torch.testing.assert_close(share * one_hot + (1 - share) * one_hot.roll(1, 0), targets)


def split_of(count: int) -> Split:
    return Split(np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), np.arange(count))


@settings(max_examples=30)
@given(
    count=st.integers(10, 60),
    size=st.integers(2, 6),
    world=st.integers(1, 3),
    accumulate=st.integers(1, 2),
    repeats=st.integers(1, 3),
    step=st.integers(0, 6),
)
def test_partners_are_the_same_however_the_batch_is_shared_out(
    count: int, size: int, world: int, accumulate: int, repeats: int, step: int
) -> None:
    split, batch = split_of(count), size * world * accumulate
    options: dict[str, Any] = {
        "split": split,
        "labels": split.labels,
        "seed": 3,
        "batch": batch,
        "mixing": Mixing(1.0, 0),
        "repeats": repeats,
    }
    _, samples = Batches(**options).draw(step)
    shards = [Batches(**options, shard=Shard(rank, world, accumulate)) for rank in range(world)]
    passes = [shard[step][number] for number in range(accumulate) for shard in shards]
    own = np.concatenate([labels[repeats:] for _, labels, *_ in passes])
    partners = np.concatenate([labels[:-repeats] for _, labels, *_ in passes])
    np.testing.assert_array_equal(own, samples)
    np.testing.assert_array_equal(partners, np.roll(samples, repeats))
    for images, labels, _, share in passes:
        np.testing.assert_array_equal(images.ravel(), labels)
        assert share == passes[0][3]
