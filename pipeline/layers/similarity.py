"""The similarity of two layers: linear CKA, and SVCCA if there are enough recordings for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Recordings per canonical direction, below which even independent layers correlate by a third and more.
RECORDINGS_PER_DIRECTION = 10
_VARIANCE = 0.99


def linear_cka(layers: Sequence[np.ndarray], *, batch: int = 1024, seed: int = 0) -> np.ndarray:
    """Linear CKA `[L, L]` of layers `[n, d_i]` over the same n recordings; nan for a constant layer.

    It uses the unbiased estimator of HSIC, summed over batches of recordings drawn by `seed` (Nguyen et al. 2021,
    arXiv 2010.15327, eq. 2 and 3): independent layers have 0 on average, however wide; 1 means equal up to rotation,
    shift and scale (Kornblith et al. 2019, arXiv 1905.00414). Raises ValueError for fewer than 4 recordings.
    """
    n = len(layers[0])
    if n < 4 or any(len(x) != n for x in layers):
        raise ValueError(f"CKA needs the same 4 recordings or more of every layer, got {[len(x) for x in layers]}")
    centred = [np.asarray(x, np.float64) - np.mean(x, axis=0, dtype=np.float64) for x in layers]
    # Rounding may leave a centred constant layer not quite 0, and CKA is scale-invariant.
    constant = np.array([np.ptp(x, axis=0).max() == 0 for x in layers])
    order = np.random.default_rng(seed).permutation(n)
    hsic = np.zeros((len(layers), len(layers)))
    # Parts of equal size, as the estimator needs four recordings in the last one too.
    for part in np.array_split(order, -(-n // batch)):
        grams = np.stack([_u_centred(x[part] @ x[part].T).ravel() for x in centred])
        hsic += grams @ grams.T / (len(part) * (len(part) - 3))
    own = np.where(constant, np.nan, np.diag(hsic))
    return hsic / np.sqrt(np.outer(own, own))


def _u_centred(gram: np.ndarray) -> np.ndarray:
    """U-centre a Gram matrix: the scalar product of two is n (n - 3) times the unbiased HSIC (Song et al. 2012)."""
    n = len(gram)
    gram = gram - np.diag(np.diag(gram))
    rows = gram.sum(axis=1) / (n - 2)
    centred = gram - rows[:, None] - rows[None, :] + gram.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    return centred


def svcca(layers: Sequence[np.ndarray]) -> np.ndarray:
    """SVCCA `[L, L]` of layers `[n, d_i]`: mean canonical correlation between the directions of 99% of the variance.

    Raghu et al. 2017 (arXiv 1706.05806). A pair is nan if either layer is constant, or has more such directions than
    one for every ten recordings: with so many directions, correlations are high whatever the layers hold.
    """
    bases = [_principal(np.asarray(x, np.float64)) for x in layers]
    result = np.full((len(layers), len(layers)), np.nan)
    for a, x in enumerate(bases):
        for b, y in enumerate(bases):
            least, most = sorted((x.shape[1], y.shape[1]))
            if least and most * RECORDINGS_PER_DIRECTION <= len(x):
                result[a, b] = np.linalg.svd(x.T @ y, compute_uv=False).clip(0, 1).mean()
    return result


def _principal(x: np.ndarray) -> np.ndarray:
    """Return orthonormal scores `[n, k]` of the fewest principal components with 99% of the variance."""
    scores, scale, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    share = np.cumsum(scale**2)
    if np.ptp(x, axis=0).max() == 0:
        return scores[:, :0]
    return scores[:, : int(np.searchsorted(share, _VARIANCE * share[-1])) + 1]
