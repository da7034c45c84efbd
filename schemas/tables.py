"""Arrow schemas of the tables; every field carries a description and, where it has one, a unit.

A name that ends in `_audio` belongs to the written waveform, classified again.
"""

from __future__ import annotations

import json

import pyarrow as pa

SCHEMA_VERSION = 2


def field_of(name: str, kind: pa.DataType, description: str, unit: str = "", nullable: bool = False) -> pa.Field:
    metadata = {"description": description, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def table_of(name: str, description: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields,
        metadata={"lmac_table": name, "schema_version": str(SCHEMA_VERSION), "description": description},
    )


CLIP_ID = field_of("clip_id", pa.string(), "stable digest of the recording's place in the dataset")
WINDOW_ID = field_of("window_id", pa.string(), "clip_id and the window's number in the recording")
TARGET = field_of("target", pa.string(), "the class that is explained")
# Named as Parquet names it, so that a file read back has this very schema.
FLOATS = pa.list_(pa.field("element", pa.float32(), nullable=False))
WORDS = pa.list_(pa.field("element", pa.string(), nullable=False))

PREDICTIONS = table_of(
    "predictions",
    "one row per window: what the classifier decided",
    [
        CLIP_ID,
        WINDOW_ID,
        field_of(
            "shard", pa.string(), "tar or Parquet file of the recording, relative to the input; empty for loose files"
        ),
        field_of("key", pa.string(), "the recording's name in its shard"),
        field_of("window_index", pa.int32(), "the window's number in the recording, from 0"),
        field_of("start_s", pa.float64(), "where the window begins in the recording", "s"),
        field_of("duration_s", pa.float64(), "sound in the window, padding excluded", "s"),
        field_of(
            "unheard_s", pa.float64(), "sound at the recording's end too short for a window, on its last window", "s"
        ),
        field_of("sample_rate_in", pa.int32(), "the recording's own sample rate", "Hz"),
        field_of("channels_in", pa.int32(), "the recording's own number of channels"),
        field_of("channel", pa.int32(), "the channel that was explained, from 1 on; null for a mix of all", "", True),
        field_of("damaged", pa.bool_(), "sound of the recording is known to be missing up to this window: see errors"),
        field_of("label_true", WORDS, "the labels that came with the recording; empty without any"),
        field_of("label", pa.string(), "the most probable class"),
        field_of("label_index", pa.int32(), "its number among the explainer's labels"),
        field_of("probability", pa.float32(), "its probability"),
        field_of(
            "probabilities", FLOATS, "probabilities of all classes, in the order of explainer.labels in _run.json"
        ),
        field_of("embedding", FLOATS, "the classifier's embedding of the window"),
        field_of("level_dbfs", pa.float32(), "RMS level of the window's sound, -120 for digital silence", "dBFS"),
        field_of("clipped", pa.float32(), "share of samples cut flat or at full scale, before mixing and resampling"),
        field_of("dc_offset", pa.float32(), "mean of the samples, full scale at 1"),
        field_of("silence", pa.float32(), "share of the sound below -60 dBFS, in spans of 10 ms"),
        field_of("dropout_s", pa.float32(), "longest gap without any signal that begins and ends in sound", "s"),
        field_of(
            "bandwidth_hz",
            pa.float32(),
            "where the spectrum ends: behind lies nothing within 45 dB; else half the sample rate; null for silence",
            "Hz",
            True,
        ),
        field_of("noise_floor_dbfs", pa.float32(), "level that a tenth of the spans of 50 ms stay below", "dBFS"),
        field_of("band_levels_dbfs", FLOATS, "mean level in each mel band, as in masks.band_profile", "dBFS"),
        field_of("sound_sha256", pa.string(), "digest of the window's samples on the 16-bit grid, padding excluded"),
        field_of("metadata", pa.string(), "the input's own columns, as a JSON object"),
    ],
)

MASKS = table_of(
    "masks",
    "one row per window and target: the part of the sound that speaks for the target",
    [
        CLIP_ID,
        WINDOW_ID,
        TARGET,
        field_of(
            "mask", pa.binary(), "mask in 255ths as uint8, row-major [n_freq, n_frames]; null if not drawn", "", True
        ),
        field_of("n_freq", pa.int32(), "frequency bins of the mask"),
        field_of("n_frames", pa.int32(), "frames of the mask"),
        field_of("hop_s", pa.float64(), "time between frames; frame t is centred at t * hop_s", "s"),
        field_of("bin_hz", pa.float64(), "frequency between bins; bin f is centred at f * bin_hz", "Hz"),
        field_of("mask_mean", pa.float32(), "mean of the mask over all bins and frames"),
        field_of("energy_kept", pa.float32(), "share of the window's spectral energy that the mask keeps"),
        field_of(
            "band_profile", FLOATS, "mean of the mask in each mel band, low to high; edges: band_edges_hz of the schema"
        ),
        field_of("time_profile", FLOATS, "mean of the mask in each of 50 spans of equal length, first to last"),
    ],
)


def _score(name: str, title: str, better: str, description: str, unit: str = "") -> pa.Field:
    """A score with its name in print, and which is `better`: `higher`, `lower`, or empty where neither is.

    Those of the written audio are null where it was not classified.
    """
    field = field_of(name, pa.float32(), description, unit, name.endswith("_audio"))
    return field.with_metadata({**field.metadata, "title": title, **({"better": better} if better else {})})


FAITHFULNESS = table_of(
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
    field_of("kind", pa.string(), "masked_in or masked_out"),
    field_of("duration_s", pa.float64(), "length", "s"),
    field_of("sample_rate", pa.int32(), "sample rate", "Hz"),
    field_of("peak_dbfs", pa.float32(), "highest sample, -120 for digital silence", "dBFS"),
    field_of("loudness_lufs", pa.float32(), "integrated loudness, BS.1770; null if silent or short", "LUFS", True),
    field_of("gain_db", pa.float32(), "0, or how far it was lowered to stay within full scale", "dB"),
    field_of("sha256", pa.string(), "digest of the FLAC"),
    # Nullable, as Hugging Face's own tables have it: else `datasets` takes it for any other struct.
    field_of("audio", AUDIO, "the FLAC: its bytes, and a name for it", nullable=True),
]


def _hugging_face(fields: list[pa.Field]) -> str:
    """Return the metadata from which the library `datasets` reads a table's types, so that `audio` is its Audio."""
    features = {
        field.name: {"_type": "Audio"} if field.type == AUDIO else {"dtype": _DTYPES[field.type], "_type": "Value"}
        for field in fields
    }
    return json.dumps({"info": {"features": features}})


_DTYPES = {pa.string(): "string", pa.int32(): "int32", pa.float32(): "float32", pa.float64(): "float64"}

LISTENABLES = table_of("listenables", "one row per listenable", _LISTENABLE_FIELDS)
LISTENABLES = LISTENABLES.with_metadata({**LISTENABLES.metadata, "huggingface": _hugging_face(_LISTENABLE_FIELDS)})

ERRORS = table_of(
    "errors",
    "one row per recording that could not be used, or not in full",
    [
        CLIP_ID,
        field_of(
            "shard", pa.string(), "tar or Parquet file of the recording, relative to the input; empty for loose files"
        ),
        field_of("key", pa.string(), "the recording's name in its shard"),
        field_of("stage", pa.string(), "where it failed: read or decode"),
        field_of("reason", pa.string(), "the kind of failure, one word"),
        field_of("message", pa.string(), "what is wrong, for people"),
        field_of("size_bytes", pa.int64(), "encoded size of the recording, null if it could not be read", "B", True),
        field_of(
            "heard_s", pa.float64(), "seconds of it that are explained all the same: in predictions if not 0", "s"
        ),
        field_of("stated_s", pa.float64(), "seconds that its header or segment states, null if none does", "s", True),
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
