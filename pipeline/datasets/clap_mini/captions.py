"""Compose captions of mixtures from wordings, each with the statement that it makes, to compare with the contents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.datasets.clap_mini.contents import Contents, Named, Statement
from pipeline.datasets.clap_mini.wordings import (
    BACKGROUND_WORDS,
    DISTANCES,
    EVENT_WORDS,
    OVER_BACKGROUND,
    SILENCE_WORDS,
    TEMPLATES,
    TWO_EVENTS,
    UNDER_EVENT,
    Wordings,
)

_NAMES_NO_BACKGROUND = 0.5
_NAMES_NO_EVENT = 0.12
_NAMES_ONE_OF_TWO = 0.5
_NAMES_ALONE = 0.4  # without a template around them, as in a class prompt


@dataclass(frozen=True)
class Caption:
    """A caption in lower case, and its statement."""

    text: str
    says: Statement


class Captioner:
    """Captions of mixtures, in the wordings of training or in those held out of it.

    A caption names everything in the mixture or a part of it: one of the events, or the background alone. For a share
    `distances` of near and far events it says that they are near or far.
    """

    def __init__(self, held_out: bool = False, distances: float = 0.3) -> None:
        self._held_out = held_out
        self._distances = distances

    def caption(self, contents: Contents, rng: np.random.Generator) -> Caption:
        """Draw one true caption of a mixture."""
        says = self._chosen(contents, rng)
        return Caption(self._worded(says, rng), says)

    def _chosen(self, contents: Contents, rng: np.random.Generator) -> Statement:
        events = [contents.events[place] for place in rng.permutation(len(contents.events))]
        background = contents.background
        if events and background is not None and rng.random() < _NAMES_NO_EVENT:
            return Statement(background=background)
        if len(events) > 1 and rng.random() < _NAMES_ONE_OF_TWO:
            events = events[:1]
        if events and rng.random() < _NAMES_NO_BACKGROUND:
            background = None
        named = tuple(Named(event.kind, event.distance if rng.random() < self._distances else None) for event in events)
        return Statement(named, background)

    def _worded(self, says: Statement, rng: np.random.Generator) -> str:
        names = [self._event(named, rng) for named in says.events]
        said = self._one(TWO_EVENTS, rng).format(*names) if len(names) == 2 else "".join(names)
        if says.background is not None:
            behind = self._one(BACKGROUND_WORDS[says.background], rng)
            if not names:
                said = behind
            elif rng.random() < 0.5:
                said = self._one(OVER_BACKGROUND, rng).format(said, behind)
            else:
                said = self._one(UNDER_EVENT, rng).format(behind, said)
        elif not names:
            said = self._one(SILENCE_WORDS, rng)
        return said if rng.random() < _NAMES_ALONE else self._one(TEMPLATES, rng).format(said)

    def _event(self, named: Named, rng: np.random.Generator) -> str:
        name = self._one(EVENT_WORDS[named.kind], rng)
        return name if named.distance is None else self._one(DISTANCES[named.distance], rng).format(name)

    def _one(self, wordings: Wordings, rng: np.random.Generator) -> str:
        words = wordings.held_out if self._held_out else wordings.trained
        return words[int(rng.integers(len(words)))]
