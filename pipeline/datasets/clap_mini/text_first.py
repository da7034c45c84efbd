"""Train the text encoder before the audio encoder, from what captions state, which takes seconds.

Two untrained encoders give each other no useful gradient for a long time. In locked-image tuning (Zhai et al. 2022,
arXiv 2111.07991) one encoder is trained first and the other is then fitted to it; here neither is locked afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pipeline.datasets.clap_mini.contents import Contents
from pipeline.datasets.clap_mini.contrast import hit_rate, soft_contrastive
from pipeline.datasets.scenes import BACKGROUNDS, CLASSES
from pipeline.training.loop import Batch, Scores

if TYPE_CHECKING:
    from pipeline.datasets.clap_mini.task import ClapMiniTask

_KINDS = (*CLASSES, *BACKGROUNDS)
_WARMUP = 30


def teach_texts(task: ClapMiniTask, steps: int, seed: int) -> Scores:
    """Train the text encoder of a task in place, against a learnt embedding for each kind of event and background.

    A mixture is represented by the sum of the embeddings of its contents, normalised to length 1; these embeddings are
    discarded afterwards. Returns `loss` and `hits` of the last step.
    """
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout draws from the global generator
    model, size = task.module, task.module.config.projection_dim
    kinds = nn.Linear(len(_KINDS), size).to(task.device)
    of_text = [weight for name, weight in model.named_parameters() if name.startswith("text_")]
    loop = task.config.loop
    optimizer = torch.optim.AdamW([*of_text, *kinds.parameters()], loop.learning_rate, weight_decay=loop.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / _WARMUP))
    model.train()
    scores: Batch = {}
    for _ in range(steps):
        contents, captions, held = task.captioned(torch.randint(task.n_windows, (loop.batch_size,), generator=rng), rng)
        text = normalize(model.get_text_features(**captions).pooler_output, dim=1)
        cosines = normalize(kinds(_present(contents).to(task.device)), dim=1) @ text.T
        scale = 1 / task.config.start_temperature
        loss = soft_contrastive(scale * cosines, scale * cosines.T, held)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        scores = {"loss": loss.detach(), "hits": hit_rate(cosines, held)}
    return {name: float(value) for name, value in scores.items()}


def _present(contents: Sequence[Contents]) -> Tensor:
    kinds = [{content.background, *(event.kind for event in content.events)} for content in contents]
    return torch.tensor([[float(kind in present) for kind in _KINDS] for present in kinds])
