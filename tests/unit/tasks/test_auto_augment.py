"""Augmentation policies: torchvision's own operations, drawn by the bits of each image alone."""

import numpy as np
import pytest
import torch
from PIL import Image

from toporepro.models.vision import import_torchvision
from toporepro.tasks.auto_augment import AutoAugment

import_torchvision()
from torchvision import transforms  # noqa: E402

POLICIES = ["imagenet", "cifar10", "svhn", "ra", "ta_wide", "augmix"]
BITS = np.array([2**64 - 1, 5, 2**63], dtype=np.uint64)


def images_of(channels: int) -> np.ndarray:
    generator = np.random.default_rng(channels)
    return generator.integers(0, 256, (3, 12, 10, channels), dtype=np.uint8)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_shape_and_change_by_their_bits_alone(policy: str, channels: int) -> None:
    images = images_of(channels)
    before = torch.random.get_rng_state()
    found = AutoAugment(policy)(images, BITS)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    torch.manual_seed(7)
    np.testing.assert_array_equal(AutoAugment(policy)(images[1:], BITS[1:]), found[1:])
    many = np.random.default_rng(0).integers(0, 2**64, 30, dtype=np.uint64)
    same = np.repeat(images[:1], 30, axis=0)
    assert len(np.unique(AutoAugment(policy)(same, many), axis=0)) > 3


def test_a_policy_is_torchvisions_under_the_same_seed() -> None:
    images = images_of(3)
    found = AutoAugment("imagenet")(images, BITS)
    policy = transforms.AutoAugment(interpolation=transforms.InterpolationMode.BILINEAR)
    for image, bits, result in zip(images, BITS, found, strict=True):
        torch.manual_seed(int(bits) >> 1)
        np.testing.assert_array_equal(np.asarray(policy(Image.fromarray(image))), result)
