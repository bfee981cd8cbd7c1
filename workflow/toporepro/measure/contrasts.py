"""Contrasts between groups of stimuli, Welch's t and d′ of every unit, and their null.

The null permutes category labels over stimuli and computes the maps anew. A permutation is a row of
zeros and ones for each side of each contrast, so that all maps of all permutations are products of
these rows with the responses and with their squares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from toporepro.measure.correlation import standardised
from toporepro.spec import SpecError

Mask = npt.NDArray[np.bool_]
_SPELT = re.compile(r"(\w+)=(\w+(?:\+\w+)*)-(\w+(?:\+\w+)*)")
_CHUNK = 1 << 22  # numbers held at once, of each kind
# Far below the squared error of any unit that answers at all; keeps those that do not at t = 0.
_TINY = 1e-12


@dataclass(frozen=True)
class Contrasts:
    """Contrasts over the same stimuli: of the images in ``first`` against those in ``second``.

    Attributes:
        names: of the contrasts.
        one_vs_rest: whether each contrast is one category against all others.
        stimuli: indices of the images that take part.
        first, second: (contrasts, stimuli).
    """

    names: tuple[str, ...]
    one_vs_rest: bool
    stimuli: npt.NDArray[np.int64]
    first: Mask
    second: Mask


def one_vs_rest(
    groups: Mapping[str, Sequence[int]], labels: npt.NDArray[np.int64]
) -> Contrasts | None:
    """Each category against the others; images of no category take no part.

    Returns:
        ``None`` if there are fewer than two categories, or an image belongs to two.
    """
    members = [member for group in groups.values() for member in group]
    if len(groups) < 2 or len(members) != len(set(members)):
        return None
    stimuli = np.flatnonzero(np.isin(labels, members))
    first = np.stack([np.isin(labels[stimuli], list(group)) for group in groups.values()])
    return _checked(Contrasts(tuple(groups), True, stimuli, first, ~first))


def named(
    spelt: Sequence[str],
    categories: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    labels: npt.NDArray[np.int64],
) -> Contrasts | None:
    """Contrasts spelt ``name=a+b-c``: a and b against c, each a category or a class.

    Returns:
        Those all of whose groups are there; ``None`` if none is.
    """
    known = {**{name: (number,) for number, name in enumerate(classes)}, **categories}
    sides = []
    for text in spelt:
        name, plus, minus = spelling(text)
        if {*plus, *minus} <= set(known):
            both = [sorted({c for group in side for c in known[group]}) for side in (plus, minus)]
            sides.append((name, *(np.isin(labels, side) for side in both)))
    if not sides:
        return None
    names, firsts, seconds = zip(*sides, strict=True)
    stimuli = np.flatnonzero(np.any([*firsts, *seconds], axis=0))
    first, second = np.stack(firsts)[:, stimuli], np.stack(seconds)[:, stimuli]
    return _checked(Contrasts(tuple(names), False, stimuli, first, second))


def spelling(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Name, groups for and groups against, of a contrast as an option spells it.

    Raises:
        SpecError: if it is not spelt ``name=a+b-c+d``.
    """
    found = _SPELT.fullmatch(text.replace(" ", ""))
    if not found:
        raise SpecError(f"contrasts: {text!r}: `name=a+b-c+d` is needed, a and b against c and d")
    name, plus, minus = found.groups()
    return name, tuple(plus.split("+")), tuple(minus.split("+"))


def _checked(contrasts: Contrasts) -> Contrasts:
    for name, first, second in zip(contrasts.names, contrasts.first, contrasts.second, strict=True):
        if (first & second).any():
            raise SpecError(f"contrast {name!r}: some images are on both of its sides")
        if min(first.sum(), second.sum()) < 2:
            raise SpecError(
                f"contrast {name!r}: {first.sum()} against {second.sum()} images; at least 2 and 2"
            )
    return contrasts


def scaled(responses: npt.NDArray[np.float32]) -> Tensor:
    """Each unit with mean 0 and SD 1 over stimuli, which t and d′ do not see; constant ones 0.

    Args:
        responses: (stimuli, units).

    Returns:
        (stimuli, units), float64.
    """
    profiles, _ = standardised(responses.T.astype(np.float64))
    return torch.from_numpy(np.ascontiguousarray(profiles.T))


def welch(scaled_responses: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Welch's t and d′ of the stimuli in ``first`` against those in ``second``.

    t = (m₁ − m₂) / √(s₁²/n₁ + s₂²/n₂); d′ = (m₁ − m₂) / √((s₁² + s₂²)/2); s² with n − 1.

    Args:
        scaled_responses: (stimuli, units), from :func:`scaled`.
        first, second: (…, stimuli), 0 and 1, of the same type.

    Returns:
        Two tensors (…, units); 0 for units that answer all stimuli alike.
    """
    squares = scaled_responses.square()
    n, m = first.sum(dim=-1, keepdim=True), second.sum(dim=-1, keepdim=True)
    sums = first @ scaled_responses, first @ squares
    if bool((first + second).all()):
        others = scaled_responses.sum(dim=0) - sums[0], squares.sum(dim=0) - sums[1]
    else:
        others = second @ scaled_responses, second @ squares
    (mean, variance), (other_mean, other_variance) = _moments(*sums, n), _moments(*others, m)
    difference = mean - other_mean
    t = difference / (variance / n + other_variance / m + _TINY).sqrt()
    return t, difference / ((variance + other_variance) / 2 + _TINY).sqrt()


def _moments(total: Tensor, squares: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    mean = total / count
    return mean, ((squares - count * mean.square()) / (count - 1)).clamp(min=0)


def permuted_maps(
    scaled_responses: Tensor, contrasts: Contrasts, permutations: int, seed: Sequence[int]
) -> Iterator[Tensor]:
    """Maps of t with the labels permuted over stimuli, a chunk of permutations at a time.

    The same seed gives the same permutations whatever the responses, so that statistics of several
    layers can be averaged permutation by permutation.

    Args:
        scaled_responses: (stimuli, units).

    Yields:
        (permutations of the chunk, contrasts, units), float32.
    """
    generator = np.random.default_rng(seed)
    answers = scaled_responses.float()
    count, units = answers.shape
    masks = [torch.from_numpy(m).to(answers) for m in (contrasts.first, contrasts.second)]
    step = max(1, _CHUNK // (len(contrasts.names) * max(count, units)))
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        orders = generator.permuted(np.tile(np.arange(count), (rows, 1)), axis=1)
        order = torch.from_numpy(orders).to(answers.device)
        first, second = (mask[:, order].transpose(0, 1) for mask in masks)
        yield welch(answers, first, second)[0]
