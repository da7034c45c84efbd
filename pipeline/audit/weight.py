"""How much a finding weighs, by one rule for all kinds: what a person wants to know first."""

from __future__ import annotations

import math

from schemas.audit_tables import Kind

# The cost of not knowing, if all recordings are concerned. A cue, or copies across the split, make test scores
# worthless; wrong labels spoil training and test alike; broken recordings are heard at once; explanations that cannot
# be trusted matter for reading the rest; odd and typical recordings are there to be browsed.
STAKES: dict[Kind, float] = {
    "shortcut": 1.0,
    "label_error": 0.8,
    "broken_audio": 0.6,
    "duplicate": 0.5,
    "unfaithful": 0.3,
    "odd_one_out": 0.1,
    "typical": 0.01,
}
# Copies on both sides of a split.
LEAKAGE = 1.0
# The certainty of a finding that is more than a fact of the signal but was not tried on audio; and of a refuted one.
CANDIDATE, REFUTED = 0.5, 0.1


def weigh(stakes: float, share: float, certainty: float = 1.0) -> float:
    """Weight of a finding: `stakes * certainty * sqrt(share)`, within [0, 1].

    The root, as the first wrong recording of a thousand says more than the hundredth does. `certainty` is 1 for a fact
    of the signal and what was confirmed on audio, CANDIDATE for what was not tried, REFUTED for what did not hold.

    >>> round(weigh(STAKES["label_error"], share=0.04), 3)
    0.16
    """
    return stakes * certainty * math.sqrt(min(max(share, 0.0), 1.0))
