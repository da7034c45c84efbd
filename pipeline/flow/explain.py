"""Explaining one part, in batches; the work of an actor, without Ray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pipeline.flow.part_tables import ExplainedPart, draw_rows
from pipeline.flow.parts import Part
from pipeline.inputs.shards import printable
from pipeline.lmac.batches import ExplainedWindows, Wanted, explain_batches
from pipeline.lmac.explainer import Explainer
from schemas.draws import Draw
from schemas.run_config import ContentConfig
from schemas.targets import Targets


def explain_part(
    explainer: Explainer, part: Part, shard_uri: str, content: ContentConfig, batch_size: int
) -> ExplainedPart:
    """Explain the windows of a part, `batch_size` at a time; a part without windows costs nothing.

    If a batch runs the GPU out of memory, the part starts again with half the batch size; the result records the size
    that was used. Raises torch.OutOfMemoryError when one window alone does not fit.
    """
    ids = [row.window_id for row in part.rows]
    listen, masks, audio = (Draw.parse(text) for text in (content.listen, content.masks, content.audio_scores))
    # Batches are padded with silence: a batch larger than a part always would be.
    batch_size = min(batch_size, content.part_windows)
    wanted = Wanted(
        targets=Targets.parse(content.targets),
        mask=content.mask,
        refine=content.refine,
        sides=content.listenables,
        masks=_taken(masks, ids),
        listenables=_taken(listen, ids),
        audio_scores=_taken(audio, ids),
    )
    windows = None
    while ids and windows is None:
        windows = _explained(explainer, part, wanted, batch_size)
        if windows is None:
            batch_size = batch_size // 2
            torch.cuda.empty_cache()  # the failed batch left blocks of other sizes than the next one needs
    labels = explainer.config.labels
    if windows is None:
        return ExplainedPart.without_windows(part, printable(shard_uri), explainer.config.front_end, list(labels))
    count = windows.target_index.shape[1]
    window = np.arange(len(ids)).repeat(count)
    targets = [labels[index] for index in windows.target_index.flatten()]
    listened, drawn = draw_rows(listen, [ids[w] for w in window], targets)
    # The explainer kept the listenables of all targets of every window that the draw may take.
    kept = _rows_of(wanted.listenables, count)
    place = np.searchsorted(kept, listened)
    sides = content.listenables if len(listened) else ()
    return ExplainedPart(
        # The waveforms stay behind: a writer has no use for them.
        part=replace(part, waveforms=part.waveforms[:0]),
        shard_uri=printable(shard_uri),
        front_end=explainer.config.front_end,
        labels=list(labels),
        window=window,
        target_index=windows.target_index.flatten(),
        probabilities=windows.probabilities,
        embedding=windows.embedding,
        by_freq=_flat(windows.by_freq),
        by_frame=_flat(windows.by_frame),
        masked=_rows_of(wanted.masks, count),
        mask=_flat(windows.mask),
        listened=listened,
        listenables={side: _flat(windows.listenables[side])[place] for side in sides},
        gain_db={side: _flat(windows.gain_db[side])[place] for side in sides},
        scores={name: values.flatten() for name, values in windows.scores.items()},
        drawn=drawn if content.listenables else None,
        batch_size=batch_size,
        device=explainer.device.type,
        compiled=explainer.passes.compiled,
    )


def _explained(explainer: Explainer, part: Part, wanted: Wanted, batch_size: int) -> ExplainedWindows | None:
    """Explain the windows of a part; None if a batch of more than one window does not fit into the GPU's memory."""
    lengths = np.array([row.length for row in part.rows], dtype=np.int64)
    try:
        return explain_batches(explainer, part.waveforms, lengths, wanted, batch_size)
    except torch.OutOfMemoryError as error:
        if batch_size > 1:
            return None
        raise torch.OutOfMemoryError(
            f"one window alone does not fit into the GPU's memory: give fewer --targets, or use a larger GPU ({error})"
        ) from None


def _taken(draw: Draw, ids: list[str]) -> np.ndarray:
    return np.array([draw.takes(window_id) for window_id in ids], np.bool_)


def _rows_of(windows: np.ndarray, count: int) -> np.ndarray:
    """Return the row numbers of the chosen windows `[W]`, each of which has `count` rows."""
    return np.flatnonzero(windows.repeat(count))


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *values.shape[2:])
