from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.datasets.clap_mini.captions import Captioner
from pipeline.datasets.clap_mini.contents import Contents, Event, Statement, holds
from pipeline.datasets.clap_mini.vocabulary import training_captions
from pipeline.datasets.clap_mini.wordings import (
    BACKGROUND_WORDS,
    DISTANCES,
    EVENT_WORDS,
    OVER_BACKGROUND,
    SILENCE_WORDS,
    TEMPLATES,
    TWO_EVENTS,
    UNDER_EVENT,
)
from pipeline.datasets.scenes import BACKGROUNDS, CLASSES

NAMES = [*EVENT_WORDS.values(), *BACKGROUND_WORDS.values(), SILENCE_WORDS]
PATTERNS = [TEMPLATES, TWO_EVENTS, OVER_BACKGROUND, UNDER_EVENT, *DISTANCES.values()]
TWO = Contents((Event("siren", 15.0), Event("rain", 0.0)), "traffic")


def drawn(contents: Contents, count: int = 300, held_out: bool = False) -> list[tuple[str, Statement]]:
    captioner, rng = Captioner(held_out, distances=0.5), np.random.default_rng(0)
    captions = [captioner.caption(contents, rng) for _ in range(count)]
    return [(caption.text, caption.says) for caption in captions]


def test_the_same_seed_gives_the_same_captions_and_another_others() -> None:
    captioner = Captioner()
    first, again, other = (
        [captioner.caption(TWO, rng) for _ in range(20)] for rng in map(np.random.default_rng, (1, 1, 2))
    )
    assert first == again
    assert first != other


def test_every_kind_has_words_and_nothing_else_has() -> None:
    assert set(EVENT_WORDS) == set(CLASSES)
    assert set(BACKGROUND_WORDS) == set(BACKGROUNDS)
    assert all(len(set(words.trained)) >= 4 and len(set(words.held_out)) >= 2 for words in NAMES)
    assert all(text == text.lower() for words in [*NAMES, *PATTERNS] for text in (*words.trained, *words.held_out))


def test_no_two_kinds_share_a_name() -> None:
    names = [name for words in NAMES for name in (*words.trained, *words.held_out)]
    assert len(names) == len(set(names))


def test_no_wording_that_is_held_out_is_trained_on() -> None:
    captions = training_captions(0, 8000)
    together = "\n".join(captions)
    for words in NAMES:
        for name in words.held_out:
            assert not re.search(rf"\b{re.escape(name)}\b", together), name
    for words in PATTERNS:
        for pattern in words.held_out:
            whole = re.compile("^" + re.escape(pattern).replace(r"\{\}", ".+") + "$", re.MULTILINE)
            assert not whole.search(together), pattern


def test_every_trained_wording_is_trained_on() -> None:
    together = "\n".join(training_captions(0, 20_000))
    assert [name for words in NAMES for name in words.trained if name not in together] == []


def test_a_caption_holds_of_what_it_was_made_for() -> None:
    for contents in (TWO, Contents(TWO.events), Contents(TWO.events[:1], "babble"), Contents((), "babble"), Contents()):
        for held_out in (False, True):
            assert all(holds(says, contents) for _, says in drawn(contents, held_out=held_out))


def test_a_caption_says_in_words_what_it_says() -> None:
    for text, says in drawn(TWO):
        for named in says.events:
            assert any(name in text for name in EVENT_WORDS[named.kind].trained), text
            if named.distance is not None:
                fillings = [pattern.replace("{}", "") for pattern in DISTANCES[named.distance].trained]
                assert any(filling in text for filling in fillings), text
        if says.background is not None:
            assert any(name in text for name in BACKGROUND_WORDS[says.background].trained), text


def test_captions_name_an_event_the_background_and_both() -> None:
    sorts = {(len(says.events), says.background is None) for _, says in drawn(Contents(TWO.events[:1], "traffic"))}
    assert sorts == {(1, True), (1, False), (0, False)}
    assert {len(says.events) for _, says in drawn(TWO)} == {0, 1, 2}


def test_only_the_near_are_called_near_and_only_the_far_far() -> None:
    told = {(named.kind, named.distance) for _, says in drawn(TWO) for named in says.events}
    assert told == {("siren", None), ("siren", "near"), ("rain", None), ("rain", "far")}
    between = Contents((Event("siren", 7.0),), "traffic")
    assert all(named.distance is None for _, says in drawn(between) for named in says.events)


def test_silence_is_called_silence() -> None:
    assert all(any(name in text for name in SILENCE_WORDS.trained) for text, _ in drawn(Contents()))


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_prompt_as_it_stands_is_trained_on(kind: str) -> None:
    texts = {text for text, _ in drawn(Contents((Event(kind, 5.0),), "traffic"), 600)}
    assert texts & set(EVENT_WORDS[kind].trained)
