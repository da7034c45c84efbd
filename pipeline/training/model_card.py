"""The README of an explainer: what it was trained on, how, and its scores."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.training.loop import Scores

_MEANING = {
    "accuracy": "share of recordings classified as labelled",
    "loss": "cross-entropy, nats",
    "strength": "inverse of the head's regularisation; these recordings chose it, which flatters their accuracy",
    "p": "probability of the decision on the full input",
    "ai": "average increase, %",
    "ad": "average drop, %",
    "ag": "average gain, %",
    "ff": "faithfulness, p - p_out",
    "fid_in": "share of recordings whose masked-in input keeps the decision",
    "mask_mean": "mean of the mask",
    "objective": "the objective, with its weights",
    "mask_fitting": "mean of the masks of prompts that fit",
    "mask_other": "mean of the masks of prompts that do not",
}


def model_card(name: str, what: str, how: str, command: str, scores: Mapping[str, Scores], base: str = "") -> str:
    """Markdown: `what` was trained, on which recordings (`how`), by which `command`, and `scores` by set.

    `base` is the card of the classifier that a decoder was trained for; it is kept below.
    """
    lines = [] if base else [f"# {name}", ""]
    lines += [f"## {what.capitalize()}", "", f"{how[0].upper()}{how[1:]}.", "", "```", command, "```", ""]
    for part, values in scores.items():
        shown = {key: value for key, value in values.items() if key in _MEANING}
        lines += [f"| {part} | | |", "|---|---|---|"]
        lines += [f"| {key} | {value:.3f} | {_MEANING[key]} |" for key, value in shown.items()]
        lines.append("")
    own = "\n".join(lines)
    if not base:
        return own
    return f"{base.rstrip()}\n\n{own}"
