"""Arrow schemas of the tables that `lmac evaluate` writes, all in long format, so that SQL needs no reshaping."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables import FAITHFULNESS


def _field(name: str, kind: pa.DataType, description: str, nullable: bool = False, **metadata: str) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description, **metadata})


def _score(name: str) -> pa.Field:
    """Return a column of scores in double precision, with its meaning in the table `faithfulness`."""
    if name == "ai_001":
        what = "average increase by more than 0.01: 100 where p_in > p + 0.01, else 0"
        return _field(name, _NUMBER, what, title="AI > 0.01", better="higher", unit="%")
    if name in FAITHFULNESS.names:
        return FAITHFULNESS.field(name).with_type(_NUMBER)
    spectral = _score(name.removesuffix("_audio"))
    text = {key.decode(): value.decode() for key, value in spectral.metadata.items()}
    changed = {"description": f"{spectral.name} of the written waveform", "title": f"{text['title']}, written"}
    return spectral.with_name(name).with_metadata({**text, **changed})


_TEXT, _NUMBER, _COUNT, _FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()

_AUDIO = _field(
    "audio", _TEXT, "what is explained: `clean`, or the name of a contamination, as `mixture` or `white-noise 10 dB`"
)
_METHOD = _field("method", _TEXT, "the explainer's decoder is `lmac`; baselines by their names")
_MASK = _field("mask", _TEXT, "how the relevance was made a soft mask")
_RANKING = _field(
    "ranking",
    _TEXT,
    "how the relevance was made an order of bins: `signed`, `absolute`, or as `signed_root_per_energy`",
)
_BEST = _field("best", _FLAG, "whether the method is judged by this variant: a baseline's best, a decoder's fixed one")
_BY = _field("by", _TEXT, "what a budget is a share of: `bins` or `energy`")
_INTERVAL = (
    _field("value", _NUMBER, "mean over windows"),
    _field("low", _NUMBER, "lower end of the bootstrap's 95% interval, over recordings"),
    _field("high", _NUMBER, "upper end of the bootstrap's 95% interval, over recordings"),
    _field("n", _COUNT, "windows"),
)
_WINDOW = (
    _field("key", _TEXT, "the recording, by its key in the input"),
    _field("window", _COUNT, "number of the window in the evaluation"),
    _field("target", _TEXT, "the class explained: the classifier's own decision on this audio"),
)

SPECTRAL = (
    "p", "p_in", "p_out", "ai", "ai_001", "ad", "ad_double_softmax", "ag", "ff", "fid_in", "keep",
    "sps", "comp", "mask_mean", "energy_kept",
)  # fmt: skip
WRITTEN = tuple(
    f"{name}_audio"
    for name in ("p_in", "p_out", "ai", "ai_001", "ad", "ad_double_softmax", "ag", "ff", "fid_in", "keep")
)

# One row per audio, method, soft mask and window.
SCORES = pa.schema([_AUDIO, _METHOD, _MASK, *_WINDOW, *map(_score, (*SPECTRAL, *WRITTEN))])

# One row per audio, method, ranking, budget and window: a binary mask of the first bins of the ranking.
CURVES = pa.schema(
    [
        _AUDIO, _METHOD, _RANKING, _BY,
        _field("budget", _NUMBER, "share of bins or of energy that the mask may keep"),
        *_WINDOW,
        _field("bins_kept", _NUMBER, "share of the bins that a binary mask keeps", title="bins kept"),
        *map(_score, ("energy_kept", "p", "p_in", "p_out", "ad", "ff", "fid_in")),
    ]
)  # fmt: skip

# What a person reads: means with intervals.
SUMMARY = pa.schema([_AUDIO, _METHOD, _MASK, _BEST, _field("score", _TEXT, "a column of scores"), *_INTERVAL])
DIFFERENCES = pa.schema(
    [
        _AUDIO, _METHOD, _MASK,
        _field("baseline", _TEXT, "the method that it is compared with, in its best variant"),
        _field("score", _TEXT, "a column of scores, an area as `insertion by bins`, or `ff at 10% of bins`"),
        *_INTERVAL,
    ]
)  # fmt: skip
POINTS = pa.schema(
    [
        _AUDIO, _METHOD, _RANKING, _BEST, _BY,
        _field("budget", _NUMBER, "share of bins or of energy that the mask may keep"),
        _field("score", _TEXT, "bins_kept, energy_kept, p_in, p_out, ad, ff or fid_in"),
        *_INTERVAL,
    ]
)  # fmt: skip
_OVER = "over the logarithm of the share kept, from 1% to 50%"
AREA_SCORES = pa.schema(
    [
        _field("insertion", _NUMBER, f"mean of p_in {_OVER}", title="insertion", better="higher"),
        _field("deletion", _NUMBER, f"mean of p_out {_OVER}", title="deletion", better="lower"),
    ]
)
AREAS = pa.schema(
    [
        _AUDIO, _METHOD, _RANKING, _BEST, _BY,
        _field("side", _TEXT, "`insertion` or `deletion`, as AREA_SCORES tells"),
        *_INTERVAL,
    ]
)  # fmt: skip
_TRUE_BINS = "of the relevance for the bins that are the event's in the ideal ratio mask"
LOCALISATION = pa.schema(
    [
        _METHOD, _MASK, *_WINDOW,
        _field("snr_db", _NUMBER, "event over background within the event's span", unit="dB"),
        _field("auroc", _NUMBER, f"AUROC {_TRUE_BINS}", True, title="AUROC", better="higher"),
        _field(
            "average_precision",
            _NUMBER,
            f"average precision {_TRUE_BINS}",
            True,
            title="average precision",
            better="higher",
        ),
        _field("si_sdr_mixture", _NUMBER, "SI-SDR of the input", unit="dB"),
        _field("si_sdr_masked_in", _NUMBER, "SI-SDR of the listenable; -inf for a silent one", unit="dB"),
    ]
)  # fmt: skip
SANITY = pa.schema(
    [
        _METHOD,
        _field("test", _TEXT, "`randomisation`, `stability` or `masked_out`"),
        _field("case", _TEXT, "the last layer randomised, the change of the input, or what is held against chance"),
        _field("measure", _TEXT, "`rank_correlation`, `ssim`, `iou`, `accuracy`..."),
        _field("order", _COUNT, "place of the case in its test, for plots"),
        *_INTERVAL,
    ]
)  # fmt: skip
TIMING = pa.schema(
    [
        _METHOD,
        _field("seconds", _NUMBER, "seconds per window, from magnitude to relevance, the classifier's pass included"),
        _field("ratio", _NUMBER, "its seconds over those of `lmac`"),
        _field("windows", _COUNT, "windows timed"),
    ]
)  # fmt: skip

TABLES = {
    "scores": SCORES,
    "curves": CURVES,
    "summary": SUMMARY,
    "differences": DIFFERENCES,
    "points": POINTS,
    "areas": AREAS,
    "localisation": LOCALISATION,
    "sanity": SANITY,
    "timing": TIMING,
}
