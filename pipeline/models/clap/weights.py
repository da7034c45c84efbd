"""Read weights from foreign checkpoints without running code, and check them by name, shape and value."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from numpy.core.multiarray import scalar  # type: ignore[attr-defined]
from torch import Tensor

from pipeline.models.clap import ClapError

SCALE = "logit_scale_a"

# A training checkpoint keeps its scores as numpy scalars, whose constructor has had two names.
_NUMPY: list[Any] = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "float16", "int64", "int32", "bool")),
]


@contextmanager
def clap_errors(what: str, advice: str) -> Iterator[None]:
    """Turn any error inside the block into a ClapError: `what`, the reason, `advice`.

    Only for library calls on foreign files, where damaged bytes may raise any error: a bug of our own would be hidden
    as well.
    """
    try:
        yield
    except Exception as error:
        raise ClapError(f"{what} ({_reason(error)}): {advice}") from error


def read_torch(path: Path) -> dict[str, Any]:
    """Read the dictionary in a torch.save file with `weights_only`, so that no code in it is run.

    Raises ClapError if the file holds something else.
    """
    advice = "give a whole .pt file of laion-clap, or a directory of a Hugging Face ClapModel"
    with (
        clap_errors(f"{path} is not a checkpoint that can be read safely", advice),
        torch.serialization.safe_globals(_NUMPY),
    ):
        # Memory-mapped, as a training checkpoint also holds the optimiser's state, which is not needed here.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if not isinstance(found, dict):
        raise ClapError(f"{path} holds a {type(found).__name__} and not weights by name: give a checkpoint of CLAP")
    return found


def _reason(error: Exception) -> str:
    # torch begins with advice to load unsafely; the error that it wraps holds the reason alone.
    what = str(error.__context__ or error).strip()
    return re.split(r"\n| was not an allowed global", what)[0] or type(error).__name__


def read_safetensors(path: Path, unwanted: tuple[str, ...]) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, except those whose name begins with one of `unwanted`.

    Raises ClapError if it is no such file.
    """
    with (
        clap_errors(f"{path} is not a safetensors file", "fetch it again"),
        safetensors.safe_open(path, framework="pt") as file,
    ):
        return {name: file.get_tensor(name) for name in file.keys() if not name.startswith(unwanted)}  # noqa: SIM118


def only_tensors(found: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Return a checkpoint's content as tensors by name. Raises ClapError if something in it is not a tensor."""
    for name, value in found.items():
        if not isinstance(name, str):
            raise ClapError(f"{path} has a weight called {name!r}, which is no name: give a checkpoint of CLAP")
        if not isinstance(value, Tensor):
            raise ClapError(f"{path}: {name!r} is a {type(value).__name__} and no weight: give a checkpoint of CLAP")
    return dict(found)


def check_weights(found: Mapping[str, Tensor], wanted: Mapping[str, Collection[int]], path: Path) -> None:
    """Raise ClapError, naming the weight, if one is missing, unexpected, of the wrong shape, or not finite."""
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise ClapError(f"{path} lacks the weight {name!r}: it is not whole, or not a checkpoint of this CLAP")
        if name not in wanted:
            raise ClapError(f"{path} has a weight {name!r} that this CLAP does not have: it is of another model")
        if tuple(found[name].shape) != tuple(wanted[name]):
            raise ClapError(
                f"{path}: the weight {name!r} is {tuple(found[name].shape)}, this CLAP asks for {tuple(wanted[name])}"
            )
        check_finite(name, found[name], path)


def check_finite(name: str, weight: Tensor, path: Path) -> None:
    """Raise ClapError, naming the weight, if it is not a dense tensor of finite real numbers."""
    if not weight.is_floating_point() or weight.layout is not torch.strided or weight.is_meta:
        kind = f"{weight.dtype}, {weight.layout}".replace("torch.", "")
        raise ClapError(f"{path}: the weight {name!r} must be of real numbers, got {kind}: give a checkpoint of CLAP")
    # Checked as float32, in which it will be loaded: larger values become infinite.
    if not weight.float().isfinite().all():
        raise ClapError(f"{path}: the weight {name!r} has values that are not finite: fetch the file again")


def logit_scale(weights: Mapping[str, Tensor], path: Path) -> float:
    """Return the scale of audio-text cosines in the logits; both formats store its logarithm under the same name.

    Raises ClapError if the logarithm is too large.
    """
    scale = weights[SCALE].float().exp()
    if not scale.isfinite():
        raise ClapError(f"{path}: the weight {SCALE!r} is {float(weights[SCALE])}, too large for a logarithm")
    return float(scale)
