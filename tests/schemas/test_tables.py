from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from schemas.tables import SCHEMA_VERSION, TABLES

# What others build on; more may stand beside them.
PROMISED = {
    "predictions": "clip_id window_id shard key window_index start_s duration_s sample_rate_in channels_in label_true "
    "label label_index probability probabilities embedding level_dbfs clipped dc_offset silence dropout_s bandwidth_hz "
    "noise_floor_dbfs band_levels_dbfs sound_sha256 metadata",
    "masks": "window_id clip_id target mask n_freq n_frames hop_s bin_hz mask_mean energy_kept "
    "band_profile time_profile",
    "faithfulness": "window_id clip_id target p p_in p_out ai ad ag ff fid_in keep sps comp mask_mean energy_kept "
    "p_in_audio p_out_audio ai_audio ad_audio ag_audio ff_audio fid_in_audio",
    "listenables": "window_id clip_id target kind duration_s sample_rate peak_dbfs loudness_lufs gain_db sha256 audio",
    "errors": "clip_id shard key stage reason message size_bytes",
}
UNITS = {"_s": "s", "_hz": "Hz", "_db": "dB", "_dbfs": "dBFS", "_lufs": "LUFS", "_bytes": "B"}


def fields() -> Iterator[tuple[str, pa.Field]]:
    for name, schema in TABLES.items():
        for field in schema:
            yield name, field


def test_every_field_is_described() -> None:
    bare = [f"{table}.{field.name}" for table, field in fields() if not (field.metadata or {}).get(b"description")]
    assert bare == []


def test_a_name_that_ends_in_a_unit_states_it() -> None:
    for table, field in fields():
        for ending, unit in UNITS.items():
            if field.name.endswith(ending):
                assert field.metadata.get(b"unit") == unit.encode(), f"{table}.{field.name}"


def test_every_table_states_its_name_its_version_and_what_a_row_is() -> None:
    for name, schema in TABLES.items():
        assert schema.metadata[b"lmac_table"] == name.encode()
        assert schema.metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()
        assert schema.metadata[b"description"].startswith(b"one row per")


@pytest.mark.parametrize("table", PROMISED)
def test_the_promised_columns_are_there_each_once(table: str) -> None:
    names = TABLES[table].names
    assert set(PROMISED[table].split()) <= set(names)
    assert len(set(names)) == len(names)


def test_a_column_of_one_name_is_of_one_type_in_every_table() -> None:
    kinds: dict[str, set[str]] = {}
    for _, field in fields():
        kinds.setdefault(field.name, set()).add(str(field.type))
    assert {name for name, types in kinds.items() if len(types) > 1} == set()
