"""Study a classifier's layers: choose recordings, probe and compare the layers, and return tables."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.window_set import TrainingDataError, WindowSet
from pipeline.layers.features import LayerFeatures, layer_features
from pipeline.layers.probe import ProbeScore, ProbeTask, probe, probe_task
from pipeline.layers.similarity import linear_cka, svcca
from pipeline.models.classifier import Classifier
from schemas.layers_config import LayersConfig
from schemas.layers_tables import LAYERS, SIMILARITY


@dataclass(frozen=True)
class Subjects:
    """The recordings of a study, those `[n]` of them that are probed, and the task of the probes.

    `left_out` says, for people, which recordings are compared but not probed, and why.
    """

    windows: WindowSet
    probed: np.ndarray
    task: ProbeTask
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class LayerStudy:
    """Results: a probe for each layer, and `cka` and `svcca` `[L, L]` between layers, nan if undefined."""

    subjects: Subjects
    layers: tuple[LayerFeatures, ...]
    probes: tuple[ProbeScore, ...]
    cka: np.ndarray
    svcca: np.ndarray


def choose_subjects(windows: WindowSet, config: LayersConfig) -> Subjects:
    """Draw recordings by the seed, and choose those with a label and a group to be probed.

    Raises TrainingDataError if they cannot be probed for these labels.
    """
    n_recordings = len(windows.keys)
    if config.limit is not None and config.limit < n_recordings:
        drawn = np.random.default_rng(config.seed).choice(n_recordings, config.limit, replace=False)
        windows = windows.recordings(sorted(drawn.tolist()))
    column = config.group
    if column is not None and not any(column in row for row in windows.metadata):
        known = sorted({name for row in windows.metadata for name in row})
        raise TrainingDataError(
            f"no recording has a column {column!r} to group by; there are: {', '.join(known) or 'none'}"
        )
    # Probes predict one class per recording, so they cannot use recordings with several.
    labelled = [recording for recording, labels in enumerate(windows.labels) if len(labels) == 1]
    several = sum(len(labels) > 1 for labels in windows.labels)
    groups = [None if column is None else windows.metadata[recording].get(column) for recording in labelled]
    probed = [
        recording
        for recording, group in zip(labelled, groups, strict=True)
        if column is None or group not in (None, "")
    ]
    reasons = {
        "no label": len(windows.keys) - len(labelled) - several,
        "several labels": several,
        f"no {column!r}": len(labelled) - len(probed),
    }
    task = probe_task(
        [windows.labels[recording][0] for recording in probed],
        None if column is None else [str(windows.metadata[recording][column]) for recording in probed],
        config.folds,
        config.seed,
    )
    left_out = tuple(
        f"{count} of {len(windows.keys)} recordings have {reason}: compared, but not probed"
        for reason, count in reasons.items()
        if count
    )
    return Subjects(windows, np.array(probed), task, left_out)


def study_layers(
    classifier: Classifier,
    subjects: Subjects,
    config: LayersConfig,
    step: Callable[[int], None] = lambda windows: None,
    on_probe: Callable[[str], None] = lambda layer: None,
) -> LayerStudy:
    """Pool, probe and compare every layer; `step` is called with windows, `on_probe` with each layer to be probed."""
    layers = layer_features(
        classifier,
        subjects.windows,
        width=config.width,
        seed=config.seed,
        batch_size=config.batch_size,
        step=step,
    )
    probes = []
    for layer in layers:
        on_probe(layer.name)
        probes.append(probe(layer.values[subjects.probed], subjects.task))
    values = [layer.values for layer in layers]
    return LayerStudy(subjects, layers, tuple(probes), linear_cka(values, seed=config.seed), svcca(values))


def layers_table(study: LayerStudy) -> pa.Table:
    """Make the table of layers, with the schema LAYERS."""
    task = study.subjects.task
    rows = [
        {
            "layer": number,
            "name": layer.name,
            "shape": list(layer.shape),
            "pooled": layer.pooled,
            "width": layer.width,
            "accuracy": score.accuracy,
            "low": score.low,
            "high": score.high,
            "chance": task.chance,
            "inverse_regularisation": score.inverse_regularisation,
            "recordings": len(task.labels),
            "labels": len(set(task.labels.tolist())),
            "cka_mel": _number(study.cka[number, 0]),
            "svcca_mel": _number(study.svcca[number, 0]),
        }
        for number, (layer, score) in enumerate(zip(study.layers, study.probes, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=LAYERS)


def similarity_table(study: LayerStudy) -> pa.Table:
    """Make the table of pairs of layers, with the schema SIMILARITY."""
    rows = [
        {
            "layer": a,
            "name": one.name,
            "other": b,
            "other_name": other.name,
            "cka": _number(study.cka[a, b]),
            "svcca": _number(study.svcca[a, b]),
            "recordings": len(study.subjects.windows.keys),
        }
        for a, one in enumerate(study.layers)
        for b, other in enumerate(study.layers)
    ]
    return pa.Table.from_pylist(rows, schema=SIMILARITY)


def parquet(table: pa.Table, explainer: str, digest: str, config: LayersConfig) -> bytes:
    """Serialise a table as Parquet, with the explainer, its digest and all settings in the file's metadata."""
    about = {"explainer": explainer, "explainer_digest": digest, "settings": config.model_dump_json(exclude={"labels"})}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **about}), buffer, compression="zstd")
    return buffer.getvalue()


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
