"""Arrow schemas of the tables; every field carries a description and, where it has one, a unit.

A name that ends in `_audio` belongs to the written waveform, classified again.
"""

from __future__ import annotations

import json

import pyarrow as pa

SCHEMA_VERSION = 2


def _field(name: str, kind: pa.DataType, description: str, unit: str = "", nullable: bool = False) -> pa.Field:
    metadata = {"description": description, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def _table(name: str, description: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields,
        metadata={"lmac_table": name, "schema_version": str(SCHEMA_VERSION), "description": description},
    )


CLIP_ID = _field("clip_id", pa.string(), "stable digest of the recording's place in the dataset")
WINDOW_ID = _field("window_id", pa.string(), "clip_id and the window's number in the recording")
TARGET = _field("target", pa.string(), "the class that is explained")
# Named as Parquet names it, so that a file read back has this very schema.
FLOATS = pa.list_(pa.field("element", pa.float32(), nullable=False))
WORDS = pa.list_(pa.field("element", pa.string(), nullable=False))

PREDICTIONS = _table(
    "predictions",
    "one row per window: what the classifier decided",
    [
        CLIP_ID,
        WINDOW_ID,
        _field(
            "shard", pa.string(), "tar or Parquet file of the recording, relative to the input; empty for loose files"
        ),
        _field("key", pa.string(), "the recording's name in its shard"),
        _field("window_index", pa.int32(), "the window's number in the recording, from 0"),
        _field("start_s", pa.float64(), "where the window begins in the recording", "s"),
        _field("duration_s", pa.float64(), "sound in the window, padding excluded", "s"),
        _field(
            "unheard_s", pa.float64(), "sound at the recording's end too short for a window, on its last window", "s"
        ),
        _field("sample_rate_in", pa.int32(), "the recording's own sample rate", "Hz"),
        _field("channels_in", pa.int32(), "the recording's own number of channels"),
        _field("channel", pa.int32(), "the channel that was explained, from 1 on; null for a mix of all", "", True),
        _field("damaged", pa.bool_(), "sound of the recording is known to be missing up to this window: see errors"),
        _field("label_true", WORDS, "the labels that came with the recording; empty without any"),
        _field("label", pa.string(), "the most probable class"),
        _field("label_index", pa.int32(), "its number among the explainer's labels"),
        _field("probability", pa.float32(), "its probability"),
        _field("probabilities", FLOATS, "probabilities of all classes, in the order of explainer.labels in _run.json"),
        _field("embedding", FLOATS, "the classifier's embedding of the window"),
        _field("level_dbfs", pa.float32(), "RMS level of the window's sound, -120 for digital silence", "dBFS"),
        _field("metadata", pa.string(), "the input's own columns, as a JSON object"),
    ],
)

MASKS = _table(
    "masks",
    "one row per window and target: the part of the sound that speaks for the target",
    [
        CLIP_ID,
        WINDOW_ID,
        TARGET,
        _field(
            "mask", pa.binary(), "mask in 255ths as uint8, row-major [n_freq, n_frames]; null if not drawn", "", True
        ),
        _field("n_freq", pa.int32(), "frequency bins of the mask"),
        _field("n_frames", pa.int32(), "frames of the mask"),
        _field("hop_s", pa.float64(), "time between frames; frame t is centred at t * hop_s", "s"),
        _field("bin_hz", pa.float64(), "frequency between bins; bin f is centred at f * bin_hz", "Hz"),
        _field("mask_mean", pa.float32(), "mean of the mask over all bins and frames"),
        _field("energy_kept", pa.float32(), "share of the window's spectral energy that the mask keeps"),
        _field(
            "band_profile", FLOATS, "mean of the mask in each mel band, low to high; edges: band_edges_hz of the schema"
        ),
        _field("time_profile", FLOATS, "mean of the mask in each of 50 spans of equal length, first to last"),
    ],
)


def _score(name: str, title: str, better: str, description: str, unit: str = "") -> pa.Field:
    """A score with its name in print, and which is `better`: `higher`, `lower`, or empty where neither is.

    Those of the written audio are null where it was not classified.
    """
    field = _field(name, pa.float32(), description, unit, name.endswith("_audio"))
    return field.with_metadata({**field.metadata, "title": title, **({"better": better} if better else {})})


FAITHFULNESS = _table(
    "faithfulness",
    "one row per window and target: how far the explanation can be trusted",
    [
        CLIP_ID,
        WINDOW_ID,
        TARGET,
        _score("p", "p", "", "probability of the target on the full input"),
        _score("p_in", "p_in", "higher", "probability on the masked-in input: what the mask keeps"),
        _score("p_out", "p_out", "lower", "probability on the masked-out input: what the mask removes"),
        _score("ai", "AI", "higher", "average increase: 100 where p_in > p, else 0; counts gains of any size", "%"),
        _score("ad", "AD", "lower", "average drop: 100 max(0, p - p_in) / p, with one softmax", "%"),
        _score("ag", "AG", "higher", "average gain: 100 max(0, p_in - p) / (1 - p)", "%"),
        _score("ff", "FF", "higher", "faithfulness: p - p_out"),
        _score("fid_in", "Fid-In", "higher", "1 where the target is the decision on the masked-in input, else 0"),
        _score("keep", "keep", "lower", "1 where it is still the decision on the masked-out input, else 0"),
        _score(
            "ad_double_softmax", "AD (two softmaxes)", "lower", "ad with softmax twice, as in published tables", "%"
        ),
        _score("sps", "SPS", "higher", "sparseness: Gini index of the mask, 0 for an even one, near 1 for one bin"),
        _score("comp", "COMP", "lower", "complexity: entropy of the mask scaled to sum 1", "nat"),
        _score(
            "mask_mean", "mask mean", "", "mean of the mask over all bins and frames: the share of them that it keeps"
        ),
        _score("energy_kept", "energy kept", "", "share of the window's spectral energy that the mask keeps"),
        _score("p_in_audio", "p_in, written", "higher", "p_in of the written masked-in waveform"),
        _score("p_out_audio", "p_out, written", "lower", "p_out of the masked-out waveform"),
        _score("ai_audio", "AI, written", "higher", "ai of the written waveform", "%"),
        _score("ad_audio", "AD, written", "lower", "ad of the written waveform", "%"),
        _score("ag_audio", "AG, written", "higher", "ag of the written waveform", "%"),
        _score("ff_audio", "FF, written", "higher", "ff of the masked-out waveform"),
        _score("fid_in_audio", "Fid-In, written", "higher", "fid_in of the written waveform"),
        _score("keep_audio", "keep, written", "lower", "keep of the masked-out waveform"),
    ],
)

# Hugging Face's Audio: the bytes of a file, and the name that it would have.
AUDIO = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])

