"""Compare every method on every audio, using cached results where they exist, and return tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.attribution.relevance import is_per_energy, ranking, soft_mask
from pipeline.evaluation.batch import WindowBatch
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.contaminate import CLEAN, Audio
from pipeline.evaluation.curves import curve_scores
from pipeline.evaluation.localisation import localised
from pipeline.evaluation.measure import soft_scores
from pipeline.evaluation.methods import IDEAL, ComparedMethod
from pipeline.evaluation.prepare import Evaluation, Progress
from pipeline.evaluation.result_tables import make_tables
from pipeline.evaluation.results_cache import Columns, ResultsCache, table_of
from pipeline.evaluation.sanity import cases, sanity_rows
from pipeline.evaluation.timing import timing_tables
from pipeline.lmac.masking import quantised
from pipeline.lmac.passes import scoring_in
from schemas.evaluation_tables import CURVES, LOCALISATION, SANITY, SCORES

# Cached rows of localisation also name the order of bins.
_LOCALISED = LOCALISATION.append(pa.field("ranking", pa.string(), nullable=False))
_SCHEMAS = {"scores": SCORES, "curves": CURVES, "localisation": _LOCALISED}


def compare(evaluation: Evaluation, cache: ResultsCache, progress: Progress) -> dict[str, pa.Table]:
    """Return all tables of `schemas.evaluation_tables` by name; cached results are not measured again."""
    found: dict[tuple[str, str, str], pa.Table] = {}
    for audio in evaluation.audio:
        for method in evaluation.methods:
            # Contaminated audio has more sources than the two that a scene knows.
            if method.name == IDEAL and audio.name != CLEAN:
                continue
            for kind, table in _results_of(evaluation, cache, audio, method, progress).items():
                found[kind, audio.name, method.name] = table
    sanity = _sanity(evaluation, cache, progress) if evaluation.config.sanity.enabled else []
    timing = timing_tables(evaluation, cache, progress)
    return make_tables(evaluation, found, sanity, timing)


def _kinds(evaluation: Evaluation, audio: Audio) -> list[str]:
    kinds = ["scores"]
    if audio.name in evaluation.curves:
        kinds.append("curves")
    if evaluation.scenes is not None and audio.name == CLEAN:
        kinds.append("localisation")
    return kinds


def _results_of(
    evaluation: Evaluation, cache: ResultsCache, audio: Audio, method: ComparedMethod, progress: Progress
) -> dict[str, pa.Table]:
    config = evaluation.config
    depends_on = {
        "audio": audio.digest,
        "method": method.digest,
        "domain": method.domain,
    }
    orders, masks, scored = {"rankings": method.rankings}, {"masks": method.masks}, {"precision": config.precision}
    extra: dict[str, dict[str, Any]] = {
        "scores": {**masks, **scored},
        "curves": {**orders, **scored, "bins": config.bins, "energy": config.energy, "seed": config.seed},
        "localisation": {**masks, **orders},
    }
    paths = {
        kind: cache.path(kind, audio.name, method.name, {**depends_on, **extra[kind]})
        for kind in _kinds(evaluation, audio)
    }
    missing = [kind for kind, path in paths.items() if not path.exists()]
    if missing:
        batches: dict[str, list[Columns]] = {kind: [] for kind in missing}
        progress.begin(f"{audio.name}: {method.name}", len(evaluation.windows))
        for batch in evaluation.batches(audio, torch.arange(len(evaluation.windows))):
            for kind, columns in _measured(evaluation, method, batch, missing).items():
                place = {"audio": audio.name, "method": method.name, **_named(evaluation, batch)}
                batches[kind] += [{**place, **one} for one in columns]
            progress.step(len(batch.target))
        for kind in missing:
            cache.write(paths[kind], table_of(_SCHEMAS[kind], batches[kind]))
    return {kind: cache.read(path) for kind, path in paths.items()}


def _measured(
    evaluation: Evaluation, method: ComparedMethod, batch: WindowBatch, kinds: Sequence[str]
) -> dict[str, list[Columns]]:
    classifier, config = evaluation.classifier, evaluation.config
    relevance = method.relevance(batch)
    ranks = {how: ranking(relevance, batch.magnitude, how) for how in method.rankings}
    masks = {}
    if "scores" in kinds or "localisation" in kinds:
        masks = {how: quantised(soft_mask(relevance, batch.magnitude, how)) for how in method.masks}
    columns: dict[str, list[Columns]] = {}
    if "scores" in kinds:
        with scoring_in(config.precision, evaluation.explainer.device):
            scores = soft_scores(classifier, batch, list(masks.values()), method.domain)
        columns["scores"] = [{"mask": how, **one} for how, one in zip(masks, scores, strict=True)]
    if "curves" in kinds:
        budgets = {"bins": config.bins, "energy": config.energy}
        of_energy = {"energy": config.energy}
        with scoring_in(config.precision, evaluation.explainer.device):
            columns["curves"] = [
                {"ranking": how, "by": by, "budget": budget, **values}
                for how, rank in ranks.items()
                for by, budget, values in curve_scores(
                    classifier, batch, rank, of_energy if is_per_energy(how) else budgets, config.seed
                )
            ]
    if "localisation" in kinds:
        assert evaluation.scenes is not None
        plain = {how: rank for how, rank in ranks.items() if not is_per_energy(how)}
        columns["localisation"] = localised(classifier, batch, evaluation.scenes, plain, masks, method.domain)
    return columns


def _named(evaluation: Evaluation, batch: WindowBatch) -> Columns:
    windows, labels = evaluation.windows, evaluation.explainer.config.labels
    return {
        "key": [windows.keys[recording] for recording in windows.recording_index[batch.indices.numpy()]],
        "window": batch.indices.tolist(),
        "target": [labels[index] for index in batch.target.tolist()],
    }


def _sanity(evaluation: Evaluation, cache: ResultsCache, progress: Progress) -> list[pa.Table]:
    config = evaluation.config
    rng = np.random.default_rng(config.seed)
    count = min(config.sanity.windows, len(evaluation.windows))
    chosen = torch.from_numpy(np.sort(rng.permutation(len(evaluation.windows))[:count]))
    bootstrap = Bootstrap(evaluation.windows.recording_index[chosen.numpy()], config.resamples, config.seed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for indices in chosen.split(config.batch_size):
            yield indices, evaluation.windows.waveforms(indices).to(evaluation.explainer.device)

    tables = []
    for method in evaluation.methods:
        if method.name not in config.sanity.methods:
            continue
        depends_on = {"method": method.digest, "seed": config.seed, "resamples": config.resamples}
        settings = config.sanity.model_dump(exclude={"methods", "enabled"})
        path = cache.path("sanity", CLEAN, method.name, {**depends_on, **settings})
        if not path.exists():
            classifier = evaluation.explainer.classifier
            progress.begin(f"sanity: {method.name}", cases(classifier, method))
            rows = sanity_rows(
                classifier,
                method,
                batches(),
                truth=evaluation.truth[chosen.numpy()],
                bootstrap=bootstrap,
                config=config.sanity,
                seed=config.seed,
                on_case=lambda: progress.step(1),
            )
            cache.write(path, pa.Table.from_pylist([{"method": method.name, **row} for row in rows], SANITY))
        tables.append(cache.read(path))
    return tables
