"""What the scores of an explanation say, as sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Probabilities that differ by less are called the same.
SAME = 0.05
# The bounds of `questions/unfaithful.sql`: below SURE there is no decision; a call that drops by less than REST without
# the kept part does not rest on it; a kept part with less than KEPT of p does not give the call; and the written audio
# may differ from the spectrogram by WRITTEN.
SURE, REST, KEPT, WRITTEN = 0.2, 0.1, 0.5, 0.3


def in_words(scores: Mapping[str, Any]) -> str:
    """Say what an explanation's row of `faithfulness` means: what is kept, what it is worth, what is left without it.

    >>> in_words({"p": 0.97, "p_in": 0.96, "p_out": 0.03, "energy_kept": 0.09, "fid_in": 1.0})
    'keeps 9% of the sound; the classifier is as sure as before; without it the call drops from 0.97 to 0.03'
    """
    return "; ".join([f"keeps {percent(scores['energy_kept'])} of the sound", _alone(scores), *_without(scores)])


def warnings(scores: Mapping[str, Any]) -> list[str]:
    """Why an explanation should not be trusted, by the bounds of an audit; empty where nothing speaks against it."""
    found = []
    p, p_in, p_out = scores["p"], scores["p_in"], scores["p_out"]
    if p < SURE:
        return [f"The classifier is not sure of it ({probability(p)}): there is hardly a call to explain."]
    if p - p_out < REST * p:
        found.append(f"The call stands without the kept part ({probability(p_out)}), so it does not rest on it alone.")
    if p_in < KEPT * p:
        found.append(f"On the kept part alone the call falls to {probability(p_in)}.")
    for name, sound, part in (("p_in", "kept", "masked"), ("p_out", "removed", "remaining")):
        written = scores.get(f"{name}_audio")
        if written is not None and abs(written - scores[name]) > WRITTEN:
            found.append(
                f"The {sound} part to hear is not what was scored: classified again it gives {probability(written)}, "
                f"the {part} spectrogram {probability(scores[name])}."
            )
    return found


def percent(share: float) -> str:
    """A share in [0, 1]: whole percents, and words where these would round it away.

    >>> percent(0.094), percent(0.002), percent(0.0), percent(0.999), percent(1.0)
    ('9%', 'less than 1%', 'nothing', 'more than 99%', 'all')
    """
    if share <= 0:
        return "nothing"
    if share >= 1:
        return "all"
    if share < 0.01:
        return "less than 1%"
    return "more than 99%" if share > 0.99 else f"{share:.0%}"


def figure(share: float) -> str:
    """A share in [0, 1] for a table: 100% is all of it, and 0% nothing.

    >>> figure(0.994), figure(0.9999), figure(1.0), figure(0.001)
    ('99%', '>99%', '100%', '<1%')
    """
    if 0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def probability(p: float) -> str:
    """A probability with two decimals, and more where these would make it certain or impossible.

    >>> probability(0.971), probability(0.9996), probability(0.00004), probability(1.0)
    ('0.97', 'over 0.99', 'under 0.01', '1.00')
    """
    if 0 < p < 0.005:
        return "under 0.01"
    return "over 0.99" if 0.995 <= p < 1 else f"{p:.2f}"


def _alone(scores: Mapping[str, Any]) -> str:
    p, p_in = scores["p"], scores["p_in"]
    if abs(p_in - p) <= SAME:
        return "the classifier is as sure as before"
    change = f"({probability(p)} to {probability(p_in)})"
    if p_in > p:
        return f"the classifier is surer than before {change}"
    return f"the classifier is less sure {change}" + (", and calls it something else" if scores["fid_in"] == 0 else "")


def _without(scores: Mapping[str, Any]) -> list[str]:
    p, p_out = scores["p"], scores["p_out"]
    if scores["energy_kept"] >= 1:
        return []
    if p - p_out >= max(REST * p, SAME):
        return [f"without it the call drops from {probability(p)} to {probability(p_out)}"]
    if p_out - p > SAME:
        return [f"without it the call rises from {probability(p)} to {probability(p_out)}"]
    return [f"without it the call stays, from {probability(p)} to {probability(p_out)}"]
