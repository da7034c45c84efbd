"""The task of training clap-mini contrastively, on mixtures that get new captions in every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor

from pipeline.datasets.clap_mini.augment import augmented
from pipeline.datasets.clap_mini.captions import Captioner
from pipeline.datasets.clap_mini.contents import Contents, holding
from pipeline.datasets.clap_mini.contrast import hit_rate, soft_contrastive
from pipeline.datasets.clap_mini.mixture_bank import MixtureBank
from pipeline.datasets.clap_mini.unseen import Unseen, event_accuracy
from pipeline.datasets.clap_mini.vocabulary import SPECIAL
from pipeline.models.frontend import FrontEnd
from pipeline.training.loop import Arrays, Batch, Scores, mixed_precision
from schemas.clap_mini_config import ClapMiniRecipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_HIGHEST_SCALE = math.log(100.0)  # CLIP's (Radford et al. 2021, arXiv 2103.00020, section 2.5)
_MOST_STRAYS = 2


class ClapMiniTask:
    """The loss of `soft_contrastive`, validated by the zero-shot accuracy on events in trained wordings.

    `module` is a ClapModel of transformers.
    """

    module: Any

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerFast,
        bank: MixtureBank,
        validation: Unseen | None,
        recipe: ClapMiniRecipe,
    ) -> None:
        self.module, self.tokenizer, self.bank, self.validation = model, tokenizer, bank, validation
        self.config = recipe.training
        self.front_end = FrontEnd(recipe.front_end).to(self.device)
        self.captioner = Captioner(distances=self.config.distances)
        self.n_windows = len(bank)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        device: torch.device = self.module.logit_scale_a.device
        return device

    def read(self, indices: Tensor) -> Arrays:
        return {"indices": indices.numpy(), "log_mel": self.bank.log_mels[indices.numpy()]}

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        _, captions, held = self.captioned(batch["indices"].cpu(), rng)
        with torch.no_grad():
            floor = self.front_end.config.log_floor
            log_mel = augmented(batch["log_mel"].float(), self.front_end.mel_weights, floor, self.config, rng)
            self.module.logit_scale_a.clamp_(max=_HIGHEST_SCALE)
            self.module.logit_scale_t.clamp_(max=_HIGHEST_SCALE)
        with mixed_precision(self.device, self.config.loop):
            output = self.module(**captions, input_features=log_mel[:, None])
        # The similarities are recomputed in float32, as bfloat16 keeps only three digits of them.
        cosines = output.audio_embeds.float() @ output.text_embeds.float().T
        scale = self.module.logit_scale_a.exp()
        loss = soft_contrastive(scale * cosines, self.module.logit_scale_t.exp() * cosines.T, held)
        hits = hit_rate(cosines, held)
        return loss, {"loss": loss.detach(), "hits": hits, "scale": scale.detach()}

    def captioned(self, indices: Tensor, rng: Generator) -> tuple[list[Contents], dict[str, Tensor], Tensor]:
        """Return the contents of mixtures, a new caption of each as tokens, and `[B, B]`, 1 where a caption holds."""
        draws = np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng)))
        contents = [self.bank.contents[index] for index in indices.tolist()]
        captions = [self.captioner.caption(content, draws) for content in contents]
        tokens = self._tokens([caption.text for caption in captions], draws)
        return contents, tokens, holding([caption.says for caption in captions], contents).to(self.device)

    def validate(self) -> Scores:
        if self.validation is None:
            return {}
        return event_accuracy(self.module, self.tokenizer, self.validation)

    def _tokens(self, texts: Sequence[str], draws: np.random.Generator) -> dict[str, Tensor]:
        rows = [self._with_strays(row, draws) for row in self.tokenizer(list(texts))["input_ids"]]
        padded = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return {name: padded[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def _with_strays(self, ids: list[int], draws: np.random.Generator) -> list[int]:
        row = list(ids)
        if draws.random() < self.config.stray_words:
            for _ in range(int(draws.integers(1, _MOST_STRAYS + 1))):
                if len(row) < self.tokenizer.model_max_length:
                    stray = int(draws.integers(len(SPECIAL), len(self.tokenizer)))
                    row.insert(int(draws.integers(1, len(row))), stray)
        return row
