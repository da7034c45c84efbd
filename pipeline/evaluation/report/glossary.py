"""What the scores are called, which way is better, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Score:
    """A score as a reader meets it: its name, the better direction, its decimals, and its meaning."""

    name: str
    better: Literal["higher", "lower"] | None
    digits: int
    meaning: str

    @property
    def heading(self) -> str:
        """The name with an arrow in the better direction."""
        return self.name + {"higher": "\u00a0↑", "lower": "\u00a0↓", None: ""}[self.better]


# p, p_in and p_out as in Paissan et al. 2024, section 4.1; the direction of a size is left open: small is not good by
# itself.
SCORES = {
    "p": Score("p", None, 3, "probability of the class explained, the classifier's own decision, on the whole input"),
    "p_in": Score("p_in", "higher", 3, "probability of that class on the masked-in input, what the mask keeps"),
    "p_out": Score("p_out", "lower", 3, "probability of that class on the masked-out input, what the mask removes"),
    "mask_mean": Score("mask mean", None, 3, "mean of the mask over all bins: the share of the bins that it keeps"),
    "bins_kept": Score("bins kept", None, 3, "share of the bins that a binary mask keeps"),
    "energy_kept": Score("energy kept", None, 3, "energy of the masked-in input over that of the whole input"),
    "ai": Score("AI", "higher", 1, "average increase: 100 if p_in > p, else 0; counts gains of any size"),
    "ai_001": Score("AI > 0.01", "higher", 1, "average increase by more than 0.01: 100 if p_in > p + 0.01, else 0"),
    "ad": Score("AD", "lower", 1, "average drop: 100 max(0, p - p_in) / p, with one softmax"),
    "ag": Score("AG", "higher", 1, "average gain: 100 max(0, p_in - p) / (1 - p)"),
    "ff": Score("FF", "higher", 3, "faithfulness: p - p_out"),
    "fid_in": Score("Fid-In", "higher", 3, "share of windows whose masked-in input is classified as the whole"),
    "keep": Score("keep", "lower", 3, "share of windows whose masked-out input is still classified as the whole"),
    "sps": Score("SPS", "higher", 3, "sparseness: the Gini index of the mask, 0 for an even one, near 1 for one bin"),
    "comp": Score("COMP", "lower", 2, "complexity: the entropy of the mask scaled to sum 1, in nats"),
    "ad_double_softmax": Score("AD (two softmaxes)", "lower", 1, "average drop as the common reference code has it"),
}
INITIALS = {"iou": "IoU", "ssim": "SSIM"}
AREAS = {
    "insertion": Score("insertion", "higher", 3, "mean of p_in over the logarithm of the share kept, from 1% to 50%"),
    "deletion": Score("deletion", "lower", 3, "mean of p_out over the logarithm of the share kept, from 1% to 50%"),
}


def score(name: str) -> Score:
    """The score of a column, `x_audio` being that of the written audio; of an area as `insertion by bins`; or at a size
    as `ff at 10% of bins`."""
    if name in SCORES:
        return SCORES[name]
    spectral = SCORES.get(name.removesuffix("_audio"))
    if spectral:
        return Score(f"{spectral.name}, written", spectral.better, spectral.digits, spectral.meaning)
    area = AREAS.get(name.split(" ")[0])
    if area:
        return Score(name, area.better, area.digits, area.meaning)
    at_size = SCORES.get(name.split(" at ")[0])
    if at_size:
        return Score(name, at_size.better, at_size.digits, at_size.meaning)
    return Score(spoken(name), None, 3, "")


def spoken(name: str) -> str:
    """The name of a method, mask or measure as it stands in a sentence."""
    return INITIALS.get(name, name.replace("_", " "))
