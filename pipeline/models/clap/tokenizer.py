"""The tokenizer of a text encoder, checked against that encoder.

Without its files transformers may silently return a tokenizer of five tokens, so that all prompts become the same
ids. So the files must exist, and the tokenizer made from them must fit the encoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.clap import ClapError
from pipeline.models.clap.download import cached_path, cached_snapshot, hub_snapshot
from pipeline.models.clap.source import TOKENIZER_FILES, ClapSource, tokenizer_files
from pipeline.models.clap.weights import clap_errors

if TYPE_CHECKING:
    from transformers.models.clap.configuration_clap import ClapTextConfig

ROBERTA = "FacebookAI/roberta-base"
# The rows of an embedding are sometimes padded to a multiple of these, for speed.
_PADDED_TO = (8, 16, 32, 64, 128)


class Tokenizer:
    """Texts -> token ids for one text encoder, which takes up to `max_tokens` of them."""

    def __init__(self, tokenizer: Any, folder: Path, config: ClapTextConfig, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._folder = folder
        self._rows = config.vocab_size
        _check_vocabulary(tokenizer, folder, config)
        self.pad_id: int = tokenizer.pad_token_id
        # RoBERTa's first position is the id of the padding plus one.
        self.max_tokens = min(max_tokens, config.max_position_embeddings - self.pad_id - 1)
        self._special = set(tokenizer.all_special_ids)
        self.definition = _definition(tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, with the special tokens at either end and no padding.

        Raises ClapError, naming the text, if it is too long, has no words, or has words unknown to the tokenizer; and
        naming both, if two different texts have the same ids.
        """
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts), padding=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        first: dict[tuple[int, ...], str] = {}
        for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            self._check(text, ids, offsets)
            earlier = first.setdefault(tuple(ids), text)
            if _casefolded(earlier) != _casefolded(text):
                raise ClapError(
                    f"{earlier!r} and {text!r} become the same tokens: the tokenizer in {self._folder} does not tell "
                    "them apart, or is not the text encoder's own"
                )
        return list(encoded["input_ids"])

    def _check(self, text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> None:
        if len(ids) > self.max_tokens:
            raise ClapError(
                f"{text!r} is {len(ids)} tokens long, the text encoder takes {self.max_tokens}: make it shorter"
            )
        if max(ids, default=0) >= self._rows:
            raise ClapError(
                f"{text!r} has a token {max(ids)}, the text encoder has embeddings for {self._rows}: the tokenizer in "
                f"{self._folder} is not its own"
            )
        unknown = self._tokenizer.unk_token_id
        spans = [text[slice(*span)] for index, span in zip(ids, offsets, strict=True) if index == unknown]
        words = [span for span in spans if any(map(str.isalnum, span))]
        if words:
            raise ClapError(f"{text!r}: the tokenizer in {self._folder} does not know {', '.join(map(repr, words))}")
        if self._special.issuperset(ids):
            raise ClapError(
                f"the tokenizer in {self._folder} gives no tokens for {text!r}: the text has no words, or the "
                "tokenizer is not the text encoder's own"
            )


def load_tokenizer(source: ClapSource, config: ClapTextConfig, laion_max_tokens: int) -> Tokenizer:
    """Load the tokenizer of a CLAP from its directory, or RoBERTa's for a laion checkpoint.

    Raises ClapError if there is none or it does not fit the encoder, StorageError if it cannot be fetched from the
    hub; both say which files to put where.
    """
    from transformers import AutoTokenizer, RobertaTokenizerFast

    if source.kind == "huggingface":
        if not _has_tokenizer(source.path):
            raise ClapError(f"{source.path} holds no tokenizer: {TOKENIZER_FILES} must be there, beside the weights")
        tokenizer = _load(AutoTokenizer, source.path)
        limit = tokenizer.model_max_length
        if not isinstance(limit, int | float) or math.isnan(limit):
            raise ClapError(f"the tokenizer in {source.path} has a model_max_length of {limit!r}, which is no number")
        return Tokenizer(tokenizer, source.path, config, int(min(limit, config.max_position_embeddings)))
    folder = next(filter(_has_tokenizer, _candidates(source.path.parent)), None) or _download(source.path)
    return Tokenizer(_load(RobertaTokenizerFast, folder), folder, config, laion_max_tokens)


def _candidates(beside: Path) -> Iterator[Path]:
    yield from (beside, beside / "roberta-base", cached_path("roberta-base"))
    for name in (ROBERTA, "roberta-base"):
        for marker in ("tokenizer.json", "vocab.json"):
            folder = cached_snapshot(name, marker)
            if folder is not None:
                yield folder


def _download(checkpoint: Path) -> Path:
    put = f"put them into {cached_path('roberta-base')}, or beside {checkpoint}"
    return hub_snapshot(ROBERTA, marker="vocab.json", choose=tokenizer_files, files=TOKENIZER_FILES, put=put)


def _has_tokenizer(folder: Path) -> bool:
    return folder.is_dir() and tokenizer_files({file.name for file in folder.iterdir() if file.is_file()}) is not None


def _load(kind: Any, folder: Path) -> Any:
    with clap_errors(f"the tokenizer in {folder} cannot be read", f"put the checkpoint's own {TOKENIZER_FILES} there"):
        tokenizer = kind.from_pretrained(str(folder), local_files_only=True)
    if not getattr(tokenizer, "is_fast", False):
        raise ClapError(f"the tokenizer in {folder} is not one that `tokenizers` reads: tokenizer.json must be there")
    return tokenizer


def _check_vocabulary(tokenizer: Any, folder: Path, config: ClapTextConfig) -> None:
    known, rows = len(tokenizer), config.vocab_size
    if rows not in (known, *(-(-known // multiple) * multiple for multiple in _PADDED_TO)):
        raise ClapError(
            f"the tokenizer in {folder} knows {known} tokens, the text encoder has embeddings for {rows}: it is not "
            f"the encoder's own; put the right {TOKENIZER_FILES} there"
        )
    if tokenizer.pad_token_id != config.pad_token_id:
        raise ClapError(
            f"the tokenizer in {folder} pads with the id {tokenizer.pad_token_id}, the text encoder with "
            f"{config.pad_token_id}: it is not the encoder's own; put the right {TOKENIZER_FILES} there"
        )


def _definition(tokenizer: Any) -> str:
    """Return a tokenizer as JSON, without the settings of its last call."""
    definition = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps({**definition, "padding": None, "truncation": None}, sort_keys=True)


def _casefolded(text: str) -> str:
    return " ".join(text.casefold().split())
