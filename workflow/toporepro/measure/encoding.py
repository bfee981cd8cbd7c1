"""Ridge regression from units to voxels, each voxel's penalty chosen by cross-validation.

The solver is himalaya's (Dupré la Tour et al., NeuroImage 264:119728, 2022), on a CPU or a GPU. It
predicts every held-out stimulus from every training stimulus; with many more stimuli than units
that is most of the work, and needless: with X_k = Q_k R_k the thin QR of fold k, the rows of R_k
and of Q_kᵀ Y_k have the same Gram matrices, hence the same ridge solutions, and the same squared
errors but for ‖Y_k‖² − ‖Q_kᵀ Y_k‖², which no penalty changes. So folds with more stimuli than units
are replaced by these.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_VOXELS = 1000  # whose predictions are held at once


class Ridge:
    """Ridge regressions on the same units.

    Args:
        units: (stimuli, units), standardised over the stimuli.
        alphas: penalties to choose from.
        folds: of cross-validation: runs of neighbouring stimuli.
    """

    def __init__(self, units: Tensor, alphas: Sequence[float], folds: int) -> None:
        count, width = units.shape
        edges = [count * fold // folds for fold in range(folds + 1)]
        self._parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self._bases: list[Tensor | None] = []
        rows = []
        for part in self._parts:
            basis, row = None, units[part]
            if len(row) > width:
                basis, row = torch.linalg.qr(row)
            self._bases.append(basis)
            rows.append(row)
        self._units = torch.cat(rows)
        self._fold = np.repeat(np.arange(folds), [len(row) for row in rows])
        self._alphas = torch.tensor(alphas, dtype=units.dtype, device=units.device)

    def fit(self, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (units, voxels), and each voxel's R² over held-out folds.

        Args:
            voxels: (stimuli, voxels), with mean 0 over the stimuli.
        """
        from himalaya.backend import set_backend
        from himalaya.ridge import solve_ridge_cv_svd
        from sklearn.model_selection import PredefinedSplit

        set_backend("torch_cuda" if voxels.is_cuda else "torch", on_error="raise")
        targets = torch.cat(
            [
                voxels[part] if basis is None else basis.T @ voxels[part]
                for part, basis in zip(self._parts, self._bases, strict=True)
            ]
        )
        _, weights, loss = solve_ridge_cv_svd(
            self._units,
            targets,
            alphas=self._alphas,
            score_func=_summed_loss,
            cv=PredefinedSplit(self._fold),
            n_targets_batch=_VOXELS,
            n_targets_batch_refit=_VOXELS,
            n_alphas_batch=1,
            warn=False,
        )
        total = voxels.square().sum(dim=0)
        lost = total - targets.square().sum(dim=0)
        error = lost - len(self._parts) * loss.reshape(-1).to(voxels)
        return weights.to(voxels), 1 - error / total


def _summed_loss(truth: Tensor, prediction: Tensor) -> Tensor:
    """Minus the squared error, summed: folds then count by their stimuli, as in one pool."""
    return -(truth - prediction).square().sum(dim=-2)
