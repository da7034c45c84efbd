"""What every attribution method has in common: from a magnitude and a class to a relevance for each bin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Attribute = Callable[[Tensor, Tensor], Tensor]


class UnsuitedError(ValueError):
    """A method does not suit a classifier; the message says what it was made for, and what is there."""


@dataclass(frozen=True)
class Method:
    """A way of saying which bins of a linear magnitude made a classifier decide.

    - `attribute` takes linear magnitudes `[B, F, T]` and class numbers `[B]` and returns relevance `[B, F, T]`, of any
      sign and scale: what speaks for the class is above zero, what speaks against it below;
    - `masks` names the normalisations that suit it, as `soft_mask` knows them;
    - `rankings` names the orders of bins that suit it, as `ranking` knows them;
    - `largest_batch` is set where a method holds many copies of its input and wants fewer windows at a time.
    """

    name: str
    attribute: Attribute
    masks: tuple[str, ...]
    rankings: tuple[str, ...] = ("signed",)
    largest_batch: int | None = None
