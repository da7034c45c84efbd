"""The README of an explainer: what it was trained on, how, and its scores."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from pipeline.models.clap.zero_shot import PREFIX
from pipeline.storage.filesystem import recorded_url
from pipeline.training.loop import Scores
from schemas.tables import FAITHFULNESS

_SCORES = ("p", "ai", "ad", "ag", "ff", "fid_in", "mask_mean")
_MEANING = {
    "accuracy": "share of recordings classified as labelled",
    "loss": "cross-entropy, nats",
    "strength": "inverse of the head's regularisation; these recordings chose it, which flatters their accuracy",
    **{name: FAITHFULNESS.field(name).metadata[b"description"].decode() for name in _SCORES},
    "objective": "the objective, with its weights",
    "mask_fitting": "mean of the masks for prompts that fit",
    "mask_other": "mean of the masks for prompts that do not",
}


def model_card(name: str, what: str, how: str, made_by: str, scores: Mapping[str, Scores], base: str = "") -> str:
    """Write the Markdown card: `what` was trained, on which recordings (`how`), by which command or call, and scores.

    `base` is the card of the classifier that a decoder was trained for; it comes first.
    """
    lines = [] if base else [f"# {name}", ""]
    lines += [f"## {what.capitalize()}", "", f"{how[0].upper()}{how[1:]}.", "", "```", made_by, "```", ""]
    for part, values in scores.items():
        shown = {key: value for key, value in values.items() if key in _MEANING}
        lines += [f"| {part} | | |", "|---|---|---|"]
        lines += [f"| {key} | {value:.3f} | {_MEANING[key]} |" for key, value in shown.items()]
        lines.append("")
    own = "\n".join(lines)
    return f"{base.rstrip()}\n\n{own}" if base else own


def shown_call(training: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Format the call of a training for a model card, without credentials and without this machine's folders.

    `arguments` are the function's, by name; those with their default value are left out.
    """
    shown = [
        f"{name}={_shown(arguments[name])}"
        for name, parameter in inspect.signature(training).parameters.items()
        if name != "reporter" and arguments[name] != parameter.default
    ]
    return f"lmac.{training.__name__}({', '.join(shown)})"


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        return f"{type(value).__name__}.model_validate({value.model_dump(mode='json')})"
    if isinstance(value, (str, os.PathLike)):
        place = os.fspath(value)
        prefix = PREFIX if place.startswith(PREFIX) else ""
        return repr(prefix + recorded_url(place.removeprefix(prefix)))
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, (list, tuple)) else repr(value)
