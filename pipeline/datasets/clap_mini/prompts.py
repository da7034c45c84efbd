"""The prompts that a decoder for clap-mini is trained on: single sounds, in the wordings of the CLAP's own training."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.clap_mini.wordings import BACKGROUND_WORDS, EVENT_WORDS, SILENCE_WORDS, TEMPLATES
from pipeline.datasets.scenes import CLASSES

CLASS_PROMPTS = tuple(EVENT_WORDS[kind].trained[0] for kind in CLASSES)
PROMPTS, WORDINGS = "prompts.txt", "wordings.txt"


def decoder_wordings() -> list[str]:
    """Return every trained name of an event in every trained template, and those of backgrounds and silence."""
    events = [
        template.format(name)
        for kind in CLASSES
        for name in EVENT_WORDS[kind].trained
        for template in TEMPLATES.trained
    ]
    rest = [name for words in (*BACKGROUND_WORDS.values(), SILENCE_WORDS) for name in words.trained]
    return [text for text in [*events, *rest] if text not in CLASS_PROMPTS]


def write_prompts(folder: Path) -> None:
    """Write the classes and the other wordings next to a model, for `lmac train decoder --prompts --wordings`."""
    (folder / PROMPTS).write_text("".join(f"{text}\n" for text in CLASS_PROMPTS))
    (folder / WORDINGS).write_text("".join(f"{text}\n" for text in decoder_wordings()))
