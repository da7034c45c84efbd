"""How much of a known source is in a sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def si_sdr(estimate: NDArray[Any], reference: NDArray[Any]) -> float:
    """Scale-invariant signal-to-distortion ratio in dB of an estimate `[n]` of a reference `[n]`.

    Le Roux et al. 2019, equation 3; -inf for a silent estimate, inf for a scaled copy.
    Raises ValueError if the shapes differ or the reference is silent.
    """
    if estimate.shape != reference.shape:
        raise ValueError(f"estimate has shape {estimate.shape} and reference {reference.shape}: they must agree")
    s, e = reference.astype(np.float64), estimate.astype(np.float64)
    energy = float(s @ s)
    if energy == 0:
        raise ValueError("the reference is silent: there is nothing to compare with")
    target = (e @ s) / energy * s
    distortion = float(((target - e) ** 2).sum())
    wanted = float((target**2).sum())
    if wanted == 0:
        return -np.inf
    return float(10 * np.log10(wanted / distortion)) if distortion > 0 else np.inf
