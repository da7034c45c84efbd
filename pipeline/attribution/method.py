"""The interface of attribution methods: from a magnitude and a class to a relevance for each bin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Attribute = Callable[[Tensor, Tensor], Tensor]


class UnsuitedError(ValueError):
    """A method does not suit a classifier; the message says what it was made for, and what the classifier has."""


@dataclass(frozen=True)
class Method:
    """A method that says which bins of a linear magnitude made a classifier decide.

    - `attribute` takes linear magnitudes `[B, F, T]` and class numbers `[B]` and returns relevance `[B, F, T]` on any
      scale: positive for evidence for the class, negative for evidence against it;
    - `masks` names the normalisations that suit it, from those of `soft_mask`;
    - `rankings` names the orders of bins that suit it, from those of `ranking`;
    - `largest_batch` is set if a method holds many copies of its input and needs smaller batches.
    """

    name: str
    attribute: Attribute
    masks: tuple[str, ...]
    rankings: tuple[str, ...] = ("signed",)
    largest_batch: int | None = None
