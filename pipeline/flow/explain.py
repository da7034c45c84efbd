"""Explaining one part, in batches; the work of an actor, without Ray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pipeline.audio.pcm import to_pcm
from pipeline.flow.part_tables import ExplainedPart, draw_rows
from pipeline.flow.parts import Part
from pipeline.inputs.shards import printable
from pipeline.lmac.explainer import Explainer, Explanation
from schemas.draws import Draw
from schemas.run_config import ContentConfig

_GAINS = {"masked_in": "gain_db_in", "masked_out": "gain_db_out"}


def explain_part(
    explainer: Explainer, part: Part, shard_uri: str, content: ContentConfig, batch_size: int
) -> ExplainedPart:
    """Explain the windows of a part, `batch_size` at a time; a part without windows costs nothing.

    Where a batch runs the GPU out of memory it is halved, and so are those after it, until they fit. Raises
    torch.OutOfMemoryError when one window alone does not.
    """
    lengths = np.array([row.length for row in part.rows], dtype=np.int64)
    firsts, batches = [], []
    first = 0
    while first < len(part.rows):
        stop = first + batch_size
        batch = _batch(explainer, part.waveforms[first:stop], lengths[first:stop], content)
        if batch is None:
            batch_size = max(min(batch_size, len(part.rows) - first) // 2, 1)
            torch.cuda.empty_cache()  # what the failed batch left there is of other sizes than what comes
            continue
        firsts.append(first)
        batches.append(batch)
        first = stop
    windows = [first + batch.window for first, batch in zip(firsts, batches, strict=True)]
    window = np.concatenate(windows) if windows else np.zeros(0, np.int64)
    targets = [target for batch in batches for target in batch.targets]
    listened, drawn = draw_rows(Draw.parse(content.listen), [part.rows[w].window_id for w in window], targets)
    names = batches[0].scores if batches else {}
    return ExplainedPart(
        # The waveforms stay behind: a writer has no use for them.
        part=replace(part, waveforms=part.waveforms[:0]),
        shard_uri=printable(shard_uri),
        front_end=explainer.config.front_end,
        labels=list(explainer.config.labels),
        window=window,
        target_index=_join(batches, "target_index"),
        probabilities=_join(batches, "probabilities"),
        embedding=_join(batches, "embedding"),
        mask=_join(batches, "mask"),
        masks=Draw.parse(content.masks),
        listened=listened,
        listenables={kind: to_pcm(_join(batches, kind)[listened]) for kind in content.listenables},
        gain_db={kind: _join(batches, _GAINS[kind])[listened] for kind in content.listenables},
        scores={name: np.concatenate([batch.scores[name] for batch in batches]) for name in names},
        drawn=drawn if content.listenables else None,
    )


def _batch(
    explainer: Explainer, waveforms: np.ndarray, lengths: np.ndarray, content: ContentConfig
) -> Explanation | None:
    """Explain windows `[B, n]`; None where they do not fit into the GPU's memory, and are more than one."""
    try:
        return explainer.explain_windows(
            waveforms, lengths=lengths, targets=content.targets, mask=content.mask, refine=content.refine
        )
    except torch.OutOfMemoryError as error:
        if len(waveforms) > 1:
            return None
        raise torch.OutOfMemoryError(
            f"one window alone does not fit into the GPU's memory: give fewer --targets, or use a larger GPU ({error})"
        ) from None


def _join(batches: list[Explanation], name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name) for batch in batches]) if batches else np.zeros(0)
