"""Up-sampling of a whole sheet by torch's own bilinear interpolation, and its adjoint.

Weights with contiguous rows are an image in channels-last order, which torch interpolates about
as fast as it reads it. It computes coordinates as it goes: where one falls on a sample, rounding
leaves a neighbour a coefficient of some 1e-8. That is mended wherever it would be heard.
"""

import threading
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

AUDIBLE = 1e-4
"""Share of C' from which on what rounding adds to it is taken out again."""

_kept = threading.local()


@dataclass(frozen=True)
class WholeSheet:
    """U, bilinear, of which ``up_h`` (h × small h) and ``up_w`` (w × small w) are the factors."""

    up_h: Tensor
    up_w: Tensor
    start = 0

    @property
    def stop(self) -> int:
        return len(self.up_h) * len(self.up_w)

    def expand(self, small: Tensor) -> Tensor:
        """U ``small``, of a shrunk sheet (units × incoming) with contiguous rows.

        It lies in memory that this thread's next call uses again: fresh pages would cost more than
        what is written there.
        """
        up = _memory(self.stop, small)
        interpolate = torch.ops.aten.upsample_bilinear2d.out
        interpolate(_image(small, self.small), self.large, False, out=_image(up, self.large))
        wrong = self._wrong(small)
        if len(wrong):
            up[wrong] = self._rows(wrong) @ small
        return up

    def contract(self, slope: Tensor, small: Tensor) -> Tensor:
        """Uᵀ ``slope``; ``slope`` may lose what it holds."""
        wrong, gathered = self._wrong(small), None
        if len(wrong):
            gathered = self._rows(wrong).T @ slope[wrong]
            slope[wrong] = 0.0
        size = 1, small.shape[1], *self.small
        adjoint = torch.ops.aten.upsample_bilinear2d_backward
        image = adjoint(_image(slope, self.large), self.large, size, False)
        small_slope: Tensor = image.permute(0, 2, 3, 1).flatten(0, 2)
        return small_slope if gathered is None else small_slope.add_(gathered)

    def backward(
        self,
        units: Tensor,
        small: Tensor,
        factors: tuple[Tensor, Tensor, Tensor],
        slope: Tensor,
        small_slope: Tensor,
    ) -> None:
        """As of a block: see there."""
        alpha, beta, gamma = factors
        up = self.expand(small)
        torch.mul(units, alpha, out=slope).addcmul_(up, gamma)
        small_slope += self.contract(slope, small)
        torch.mul(units, beta, out=slope).addcmul_(up, alpha)

    @property
    def large(self) -> tuple[int, int]:
        return len(self.up_h), len(self.up_w)

    @property
    def small(self) -> tuple[int, int]:
        return self.up_h.shape[1], self.up_w.shape[1]

    def _wrong(self, small: Tensor) -> Tensor:
        """Units of which torch's C' is made of what rounding left to a much longer neighbour."""
        if self._rounded is None:
            return small.new_empty(0, dtype=torch.long)
        lengths = torch.linalg.vector_norm(small, dim=1).reshape(self.small)
        meant = self.up_h @ lengths @ self.up_w.T
        made = self._rounded[0] @ lengths @ self._rounded[1].T
        wrong: Tensor = (made - meant).abs() > AUDIBLE * meant
        return wrong.flatten().nonzero().flatten()

    @cached_property
    def _rounded(self) -> tuple[Tensor, Tensor] | None:
        """The factors that torch computes, unless they are ``up_h`` and ``up_w``."""
        made = _factor(self.up_h), _factor(self.up_w)
        exact = torch.equal(made[0], self.up_h) and torch.equal(made[1], self.up_w)
        return None if exact else made

    def _rows(self, units: Tensor) -> Tensor:
        """Rows of U (units × small units)."""
        along_h, along_w = self.up_h[units // len(self.up_w)], self.up_w[units % len(self.up_w)]
        return (along_h[:, :, None] * along_w[:, None, :]).flatten(1)


def _factor(up: Tensor) -> Tensor:
    size, small = up.shape
    basis = torch.eye(small, dtype=up.dtype).reshape(small, 1, small, 1)
    made = functional.interpolate(basis, size=(size, 1), mode="bilinear")
    return made.reshape(small, size).T.contiguous()


def _image(units: Tensor, shape: tuple[int, int]) -> Tensor:
    """1 × incoming × h × w, channels last, of a (units × incoming) matrix."""
    return units.view(1, *shape, -1).permute(0, 3, 1, 2)


def _memory(units: int, like: Tensor) -> Tensor:
    """An (units × incoming) matrix of what this thread keeps."""
    kept: Tensor | None = getattr(_kept, "memory", None)
    size = units * like.shape[1]
    if kept is None or kept.dtype != like.dtype or len(kept) < size:
        with torch.inference_mode(mode=False):
            kept = _kept.memory = torch.empty(size, dtype=like.dtype)
    return kept[:size].view(units, -1)
