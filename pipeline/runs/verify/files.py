"""One file of a run: there, with its bytes and digest; a table with its rows and columns; a listenable as sound."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from pipeline.audio.level import peak_dbfs
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.findings import Findings
from schemas.records import FileRecord, TableName
from schemas.tables import SCHEMA_VERSION, TABLES


@dataclass(frozen=True)
class Heard:
    """A FLAC file decoded: frames, sample rate in Hz, peak in dBFS, and the SHA-256 of the file."""

    frames: int
    sample_rate: int
    peak_dbfs: float
    sha256: str


def fetch(output: RunOutput, file: FileRecord, there: Collection[str], findings: Findings) -> bytes | None:
    """The bytes of a file as its record has them; None, with a finding, where they are others or it is not there."""
    if file.path not in there:
        findings.add("missing_file", file.path, "it is recorded and not there")
        return None
    data = output.read_bytes(file.path)
    if len(data) != file.bytes:
        findings.add("wrong_bytes", file.path, f"it has {len(data)} bytes, its record says {file.bytes}")
        return None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        findings.add("wrong_digest", file.path, "its SHA-256 is not the one recorded: its contents were changed")
        return None
    return data


def open_table(data: bytes, file: FileRecord, name: TableName, findings: Findings) -> pq.ParquetFile | None:
    """A table's file, whose columns are those of the schema; None, with a finding, where they are others."""
    try:
        parquet = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        findings.add("unreadable_table", file.path, str(error))
        return None
    schema, wanted = parquet.schema_arrow, TABLES[name]
    version = (schema.metadata or {}).get(b"schema_version", b"none").decode()
    if version != str(SCHEMA_VERSION):
        findings.add("wrong_schema", file.path, f"schema version {version}, this lmac knows {SCHEMA_VERSION}")
        return None
    if not schema.equals(wanted):
        strange = [f"{field.name} {field.type}" for field in schema if field not in list(wanted)]
        lacking = [f"{field.name} {field.type}" for field in wanted if field not in list(schema)]
        message = f"not of the schema: {', '.join(strange) or 'none'}; lacking: {', '.join(lacking) or 'none'}"
        findings.add("wrong_schema", file.path, message)
        return None
    if parquet.metadata.num_rows != file.rows:
        findings.add("wrong_count", file.path, f"{parquet.metadata.num_rows} rows, its record says {file.rows}")
    return parquet


def hear(data: bytes, file: FileRecord, findings: Findings) -> Heard | None:
    """What a listenable holds; None, with a finding, where it cannot be decoded."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            kind, rate, samples = sound.format, sound.samplerate, sound.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        findings.add("undecodable_audio", file.path, str(error))
        return None
    if kind != "FLAC" or samples.ndim != 1 or not np.isfinite(samples).all():
        findings.add("undecodable_audio", file.path, f"no mono FLAC of finite samples, but {kind} {samples.shape}")
        return None
    return Heard(len(samples), rate, peak_dbfs(samples), file.sha256)
