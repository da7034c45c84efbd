"""Arrow schemas of what an audit writes: its findings, the windows that each is about, and the labels it used."""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa

from schemas.tables import CLIP_ID, WINDOW_ID, WORDS, field_of, table_of

Kind = Literal["label_error", "shortcut", "duplicate", "broken_audio", "unfaithful", "odd_one_out", "typical"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FINDINGS = table_of(
    "findings",
    "one row per finding, the weightiest first",
    [
        field_of("finding", pa.string(), "stable id of the finding, from its kind and subject"),
        field_of("kind", pa.string(), ", ".join(KINDS)),
        field_of("subject", pa.string(), "what it is about: a class, a group of recordings, a kind of fault"),
        field_of("statement", pa.string(), "what was found, in a sentence"),
        field_of("n", pa.int64(), "number of recordings that it is about"),
        field_of("share", pa.float64(), "n as a share of the recordings that were asked about"),
        field_of("effect", pa.float64(), "how large it is, in the unit of `effect_unit`", nullable=True),
        field_of("effect_low", pa.float64(), "lower end of the effect's 95% interval", nullable=True),
        field_of("effect_high", pa.float64(), "upper end of the effect's 95% interval", nullable=True),
        field_of("effect_unit", pa.string(), "what the effect counts, in words"),
        field_of(
            "p_adjusted", pa.float64(), "p after correction for all that was compared; null if untested", "", True
        ),
        field_of("confirmed", pa.bool_(), "whether it held when tried on audio; null where it was not tried", "", True),
        field_of("candidate", pa.bool_(), "whether it is reported, but not claimed: these come last"),
        field_of("weight", pa.float64(), "order in the report: larger first"),
        field_of("evidence", pa.string(), "the figures behind it, as a JSON object"),
    ],
)

MEMBERS = table_of(
    "members",
    "one row per finding and window that it is about, the clearest first",
    [
        field_of("finding", pa.string(), "id of the finding"),
        CLIP_ID,
        WINDOW_ID,
        field_of("key", pa.string(), "the recording's name, as in `predictions`"),
        field_of("score", pa.float64(), "how clearly the window shows it: larger is clearer"),
        field_of("suggestion", pa.string(), "a label for it, a recording that it repeats; null without any", "", True),
    ],
)

LABELS = table_of(
    "labels",
    "one row per recording where labels of a table or of a person replaced the run's own; else empty",
    [CLIP_ID, field_of("labels", WORDS, "the labels that the audit took as given")],
)

AUDIT_TABLES: dict[str, pa.Schema] = {"labels": LABELS, "members": MEMBERS, "findings": FINDINGS}
