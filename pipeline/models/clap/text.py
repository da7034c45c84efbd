"""The text encoder of a CLAP, which embeds the prompts once; explaining audio does not need it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from pipeline.models.checkpoint import weights_digest
from pipeline.models.clap import ClapError
from pipeline.models.clap.source import ClapSource
from pipeline.models.clap.text_tower import ROBERTA_BASE, RobertaTower, build_text_tower
from pipeline.models.clap.tokenizer import Tokenizer, load_tokenizer

_BATCH = 32


class TextEncoder:
    """Texts -> embeddings `[n, D]` of length 1, in the same space as those of audio.

    `max_tokens` includes the special tokens at either end. `digest` is the SHA-256 of the weights, the sizes and the
    tokenizer: two encoders with the same digest give the same embeddings.
    """

    def __init__(self, tower: Any, tokenizer: Tokenizer) -> None:
        self._tower = tower
        self._tokenizer = tokenizer
        self.max_tokens = tokenizer.max_tokens
        self.dimension: int = tower.config.projection_dim
        self.digest = _digest(tower, tokenizer)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings `[n, D]`, float32, of length 1, in the order of the texts.

        Raises ClapError for a text longer than `max_tokens` or with words unknown to the tokenizer, and for two texts
        with the same tokens.
        """
        ids = [torch.tensor(row) for row in self._tokenizer.encode(texts)]
        embeddings = [self._batch(ids[start : start + _BATCH]) for start in range(0, len(ids), _BATCH)]
        embedded = torch.cat(embeddings) if embeddings else torch.zeros(0, self.dimension)
        # Normalising does not change a vector of zeros.
        if not torch.isfinite(embedded).all() or not (embedded.norm(dim=-1) > 0.5).all():
            raise ClapError("the text encoder gives embeddings that are not finite, or zero: its checkpoint is damaged")
        return embedded

    def _batch(self, ids: Sequence[Tensor]) -> Tensor:
        # Padded to the longest of the batch: masked positions do not change the result.
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        padded = pad_sequence(list(ids), batch_first=True, padding_value=self._tokenizer.pad_id)
        return F.normalize(self._tower(input_ids=padded, attention_mask=mask).text_embeds, dim=-1)


def load_text_encoder(source: ClapSource, *, tower: RobertaTower = ROBERTA_BASE) -> TextEncoder:
    """Load the text encoder of a CLAP, with its tokenizer, and check that the two fit.

    `tower` gives the sizes of a laion checkpoint's text encoder, which the checkpoint does not state. It has no
    tokenizer either: RoBERTa's is looked up next to it, in the caches, and on the Hugging Face hub, in this order.
    Raises ClapError if a weight is missing, unexpected or of the wrong shape, and if there is no tokenizer or not the
    encoder's own, saying which file to put where; StorageError if it cannot be downloaded.
    """
    model = build_text_tower(source, tower)
    return TextEncoder(model, load_tokenizer(source, model.config, tower.max_tokens))


def _digest(tower: Any, tokenizer: Tokenizer) -> str:
    config = {name: getattr(tower.config, name) for name in ("num_attention_heads", "layer_norm_eps", "hidden_act")}
    about = {**config, "projection_hidden_act": tower.config.projection_hidden_act, "max_tokens": tokenizer.max_tokens}
    return weights_digest(tower, json.dumps(about, sort_keys=True), tokenizer.definition)
