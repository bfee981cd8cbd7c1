"""Batches: exact epochs, exact shares, randomness that depends on (seed, epoch, sample) alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage, stats

from toporepro.data import loader
from toporepro.data.loader import Batches, Shard
from toporepro.data.store import Split
from toporepro.spec import Resolution, SpecError


def split_of(count: int, side: int = 3, channels: int = 1) -> Split:
    """Images whose pixels tell their sample and place apart."""
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(count) % 256
    return Split(images, np.arange(count))


def batches_of(count: int, batch: int, **options: object) -> Batches:
    split = split_of(count)
    return Batches(split=split, labels=split.labels, seed=5, batch=batch, **options)  # type: ignore[arg-type]


def splitmix64(state: int) -> int:
    """One step of SplitMix64 in Python's own integers."""
    mask = (1 << 64) - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def test_the_hash_is_splitmix64() -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the published first output for seed 0
    expected = 0
    for part in (7, 3, 11, 2**40):
        expected = splitmix64((expected + part) & ((1 << 64) - 1))
    assert int(loader.random_bits(7, 3, 11, 2**40)) == expected


def test_bits_of_different_streams_epochs_samples_and_seeds_are_uncorrelated() -> None:
    samples = np.arange(4000)
    columns = [
        loader.random_bits(*key, samples) for key in ((0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0))
    ]
    values = np.array([column / 2.0**64 for column in columns])
    for row in values:
        assert stats.kstest(row, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(values) - np.eye(4)).max() < 0.06


