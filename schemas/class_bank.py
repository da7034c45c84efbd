"""Classes from prompts, and what can be checked before a text encoder is loaded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from schemas.explainer_config import Config

PLACEHOLDER = "{}"
# What `--targets` takes as a rule rather than a name (`schemas.targets`).
_CHOICE = re.compile(r"all|top1|topk:.*")


class ClassBankConfig(Config):
    """A class bank without its embeddings.

    The prompts are the names of the classes. Each replaces the `{}` of every template. `text_encoder` is the SHA-256 of
    the encoder that embedded them.
    """

    prompts: tuple[str, ...]
    templates: tuple[str, ...] = (PLACEHOLDER,)
    text_encoder: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @field_validator("prompts")
    @classmethod
    def _prompts_differ(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        check_prompts(prompts)
        return prompts

    @field_validator("templates")
    @classmethod
    def _templates_have_a_placeholder(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        check_templates(templates)
        return templates


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise ValueError when there is no prompt, one has no letters or cannot be printed, or two are equal.

    Prompts that differ only in case, spaces or Unicode form are equal.
    """
    if not prompts:
        raise ValueError("there is no prompt: give at least one")
    seen: dict[str, str] = {}
    for prompt in prompts:
        if not any(map(str.isalnum, prompt)):
            raise ValueError(f"the prompt {prompt!r} has no letter or digit")
        if _CHOICE.fullmatch(prompt):
            raise ValueError(f"the prompt {prompt!r} has a meaning of its own for --targets: reword it")
        if not prompt.isprintable():
            raise ValueError(f"the prompt {prompt!r} has characters that cannot be printed")
        earlier = seen.setdefault(normalised(prompt), prompt)
        if earlier is not prompt:
            raise ValueError(f"the prompts {earlier!r} and {prompt!r} are equal: leave one out")


def check_templates(templates: Sequence[str]) -> None:
    """Raise ValueError when there is no template, two are equal, or one has not exactly one `{}`."""
    if not templates:
        raise ValueError(f"there is no template: give at least one, {PLACEHOLDER!r} for the prompts as they are")
    for template in templates:
        if template.count(PLACEHOLDER) != 1:
            raise ValueError(
                f"the template {template!r} must hold {PLACEHOLDER!r} exactly once, for the prompt: "
                f"'the sound of {PLACEHOLDER}'"
            )
    twice = sorted({template for template in templates if templates.count(template) > 1})
    if twice:
        raise ValueError(f"these templates are given twice: {', '.join(map(repr, twice))}")


def normalised(prompt: str) -> str:
    """A prompt as it is compared with others: casefolded, with single spaces, in Unicode's form NFKC."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
