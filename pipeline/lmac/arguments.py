"""Checks of the arguments to an explainer's methods, before anything is read or computed."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import torch

from schemas.errors import LmacError
from schemas.explainer_config import ExplainerConfig, FrontEndConfig
from schemas.targets import FORMS, Targets


class ArgumentError(LmacError, ValueError):
    """An argument does not fit; the message names it, its value and what it must be."""


def choose_device(device: str) -> torch.device:
    """Return the device of a torch name; `auto` is a CUDA GPU if there is one, else the CPU.

    Raises ArgumentError for a device that torch does not know or cannot use here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError):  # an AssertionError where torch was built without CUDA
        raise ArgumentError(f"device must be auto, cpu or a GPU that torch can use here, got {device!r}") from None


def choose_targets(targets: str, explainer: ExplainerConfig) -> Targets:
    """Parse `targets`; raises ArgumentError for targets that the explainer does not have."""
    _check("targets", targets, isinstance(targets, str), FORMS)
    try:
        chosen = Targets.parse(targets)
        chosen.refuse_for(explainer)
    except ValueError as error:
        raise ArgumentError(f"targets: {error}") from None
    return chosen


def check_mask(mask: Any, refine: Any) -> None:
    """Raise ArgumentError for an unknown kind of mask, or an invalid number of refinement steps."""
    _check("mask", mask, mask in ("soft", "binary"), "'soft' or 'binary'")
    _check("refine", refine, _whole(refine) and refine >= 0, "a whole number of gradient steps, 0 for none")


def check_windows(
    front_end: FrontEndConfig, window_hop_s: Any, min_tail: Any, max_seconds: Any, batch_size: Any
) -> None:
    """Raise ArgumentError for a hop that would leave sound out, and for invalid lengths and shares."""
    hop_fits = window_hop_s is None or (
        _finite(window_hop_s) and 1 <= round(window_hop_s * front_end.sample_rate) <= front_end.window_samples
    )
    longest = f"at most the explainer's window, {front_end.window_s:g} s, and at least one sample"
    _check("window_hop_s", window_hop_s, hop_fits, longest)
    _check("min_tail", min_tail, _finite(min_tail) and 0 <= min_tail <= 1, "a share of a window, 0 to 1")
    positive = max_seconds is None or (_number(max_seconds) and max_seconds > 0)
    _check("max_seconds", max_seconds, positive, "a number of seconds above 0")
    _check("batch_size", batch_size, _whole(batch_size) and batch_size >= 1, "a whole number of windows, at least 1")


def _check(name: str, value: Any, fits: bool, wanted: str) -> None:
    if not fits:
        raise ArgumentError(f"{name} must be {wanted}, got {value!r}")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _number(value) and isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