@settings(max_examples=60)
@given(count=st.integers(1, 40), batch=st.integers(1, 50), steps=st.integers(1, 12))
def test_every_epoch_is_a_permutation(count: int, batch: int, steps: int) -> None:
    draws = [batches_of(count, batch).draw(step) for step in range(steps)]
    epochs = np.concatenate([epoch for epoch, _ in draws])
    samples = np.concatenate([sample for _, sample in draws])
    assert epochs.tolist() == [place // count for place in range(steps * batch)]
    for epoch in range(steps * batch // count):
        assert sorted(samples[epochs == epoch]) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = (loader.permutation(0, loader.ORDER, epoch, 100) for epoch in (0, 1))
    other = loader.permutation(1, loader.ORDER, 0, 100)
    assert (first != second).any()
    assert (first != other).any()
    assert (first != np.arange(100)).any()


@settings(max_examples=40)
@given(
    count=st.integers(5, 60),
    size=st.integers(1, 4),
    world=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    step=st.integers(0, 9),
)
def test_shares_make_up_the_batch(
    count: int, size: int, world: int, accumulate: int, step: int
) -> None:
    batch = size * world * accumulate
    whole = batches_of(count, batch, flip=True, shift=2)[step]
    one_process = batches_of(count, batch, shard=Shard(0, 1, accumulate), flip=True, shift=2)[step]
    shares = [
        batches_of(count, batch, shard=Shard(rank, world, accumulate), flip=True, shift=2)[step]
        for rank in range(world)
    ]
    assert all(len(share) == accumulate for share in shares)
    for part in range(2):
        together = [np.concatenate([share[m][part] for share in shares]) for m in range(accumulate)]
        for m, piece in enumerate(together):
            np.testing.assert_array_equal(piece, one_process[m][part])
        np.testing.assert_array_equal(np.concatenate(together), whole[0][part])


def test_an_uneven_share_is_an_error() -> None:
    with pytest.raises(SpecError, match=r"recipe\.batch=10: a multiple of 4.*2 processes"):
        Shard(0, 2, 2).places(10)


def test_augmentation_depends_on_seed_epoch_and_sample_alone() -> None:
    def by_sample(batch: int) -> dict[tuple[int, int], bytes]:
        batches = batches_of(24, batch, flip=True, shift=1)
        found = {}
        for step in range(48 // batch):
            epochs, samples = batches.draw(step)
            images = batches[step][0][0]
            found |= {
                (int(e), int(s)): image.tobytes()
                for e, s, image in zip(epochs, samples, images, strict=True)
            }
        return found

    assert by_sample(4) == by_sample(6) == by_sample(24)
    assert len(set(by_sample(4).values())) > 24  # epochs differ


@settings(max_examples=40)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    rows=st.integers(-7, 7),
    columns=st.integers(-7, 7),
    flip=st.booleans(),
)
def test_augment_equals_scipy(height: int, width: int, rows: int, columns: int, flip: bool) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (1, height, width, 2))
    image = image.astype(np.uint8)
    flips, shifts = np.array([flip]), np.array([[rows, columns]])
    expected = image[0, :, ::-1] if flip else image[0]
    expected = ndimage.shift(expected, (rows, columns, 0), order=0, mode="nearest")
    np.testing.assert_array_equal(loader.augment(image, flips, shifts)[0], expected)


def test_without_augmentation_images_are_untouched() -> None:
    batches = batches_of(9, 9)
    _, samples = batches.draw(0)
    images, labels = batches[0][0]
    np.testing.assert_array_equal(images, batches.split.images[samples])
    np.testing.assert_array_equal(labels, samples)


def test_flips_and_shifts_are_uniform() -> None:
    samples = np.arange(6000)
    assert abs(loader.random_flips(3, 1, samples).mean() - 0.5) < 0.02
    shifts = loader.random_shifts(3, 1, samples, 2)
    for axis in range(2):
        values, counts = np.unique(shifts[:, axis], return_counts=True)
        assert values.tolist() == [-2, -1, 0, 1, 2]
        assert stats.chisquare(counts).pvalue > 1e-3
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.05


def test_workers_change_nothing_and_leave_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    batches = batches_of(20, 6, flip=True, shift=1, shard=Shard(0, 1, 2))
    alone = list(loader.load(batches, range(3, 9)))
    helped = list(loader.load(batches, range(3, 9), workers=2))
    assert torch.equal(before, torch.get_rng_state())
    assert len(alone) == len(helped) == 6
    for step, left, right in zip(range(3, 9), alone, helped, strict=True):
        for m in range(2):
            for part in range(2):
                assert torch.equal(left[m][part], right[m][part])
                np.testing.assert_array_equal(left[m][part].numpy(), batches[step][m][part])


def test_as_input_normalises_and_keeps_channels_last() -> None:
    images = split_of(4, side=5, channels=3).images
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 1.0)
    found = loader.as_input(torch.tensor(images), mean, std)
    expected = ((images / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert found.dtype is torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=40)
@given(count=st.integers(1, 40), batch=st.integers(1, 30), repeats=st.integers(1, 4))
def test_repeated_augmentation_takes_fewer_samples_several_times(
    count: int, batch: int, repeats: int
) -> None:
    batches = batches_of(count, batch, repeats=repeats)
    draws = [batches.draw(step) for step in range(-(-2 * count // batch))]
    turns = np.concatenate([turn for turn, _ in draws])[: 2 * count]
    samples = np.concatenate([sample for _, sample in draws])[: 2 * count]
    for epoch in range(2):
        here = slice(epoch * count, (epoch + 1) * count)
        order = loader.permutation(5, loader.ORDER, epoch, count)
        np.testing.assert_array_equal(samples[here], np.repeat(order, repeats)[:count])
        assert set(turns[here]) <= set(range(epoch * repeats, (epoch + 1) * repeats))
    assert len(set(zip(turns, samples, strict=True))) == 2 * count  # no augmentation comes twice


def test_resolution_follows_the_epoch() -> None:
    resolution = (Resolution(pixels=2), Resolution(pixels=5, from_epoch=1.5))
    batches = batches_of(20, 10, resolution=resolution)
    assert [batches[step][0][0].shape[1:3] for step in range(5)] == [(2, 2)] * 3 + [(5, 5)] * 2
    assert batches_of(20, 10)[0][0][0].shape[1:3] == (3, 3)


def test_resizing_equals_pillow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 24, 18, 3), dtype=np.uint8)
    for pixels in (7, 40):
        found = loader.resize(image, pixels)[0]
        expected = Image.fromarray(image[0]).resize((pixels, pixels), Image.Resampling.BILINEAR)
        assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1
    np.testing.assert_array_equal(loader.resize(image, None), image)


def test_retouching_gets_bits_of_its_own_for_every_turn_of_a_sample() -> None:
    seen: dict[int, list[int]] = {}

    def look(images: np.ndarray, bits: np.ndarray) -> np.ndarray:
        for sample, number in zip(images[:, 0, 0, 0].tolist(), bits.tolist(), strict=True):
            seen.setdefault(sample, []).append(number)
        return images + 1

    batches = batches_of(12, 6, retouch=look, repeats=2)
    images, labels = batches[0][0]
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels + 1)
    assert len(batches[1][0][0]) == 6
    numbers = [number for drawn in seen.values() for number in drawn]
    assert len(numbers) == len(set(numbers)) == 12
    assert all(len(drawn) == 2 for drawn in seen.values())


@pytest.mark.parametrize("workers", [0, 1])
def test_testing_sees_every_image_once_in_order(workers: int) -> None:
    split = split_of(23)
    parts = list(loader.in_order(split, 10, workers=workers))
    assert [len(labels) for _, labels in parts] == [10, 10, 3]
    np.testing.assert_array_equal(torch.cat([images for images, _ in parts]), split.images)
    np.testing.assert_array_equal(torch.cat([labels for _, labels in parts]), split.labels)
