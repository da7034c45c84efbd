"""Weights that others have written: read without running anything, and held against what is wanted, name by name."""

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

from pipeline.models.clap.faults import ClapError

SCALE = "logit_scale_a"

# A training checkpoint keeps its scores as numpy's scalars, under the name that numpy then had for their maker.
_NUMPY: list[Any] = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "float16", "int64", "int32", "bool")),
]


@contextmanager
def foreign(what: str, instead: str) -> Iterator[None]:
    """Turn whatever a library raises within over what others wrote into a ClapError: `what`, the reason, `instead`.

    For calls of the library alone: damaged bytes make readers raise anything, and so would a fault of our own.
    """
    try:
        yield
    except Exception as error:
        raise ClapError(f"{what} ({_reason(error)}): {instead}") from error


def read_torch(path: Path) -> dict[str, Any]:
    """A file of torch.save that holds a dictionary, with `weights_only`: no code in it is run.

    Raises ClapError when it is something else.
    """
    instead = "give a whole .pt file of laion-clap, or a directory of a Hugging Face ClapModel"
    with (
        foreign(f"{path} is not a checkpoint that can be read safely", instead),
        torch.serialization.safe_globals(_NUMPY),
    ):
        # Mapped: a training checkpoint is larger by its optimiser's state, which nobody reads here.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if not isinstance(found, dict):
        raise ClapError(f"{path} holds a {type(found).__name__} and not weights by name: give a checkpoint of CLAP")
    return found


def _reason(error: Exception) -> str:
    # torch puts its advice to read without safety before what is wrong, which the error that it replaces says alone.
    what = str(error.__context__ or error).strip()
    return re.split(r"\n| was not an allowed global", what)[0] or type(error).__name__


def read_safetensors(path: Path, unwanted: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of a safetensors file but those whose name begins with an unwanted word.

    Raises ClapError when it is no such file.
    """
    with (
        foreign(f"{path} is not a safetensors file", "fetch it again"),
        safetensors.safe_open(path, framework="pt") as file,
    ):
        return {name: file.get_tensor(name) for name in file.keys() if not name.startswith(unwanted)}  # noqa: SIM118


def only_tensors(found: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """What was read, all of which must be tensors by name. Raises ClapError when something is not."""
    for name, value in found.items():
        if not isinstance(name, str):
            raise ClapError(f"{path} has a weight called {name!r}, which is no name: give a checkpoint of CLAP")
        if not isinstance(value, Tensor):
            raise ClapError(f"{path}: {name!r} is a {type(value).__name__} and no weight: give a checkpoint of CLAP")
    return dict(found)


def refuse_misfits(found: Mapping[str, Tensor], wanted: Mapping[str, Collection[int]], path: Path) -> None:
    """Raise ClapError where a weight is missing, has no place, or is of another shape than wanted, naming it.

    And where one is not of real numbers, all of them finite.
    """
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise ClapError(f"{path} lacks the weight {name!r}: it is not whole, or not a checkpoint of this CLAP")
        if name not in wanted:
            raise ClapError(f"{path} has a weight {name!r} for which this CLAP has no place: it is of another model")
        if tuple(found[name].shape) != tuple(wanted[name]):
            raise ClapError(
                f"{path}: the weight {name!r} is {tuple(found[name].shape)}, this CLAP asks for {tuple(wanted[name])}"
            )
        refuse_no_numbers(name, found[name], path)


def refuse_no_numbers(name: str, weight: Tensor, path: Path) -> None:
    """Raise ClapError for a weight that is not of real numbers, dense and all of them finite, naming it."""
    if not weight.is_floating_point() or weight.layout is not torch.strided or weight.is_meta:
        kind = f"{weight.dtype}, {weight.layout}".replace("torch.", "")
        raise ClapError(f"{path}: the weight {name!r} must be of real numbers, got {kind}: give a checkpoint of CLAP")
    # As it will be loaded: what float32 cannot hold becomes infinite.
    if not weight.float().isfinite().all():
        raise ClapError(f"{path}: the weight {name!r} has values that are no finite numbers: fetch the file again")


def logit_scale(weights: Mapping[str, Tensor], path: Path) -> float:
    """What cosines of audio to text are multiplied by; both formats keep its logarithm under one name.

    Raises ClapError when that is too large a number.
    """
    scale = weights[SCALE].float().exp()
    if not scale.isfinite():
        raise ClapError(f"{path}: the weight {SCALE!r} is {float(weights[SCALE])}, too large for a logarithm")
    return float(scale)
