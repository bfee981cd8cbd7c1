"""Learnt augmentation policies: torchvision's, drawn by (seed, turn, sample)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from toporepro.data.loader import UInts
from toporepro.data.store import Images
from toporepro.models.vision import import_torchvision


@dataclass(frozen=True)
class AutoAugment:
    """A policy by the name that torchvision's reference training gives it.

    ``imagenet``, ``cifar10`` and ``svhn`` are learnt (Cubuk et al. 2019); ``ra``, RandAugment
    (Cubuk et al. 2020); ``ta_wide``, TrivialAugment (Müller & Hutter 2021); ``augmix`` (Hendrycks
    et al. 2020).
    """

    policy: str

    def __call__(self, images: Images, bits: UInts) -> Images:
        """Images uint8 n×H×W×C, each changed by its own 64 random bits."""
        from PIL import Image

        transform = _transform(self.policy)
        changed = []
        with torch.random.fork_rng(devices=[]):
            for image, number in zip(images, bits, strict=True):
                torch.default_generator.manual_seed(int(number) >> 1)
                squeezed = image[:, :, 0] if image.shape[2] == 1 else image
                changed.append(np.asarray(transform(Image.fromarray(squeezed))))
        return np.stack(changed).reshape(images.shape)


@functools.cache
def _transform(policy: str) -> Any:
    import_torchvision()
    from torchvision import transforms

    bilinear = transforms.InterpolationMode.BILINEAR
    if policy == "ra":
        return transforms.RandAugment(interpolation=bilinear)
    if policy == "ta_wide":
        return transforms.TrivialAugmentWide(interpolation=bilinear)
    if policy == "augmix":
        return transforms.AugMix(interpolation=bilinear)
    return transforms.AutoAugment(transforms.AutoAugmentPolicy(policy), interpolation=bilinear)