_LISTENABLE_FIELDS = [
    CLIP_ID,
    WINDOW_ID,
    TARGET,
    _field("kind", pa.string(), "masked_in or masked_out"),
    _field("duration_s", pa.float64(), "length", "s"),
    _field("sample_rate", pa.int32(), "sample rate", "Hz"),
    _field("peak_dbfs", pa.float32(), "highest sample, -120 for digital silence", "dBFS"),
    _field("loudness_lufs", pa.float32(), "integrated loudness, BS.1770; null if silent or short", "LUFS", True),
    _field("gain_db", pa.float32(), "0, or how far it was lowered to stay within full scale", "dB"),
    _field("sha256", pa.string(), "digest of the FLAC"),
    # Nullable, as Hugging Face's own tables have it: else `datasets` takes it for any other struct.
    _field("audio", AUDIO, "the FLAC: its bytes, and a name for it", nullable=True),
]


def _hugging_face(fields: list[pa.Field]) -> str:
    """What the library `datasets` reads a table's types from, so that `audio` is one of its Audio features."""
    features = {
        field.name: {"_type": "Audio"} if field.type == AUDIO else {"dtype": _DTYPES[field.type], "_type": "Value"}
        for field in fields
    }
    return json.dumps({"info": {"features": features}})


_DTYPES = {pa.string(): "string", pa.int32(): "int32", pa.float32(): "float32", pa.float64(): "float64"}

LISTENABLES = _table("listenables", "one row per listenable", _LISTENABLE_FIELDS)
LISTENABLES = LISTENABLES.with_metadata({**LISTENABLES.metadata, "huggingface": _hugging_face(_LISTENABLE_FIELDS)})

ERRORS = _table(
    "errors",
    "one row per recording that could not be used, or not in full",
    [
        CLIP_ID,
        _field(
            "shard", pa.string(), "tar or Parquet file of the recording, relative to the input; empty for loose files"
        ),
        _field("key", pa.string(), "the recording's name in its shard"),
        _field("stage", pa.string(), "where it failed: read or decode"),
        _field("reason", pa.string(), "the kind of failure, one word"),
        _field("message", pa.string(), "what is wrong, for people"),
        _field("size_bytes", pa.int64(), "encoded size of the recording, null if it could not be read", "B", True),
        _field("heard_s", pa.float64(), "seconds of it that are explained all the same: in predictions if not 0", "s"),
        _field("stated_s", pa.float64(), "seconds that its header or segment states, null if none does", "s", True),
    ],
)

TIME_SPANS = 50

TABLES: dict[str, pa.Schema] = {
    "predictions": PREDICTIONS,
    "masks": MASKS,
    "faithfulness": FAITHFULNESS,
    "listenables": LISTENABLES,
    "errors": ERRORS,
}
