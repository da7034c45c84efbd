"""Names, better directions and meanings of the scores, from the schemas of the tables."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from pipeline.evaluation.names import printed
from schemas.evaluation_tables import AREA_SCORES, CURVES, LOCALISATION, SCORES

_DIGITS = {"%": 1, "dB": 1, "nat": 2}


class Score(NamedTuple):
    """A score as shown to readers; `better` is `higher`, `lower` or empty."""

    name: str
    better: str
    digits: int
    unit: str
    meaning: str

    @property
    def heading(self) -> str:
        """The name with an arrow in the better direction."""
        return self.name + {"higher": "\u00a0↑", "lower": "\u00a0↓", "": ""}[self.better]

    @property
    def higher(self) -> bool:
        """Whether higher is better."""
        return self.better == "higher"


def _score(field: pa.Field) -> Score:
    text = {key.decode(): value.decode() for key, value in field.metadata.items()}
    unit = text.get("unit", "")
    return Score(text["title"], text.get("better", ""), _DIGITS.get(unit, 3), unit, text["description"])


_FIELDS = {field.name: field for schema in (SCORES, CURVES, AREA_SCORES, LOCALISATION) for field in schema}
_KNOWN = {name: _score(field) for name, field in _FIELDS.items() if b"title" in field.metadata}
_GLOSSARY = (
    "p", "p_in", "p_out", "mask_mean", "bins_kept", "energy_kept", "ai", "ai_001", "ad", "ag", "ff", "fid_in", "keep",
    "sps", "comp", "ad_double_softmax", *AREA_SCORES.names,
)  # fmt: skip
GLOSSARY = tuple(_KNOWN[name] for name in _GLOSSARY)


def score(name: str) -> Score:
    """Look up the score of a column, an area such as `insertion by bins`, or a size such as `ff at 10% of bins`."""
    if name in _KNOWN:
        return _KNOWN[name]
    known = _KNOWN.get(name.split(" ")[0])
    return known._replace(name=name) if known else Score(printed(name), "", 3, "", "")
