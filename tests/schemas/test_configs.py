from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.explainer_config import Cnn10Config, Config, DecoderConfig, ExplainerConfig, FrontEndConfig
from schemas.records import CommitRecord, Cursor, FileRecord, Manifest, Sums, TableTotals, TargetSums
from schemas.run_config import ClusterConfig, ContentConfig, RunConfig
from schemas.training_config import (
    AugmentConfig,
    ClassifierRecipe,
    DecoderRecipe,
    LoopConfig,
    ObjectiveConfig,
)

WITH_DEFAULTS: list[type[Config]] = [
    FrontEndConfig, Cnn10Config, DecoderConfig, ContentConfig, ClusterConfig, RunConfig, AugmentConfig, LoopConfig,
    ObjectiveConfig, ClassifierRecipe, DecoderRecipe,
]  # fmt: skip


def explainer(**fields: Any) -> ExplainerConfig:
    values = {"name": "n", "labels": ("a", "b"), "front_end": FrontEndConfig(), "classifier": Cnn10Config()}
    return ExplainerConfig(**{**values, **fields})


@pytest.mark.parametrize("kind", WITH_DEFAULTS, ids=lambda kind: kind.__name__)
def test_defaults_are_valid_survive_json_and_do_not_change(kind: type[Config]) -> None:
    config = kind()
    assert kind.model_validate_json(config.model_dump_json()) == config
    field = next(iter(kind.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, field, getattr(config, field))


@pytest.mark.parametrize("kind", [*WITH_DEFAULTS, Cursor], ids=lambda kind: kind.__name__)
def test_an_unknown_field_is_refused_by_name(kind: type[Config]) -> None:
    with pytest.raises(ValidationError, match=r"colour\n.*not permitted"):
        kind.model_validate({"colour": "red"})


NONSENSE: list[tuple[type[Config], str, Any]] = [
    (FrontEndConfig, "sample_rate", 100),
    (FrontEndConfig, "n_fft", 64),
    (FrontEndConfig, "n_fft", 513),
    (FrontEndConfig, "log_floor", 0),
    (FrontEndConfig, "f_min", float("nan")),
    (FrontEndConfig, "window_s", 0),
    (Cnn10Config, "channels", (1, 2, 3)),
    (Cnn10Config, "channels", (8, 8, 8, 0)),
    (Cnn10Config, "dropout", 1.0),
    (Cnn10Config, "kind", "resnet"),
    (DecoderConfig, "channels", (4, -1)),
    (ContentConfig, "mask", "hard"),
    (ContentConfig, "listenables", ("everything",)),
    (ContentConfig, "part_windows", 0),
    (ContentConfig, "window_hop_s", -1.0),
    (ClusterConfig, "actors", 0),
    (ClusterConfig, "device", "tpu"),
    (ClusterConfig, "batch_size", 0),
    (LoopConfig, "epochs", 0),
    (LoopConfig, "batch_size", 1),
    (LoopConfig, "learning_rate", 0),
    (LoopConfig, "ema", 1.5),
    (LoopConfig, "patience", -1),
    (AugmentConfig, "mixup", 1.1),
    (AugmentConfig, "stretch", 0.5),
    (AugmentConfig, "drop_bands", -1),
    (ObjectiveConfig, "lambda_s", -1),
    (ObjectiveConfig, "size", "median"),
    (ObjectiveConfig, "target_mean", 2),
]


@pytest.mark.parametrize(("kind", "field", "value"), NONSENSE, ids=lambda v: getattr(v, "__name__", str(v)))
def test_nonsense_is_refused_and_the_field_named(kind: type[Config], field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({field: value})
    issues = caught.value.errors()
    assert {issue["loc"][0] for issue in issues} == {field}
    assert str(issues[0]["input"]) in str(value)  # the value, or the wrong one of its parts


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"f_max": 20_000.0}, r"half the sample rate \(16000 Hz\), got 20000.0 Hz"),
        ({"f_min": 9_000.0, "f_max": 8_000.0}, r"f_max must lie above f_min \(9000.0 Hz\)"),
        ({"n_fft": 512, "hop_length": 257}, r"hop_length must be at most n_fft/2 = 256 .* got 257"),
        ({"window_s": 0.001}, r"window_s must hold at least one hop \(400 samples\), got 0.001 s, 32 samples"),
    ],
)
def test_a_front_end_that_contradicts_itself_is_refused_with_both_sides(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FrontEndConfig(**fields)


def test_a_front_end_knows_its_sizes() -> None:
    config = FrontEndConfig(sample_rate=16_000, n_fft=512, hop_length=160, f_max=8_000, window_s=0.995)
    assert (config.n_freq, config.window_samples, config.n_frames) == (257, 15_920, 101)
    assert (config.hop_s, config.bin_hz) == (0.01, 31.25)


def test_labels_must_differ_and_be_two_at_least() -> None:
    with pytest.raises(ValidationError, match="these occur twice: b"):
        explainer(labels=("a", "b", "b"))
    with pytest.raises(ValidationError, match="at least 2"):
        explainer(labels=("a",))


def test_a_format_of_another_version_is_refused() -> None:
    with pytest.raises(ValidationError, match="format_version"):
        explainer(format_version=2)


def test_a_record_survives_json() -> None:
    commit = CommitRecord(
        shard_id="s",
        part=0,
        windows=1,
        recordings=1,
        errors=0,
        files=[],
        next=Cursor(recording=1),
        share=1.0,
        last=True,
    )
    assert CommitRecord.model_validate_json(commit.model_dump_json()) == commit
    manifest = Manifest(
        complete=True,
        recordings=0,
        windows=0,
        errors=0,
        parts=0,
        tables={"listenables": TableTotals(files=1, rows=0, bytes=100)},
        sums=Sums(targets={"rain": TargetSums(windows=2, p=1.5)}, reasons={"empty": 1}),
        files=FileRecord(path="_manifest.parquet", bytes=1, sha256="d"),
    )
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
