"""The evaluation: every method on every audio, from pieces where they are there, and tables of all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.attribution.relevance import is_per_energy, ranking, soft_mask
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.contaminate import CLEAN, Audio
from pipeline.evaluation.contenders import IDEAL, Contender
from pipeline.evaluation.curves import curve_scores
from pipeline.evaluation.heard import Heard, listen
from pipeline.evaluation.localisation import localised
from pipeline.evaluation.measure import in_255ths, soft_scores
from pipeline.evaluation.pieces import Columns, Pieces, read_piece, table_of
from pipeline.evaluation.prepare import Evaluation
from pipeline.evaluation.sanity import cases, sanity_rows
from pipeline.evaluation.tables import make_tables
from pipeline.evaluation.timing import seconds_per_window
from schemas.evaluation_tables import CURVES, LOCALISATION, SANITY, SCORES, TIMING

# Rows of a piece of localisation also say by which order of bins.
_LOCALISED = LOCALISATION.append(pa.field("ranking", pa.string(), nullable=False))
_SCHEMAS = {"scores": SCORES, "curves": CURVES, "localisation": _LOCALISED}


class Watcher(Protocol):
    """Who is told how far an evaluation is."""

    def begin(self, what: str, total: int) -> None:
        """A piece of work of `total` steps begins."""

    def step(self, count: int) -> None:
        """So many steps of it are done."""


def evaluate(evaluation: Evaluation, pieces: Pieces, watcher: Watcher) -> dict[str, pa.Table]:
    """All tables of `schemas.evaluation_tables`, by name; what lies among the pieces is not measured again."""
    found: dict[tuple[str, str, str], pa.Table] = {}
    for audio in evaluation.audio:
        for contender in evaluation.contenders:
            # The sources of contaminated audio are more than the two that a scene knows.
            if contender.name == IDEAL and audio.name != CLEAN:
                continue
            for kind, table in _pieces_of(evaluation, pieces, audio, contender, watcher).items():
                found[kind, audio.name, contender.name] = table
    sanity = _sanity(evaluation, pieces, watcher) if evaluation.config.sanity.enabled else []
    timing = _timing(evaluation, pieces, watcher)
    return make_tables(evaluation, found, sanity, timing)


def _kinds(evaluation: Evaluation, audio: Audio) -> list[str]:
    kinds = ["scores"]
    if audio.name in evaluation.curves:
        kinds.append("curves")
    if evaluation.scenes is not None and audio.name == CLEAN:
        kinds.append("localisation")
    return kinds


def _pieces_of(
    evaluation: Evaluation, pieces: Pieces, audio: Audio, contender: Contender, watcher: Watcher
) -> dict[str, pa.Table]:
    config = evaluation.config
    depends_on = {
        "audio": audio.digest,
        "method": contender.digest,
        "domain": contender.domain,
    }
    orders, masks = {"rankings": contender.rankings}, {"masks": contender.masks}
    extra: dict[str, dict[str, Any]] = {
        "scores": masks,
        "curves": {**orders, "bins": config.bins, "energy": config.energy, "seed": config.seed},
        "localisation": {**masks, **orders},
    }
    paths = {
        kind: pieces.path(kind, audio.name, contender.name, {**depends_on, **extra[kind]})
        for kind in _kinds(evaluation, audio)
    }
    missing = [kind for kind, path in paths.items() if not path.exists()]
    if missing:
        batches: dict[str, list[Columns]] = {kind: [] for kind in missing}
        watcher.begin(f"{audio.name}: {contender.name}", len(evaluation.windows))
        for heard in _heard(evaluation, audio, torch.arange(len(evaluation.windows))):
            for kind, columns in _measured(evaluation, contender, heard, missing).items():
                place = {"audio": audio.name, "method": contender.name, **_named(evaluation, heard)}
                batches[kind] += [{**place, **one} for one in columns]
            watcher.step(len(heard.target))
        for kind in missing:
            pieces.write(paths[kind], table_of(_SCHEMAS[kind], batches[kind]))
    return {kind: read_piece(path) for kind, path in paths.items()}


def _measured(
    evaluation: Evaluation, contender: Contender, heard: Heard, kinds: Sequence[str]
) -> dict[str, list[Columns]]:
    judge, config = evaluation.judge, evaluation.config
    relevance = contender.relevance(heard)
    ranks = {how: ranking(relevance, heard.magnitude, how) for how in contender.rankings}
    masks = {}
    if "scores" in kinds or "localisation" in kinds:
        masks = {how: in_255ths(soft_mask(relevance, heard.magnitude, how)) for how in contender.masks}
    columns: dict[str, list[Columns]] = {}
    if "scores" in kinds:
        scores = soft_scores(judge, heard, list(masks.values()), contender.domain)
        columns["scores"] = [{"mask": how, **one} for how, one in zip(masks, scores, strict=True)]
    if "curves" in kinds:
        budgets = {"bins": config.bins, "energy": config.energy}
        of_energy = {"energy": config.energy}
        columns["curves"] = [
            {"ranking": how, "by": by, "budget": budget, **values}
            for how, rank in ranks.items()
            for by, budget, values in curve_scores(
                judge, heard, rank, of_energy if is_per_energy(how) else budgets, config.seed
            )
        ]
    if "localisation" in kinds:
        assert evaluation.scenes is not None
        plain = {how: rank for how, rank in ranks.items() if not is_per_energy(how)}
        columns["localisation"] = localised(judge, heard, evaluation.scenes, plain, masks, contender.domain)
    return columns


def _heard(evaluation: Evaluation, audio: Audio, windows: Tensor) -> Iterator[Heard]:
    for indices in windows.split(evaluation.config.batch_size):
        waveform = audio.waveforms(indices).to(evaluation.explainer.device)
        yield listen(evaluation.judge, waveform, indices)


def _named(evaluation: Evaluation, heard: Heard) -> Columns:
    windows, labels = evaluation.windows, evaluation.explainer.config.labels
    return {
        "key": [windows.keys[recording] for recording in windows.recording_index[heard.indices.numpy()]],
        "window": heard.indices.tolist(),
        "label": [labels[index] for index in heard.target.tolist()],
    }


def _sanity(evaluation: Evaluation, pieces: Pieces, watcher: Watcher) -> list[pa.Table]:
    config = evaluation.config
    rng = np.random.default_rng(config.seed)
    count = min(config.sanity.windows, len(evaluation.windows))
    chosen = torch.from_numpy(np.sort(rng.permutation(len(evaluation.windows))[:count]))
    bootstrap = Bootstrap(evaluation.windows.recording_index[chosen.numpy()], config.resamples, config.seed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for indices in chosen.split(config.batch_size):
            yield indices, evaluation.windows.waveforms(indices).to(evaluation.explainer.device)

    tables = []
    for contender in evaluation.contenders:
        if contender.name not in config.sanity.methods:
            continue
        depends_on = {"method": contender.digest, "seed": config.seed, "resamples": config.resamples}
        settings = config.sanity.model_dump(exclude={"methods", "enabled"})
        path = pieces.path("sanity", CLEAN, contender.name, {**depends_on, **settings})
        if not path.exists():
            classifier = evaluation.explainer.classifier
            watcher.begin(f"sanity: {contender.name}", cases(classifier, contender))
            rows = sanity_rows(
                classifier,
                contender,
                batches,
                evaluation.truth[chosen.numpy()],
                bootstrap,
                config.sanity,
                config.seed,
                lambda: watcher.step(1),
            )
            pieces.write(path, pa.Table.from_pylist([{"method": contender.name, **row} for row in rows], SANITY))
        tables.append(read_piece(path))
    return tables


def _timing(evaluation: Evaluation, pieces: Pieces, watcher: Watcher) -> list[pa.Table]:
    first, size = evaluation.contenders[0], min(evaluation.config.batch_size, len(evaluation.windows))
    depends_on = {"own": first.digest, "batch": size, "device": str(evaluation.explainer.device)}
    depends_on["threads"] = torch.get_num_threads()
    tables = []
    timed = [one for one in evaluation.contenders if one.build is not None]
    for contender in timed:
        path = pieces.path("timing", CLEAN, contender.name, {**depends_on, "method": contender.digest})
        if not path.exists():
            watcher.begin(f"timing: {contender.name}", 1)
            heard = next(_heard(evaluation, evaluation.audio[0], torch.arange(size)))
            # Timed anew beside every method: a ratio of two processes, or of two hours, would say little.
            own = seconds_per_window(first, heard)
            seconds = own if contender is first else seconds_per_window(contender, heard)
            row = {"method": contender.name, "seconds": seconds, "ratio": seconds / own, "windows": size}
            pieces.write(path, pa.Table.from_pylist([row], TIMING))
            watcher.step(1)
        tables.append(read_piece(path))
    return tables
