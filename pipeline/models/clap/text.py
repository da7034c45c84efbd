"""The text encoder of a CLAP: used where classes are made of prompts, once, and never where audio is explained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from pipeline.models.checkpoint import weights_digest
from pipeline.models.clap.faults import ClapError
from pipeline.models.clap.source import ClapSource
from pipeline.models.clap.text_tower import ROBERTA_BASE, RobertaTower, build_text_tower
from pipeline.models.clap.tokens import Tokens, load_tokenizer

_BATCH = 32


class TextEncoder:
    """Texts -> L2-normalised embeddings [n, D] beside which those of audio lie.

    `max_tokens` counts the special tokens at either end. `digest` is the SHA-256 of the weights, the sizes and the
    tokenizer: two encoders of the same digest give the same embeddings.
    """

    def __init__(self, tower: Any, tokens: Tokens) -> None:
        self._tower = tower
        self._tokens = tokens
        self.max_tokens = tokens.longest
        self.dimension: int = tower.config.projection_dim
        self.digest = _digest(tower, tokens)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [n, D], float32, each of unit length, in the order of the texts.

        Raises ClapError for a text longer than `max_tokens`, for one with words unknown to the tokenizer, for two
        texts that become the same tokens.
        """
        ids = [torch.tensor(row) for row in self._tokens.of(texts)]
        embeddings = [self._batch(ids[start : start + _BATCH]) for start in range(0, len(ids), _BATCH)]
        embedded = torch.cat(embeddings) if embeddings else torch.zeros(0, self.dimension)
        # A vector of zeros has no direction, and stays one.
        if not torch.isfinite(embedded).all() or not (embedded.norm(dim=-1) > 0.5).all():
            raise ClapError("the text encoder gives embeddings of no numbers, or only zeros: its checkpoint is damaged")
        return embedded

    def _batch(self, ids: Sequence[Tensor]) -> Tensor:
        # Padded to the longest rather than to a fixed length: what is masked does not count.
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        padded = pad_sequence(list(ids), batch_first=True, padding_value=self._tokens.pad_id)
        return F.normalize(self._tower(input_ids=padded, attention_mask=mask).text_embeds, dim=-1)


def load_text_encoder(source: ClapSource, *, tower: RobertaTower = ROBERTA_BASE) -> TextEncoder:
    """Load the text encoder of a CLAP, with its tokenizer, and hold the two against each other.

    A checkpoint of laion's does not say how large its text encoder is: `tower` does. It has no tokenizer either:
    RoBERTa's is looked for beside it, in the caches, and on the Hugging Face hub, in this order.
    Raises ClapError when a weight is missing, has no place or another shape, when there is no tokenizer or it is not
    the encoder's own, saying which file to put where; StorageError when it would have to be fetched and cannot be.
    """
    model = build_text_tower(source, tower)
    return TextEncoder(model, load_tokenizer(source, model.config, tower.max_tokens))


def _digest(tower: Any, tokens: Tokens) -> str:
    config = {name: getattr(tower.config, name) for name in ("num_attention_heads", "layer_norm_eps", "hidden_act")}
    about = {**config, "projection_hidden_act": tower.config.projection_hidden_act, "max_tokens": tokens.longest}
    return weights_digest(tower, json.dumps(about, sort_keys=True), tokens.definition)
