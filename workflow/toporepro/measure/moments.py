"""Means, covariance and the moments behind unbiased dimensionality, streamed over stimuli."""

from __future__ import annotations

import torch
from torch import Tensor

from toporepro.measure.result import Floats

_PANEL = 512
_AT_ONCE = 512


class Moments:
    """Moments of responses that are never held all at once.

    Sums run in float64 over responses shifted by the mean of the first of them (the shifted-data
    algorithm of Chan, Golub & LeVeque, The American Statistician 37:242, 1983): the shift lies
    within the data, so that taking the mean out at the end cancels nothing. Of the symmetric
    co-moment only panels on and above the diagonal are kept, which halves its memory and its
    arithmetic. A unit that answers every stimulus alike has a variance of exactly 0.

    Attributes:
        units: number of units.
        count: stimuli seen so far.
    """

    def __init__(self, units: int, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.units, self.count = units, 0
        self._pending: list[Tensor] = []
        self._shift = zeros(units)
        self._sum = zeros(units)
        self._cubes = zeros(units)
        self._square = zeros(1)
        self._fourth = zeros(1)
        self._panels = [
            zeros(min(_PANEL, units - start), units - start) for start in range(0, units, _PANEL)
        ]

    def update(self, responses: Tensor) -> None:
        """Add a batch of responses, (stimuli, units), of any floating type.

        It is read later, so it must not change.
        """
        self._pending.append(responses)
        self.count += len(responses)
        if sum(map(len, self._pending)) >= _AT_ONCE:
            self._absorb()

    def _absorb(self) -> None:
        """Small batches suit the network's forward pass, but large ones the matrix product."""
        if not self._pending:
            return
        first = sum(map(len, self._pending)) == self.count
        responses = torch.cat(self._pending)
        self._pending.clear()
        batch = responses.to(torch.float64, copy=True)
        if first:
            self._shift = batch.mean(dim=0)
        batch -= self._shift
        lengths = batch.square().sum(dim=1)
        self._sum += batch.sum(dim=0)
        self._cubes += lengths @ batch
        self._square += lengths.sum()
        self._fourth += lengths.square().sum()
        # Centred, a batch loses nothing by going back to the responses' own precision, and its
        # products are three times as fast there; they are summed in float64.
        own = batch if responses.dtype == torch.float64 else batch.float()
        for number, panel in enumerate(self._panels):
            start = number * _PANEL
            panel += own[:, start : start + len(panel)].T @ own[:, start:]

    @property
    def mean(self) -> Floats:
        """Mean response of every unit, (units,)."""
        self._absorb()
        return _array(self._shift + self._sum / self.count)

    def covariance(self) -> Floats:
        """Covariance over stimuli, (units, units), divided by their number."""
        self._absorb()
        full = torch.empty(self.units, self.units, dtype=torch.float64, device=self._sum.device)
        for number, panel in enumerate(self._panels):
            start = number * _PANEL
            full[start : start + len(panel), start:] = panel
            full[start:, start : start + len(panel)] = panel.T
        offset = self._sum / self.count
        return _array(full.div_(self.count).addr_(offset, offset, alpha=-1))

    def fourth_power(self) -> float:
        """Σ over stimuli of ‖x − mean‖⁴, of the whole vector of responses x."""
        self._absorb()
        offset = self._sum / self.count
        length = offset @ offset
        along = torch.zeros((), dtype=torch.float64, device=offset.device)
        for number, panel in enumerate(self._panels):
            start = number * _PANEL
            rows, rest = len(panel), offset[start:]
            own = rest[:rows]
            along += own @ panel[:, :rows] @ own + 2 * (own @ (panel[:, rows:] @ rest[rows:]))
        return float(
            self._fourth[0]
            + 4 * along
            - 4 * (self._cubes @ offset)
            + 2 * length * self._square[0]
            - 3 * self.count * length**2
        )


def _array(tensor: Tensor) -> Floats:
    result: Floats = tensor.cpu().numpy()
    return result
