"""The contents of a mixture, the statement of a caption, and whether the statement holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Distance = Literal["near", "far"]

# Between these an event is neither near nor far.
NEAR_DB, FAR_DB = 12.0, 2.0


@dataclass(frozen=True)
class Event:
    """An event in a mixture: its kind, and its SNR over the background while it lasts, None without background."""

    kind: str
    snr_db: float | None

    @property
    def distance(self) -> Distance | None:
        """Near from 12 dB over the background, far up to 2 dB, else neither."""
        if self.snr_db is None or FAR_DB < self.snr_db < NEAR_DB:
            return None
        return "near" if self.snr_db >= NEAR_DB else "far"


@dataclass(frozen=True)
class Contents:
    """The events of a mixture and the kind of its background; without either it is silence."""

    events: tuple[Event, ...] = ()
    background: str | None = None


@dataclass(frozen=True)
class Named:
    """An event that a caption names, with its distance if the caption states it."""

    kind: str
    distance: Distance | None = None


@dataclass(frozen=True)
class Statement:
    """What a caption states: that these events and this background are present, or, without either, silence.

    It states nothing about what it does not name: "a dog barking" holds for a dog and a siren over traffic.
    """

    events: tuple[Named, ...] = ()
    background: str | None = None


def holds(statement: Statement, contents: Contents) -> bool:
    """Return whether a statement holds: its background and events are present, the events at any stated distance.

    A statement of silence holds only for silence, and no other statement does.
    """
    if not statement.events and statement.background is None:
        return not contents.events and contents.background is None
    return (statement.background is None or statement.background == contents.background) and all(
        any(named.kind == event.kind and named.distance in (None, event.distance) for event in contents.events)
        for named in statement.events
    )


def holding(statements: Sequence[Statement], contents: Sequence[Contents]) -> Tensor:
    """Return 1 where a statement holds for a mixture, else 0: `[n_statements, n_contents]`, float32."""
    return torch.tensor([[float(holds(statement, content)) for content in contents] for statement in statements])
