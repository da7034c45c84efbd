"""Classes from prompts: what can be said of them before any text encoder is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from schemas.explainer_config import Config

PLACE = "{}"
# What `schemas.targets` reads as a choice of labels, and not as a label.
_CHOICE = re.compile(r"all|top1|topk:.*")


class ClassBankConfig(Config):
    """Everything of a class bank but the embeddings.

    The prompts are the labels. Each is put into every template in the place of its `{}`. `text_encoder` is the SHA-256
    of the encoder that embedded them.
    """

    prompts: tuple[str, ...]
    templates: tuple[str, ...] = (PLACE,)
    text_encoder: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @field_validator("prompts")
    @classmethod
    def _prompts_differ(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        check_prompts(prompts)
        return prompts

    @field_validator("templates")
    @classmethod
    def _templates_have_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        check_templates(templates)
        return templates


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise ValueError when there is no prompt, one says nothing or cannot be printed, or two are equal.

    Equal are those that differ in letter case, in spaces, or in how Unicode writes the same letters.
    """
    if not prompts:
        raise ValueError("there is no prompt: give at least one")
    seen: dict[str, str] = {}
    for prompt in prompts:
        if not any(map(str.isalnum, prompt)):
            raise ValueError(f"the prompt {prompt!r} has no letter or digit")
        if _CHOICE.fullmatch(prompt):
            raise ValueError(f"the prompt {prompt!r} means something else as a label: word it otherwise")
        if not prompt.isprintable():
            raise ValueError(f"the prompt {prompt!r} has characters that cannot be printed")
        other = seen.setdefault(folded(prompt), prompt)
        if other is not prompt:
            raise ValueError(f"the prompts {other!r} and {prompt!r} are equal: leave one out")


def check_templates(templates: Sequence[str]) -> None:
    """Raise ValueError when there is no template, two are equal, or one has not exactly one `{}`."""
    if not templates:
        raise ValueError(f"there is no template: give at least one, {PLACE!r} for the prompts as they are")
    for template in templates:
        if template.count(PLACE) != 1:
            raise ValueError(
                f"the template {template!r} must hold {PLACE!r} exactly once, for the prompt: 'the sound of {PLACE}'"
            )
    twice = sorted({template for template in templates if templates.count(template) > 1})
    if twice:
        raise ValueError(f"these templates are given twice: {', '.join(map(repr, twice))}")


def folded(prompt: str) -> str:
    """A prompt as prompts are compared: without capitals, with single blanks, in Unicode's compatible form."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
