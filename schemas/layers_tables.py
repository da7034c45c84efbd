"""Arrow schemas of the tables that `lmac layers` writes."""

from __future__ import annotations

import pyarrow as pa


def _field(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


_SIZES = pa.list_(pa.field("element", pa.int32(), nullable=False))
_SVCCA = "mean canonical correlation of the directions of 99% of the variance; null where recordings are too few for it"

# One row per layer, shallow to deep.
LAYERS = pa.schema(
    [
        _field("layer", pa.int32(), "number of the layer; 0 is the standardised log-mel"),
        _field("name", pa.string(), "name of the layer"),
        _field("shape", _SIZES, "of one window: channels, frames, mel bands; or values alone"),
        _field("pooled", pa.int32(), "features of a recording after pooling over time"),
        _field("width", pa.int32(), "features used; fewer than pooled after a random projection"),
        _field("accuracy", pa.float64(), "cross-validated accuracy of the linear probe, over recordings"),
        _field("low", pa.float64(), "lower end of the 95% interval of the accuracy (Wilson)"),
        _field("high", pa.float64(), "upper end of the 95% interval of the accuracy (Wilson)"),
        _field("chance", pa.float64(), "accuracy of always naming the most common label"),
        _field("inverse_regularisation", pa.float64(), "median of C over folds, for recordings of mean square norm 1"),
        _field("recordings", pa.int64(), "labelled recordings probed"),
        _field("labels", pa.int64(), "labels told apart"),
        _field("cka_mel", pa.float64(), "linear CKA with layer 0; null for a constant layer", nullable=True),
        _field("svcca_mel", pa.float64(), f"SVCCA with layer 0: {_SVCCA}", nullable=True),
    ],
    metadata={"lmac_table": "layers", "schema_version": "1", "description": "one row per layer of the classifier"},
)

# One row per ordered pair of layers, including each with itself.
SIMILARITY = pa.schema(
    [
        _field("layer", pa.int32(), "number of the one layer"),
        _field("name", pa.string(), "its name"),
        _field("other", pa.int32(), "number of the other layer"),
        _field("other_name", pa.string(), "its name"),
        _field("cka", pa.float64(), "linear CKA, unbiased; null where a layer is constant", nullable=True),
        _field("svcca", pa.float64(), f"SVCCA: {_SVCCA}", nullable=True),
        _field("recordings", pa.int64(), "recordings compared, labelled or not"),
    ],
    metadata={"lmac_table": "cka", "schema_version": "1", "description": "one row per pair of layers"},
)
