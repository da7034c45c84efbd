"""Describe a run's tables in MLCommons' Croissant 1.0, which data catalogs and dataset loaders read."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from schemas.records import RunRecord
from schemas.tables import TABLES

CROISSANT = "croissant.json"
_TYPES = {
    pa.string(): "sc:Text",
    pa.int32(): "sc:Integer",
    pa.int64(): "sc:Integer",
    pa.float32(): "sc:Float",
    pa.float64(): "sc:Float",
    pa.bool_(): "sc:Boolean",
    pa.binary(): "sc:Text",
}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def describe(record: RunRecord) -> bytes:
    """Return the description of a run, as the text of `croissant.json`, which lies beside its tables."""
    explainer = record.explainer["name"]
    text = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"lmac-{record.input_digest[:12]}-{record.explainer['digest'][:12]}",
        "description": f"What the classifier of the explainer {explainer!r} decided about a dataset of audio, which "
        "part of each sound made it decide so, and how far that can be trusted.",
        "version": "1.0.0",
        "distribution": [_files_of(name) for name in TABLES],
        "recordSet": [_records_of(name, schema) for name, schema in TABLES.items()],
    }
    return json.dumps(text, indent=1, ensure_ascii=False).encode()


def _files_of(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "description": f"the files of the table {name}",
        "encodingFormat": "application/x-parquet",
        "includes": f"{name}/*.parquet",
    }


def _records_of(name: str, schema: pa.Schema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": (schema.metadata or {})[b"description"].decode(),
        "field": [_field(name, field) for field in schema],
    }


def _field(table: str, field: pa.Field) -> dict[str, Any]:
    repeated = pa.types.is_list(field.type)
    kind = field.type.value_type if repeated else field.type
    described = (field.metadata or {})[b"description"].decode()
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    return {
        "@type": "cr:Field",
        "@id": f"{table}/{field.name}",
        "name": f"{table}/{field.name}",
        "description": f"{described}, in {unit}" if unit else described,
        # A struct of a file's bytes and its name is what Hugging Face's Audio is.
        "dataType": "sc:AudioObject" if pa.types.is_struct(kind) else _TYPES[kind],
        **({"repeated": True} if repeated else {}),
        "source": {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": field.name}},
    }
