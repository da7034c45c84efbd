"""The tokenizer of a text encoder, and the proof that it is its own.

Without its files transformers may return, and without a word, a tokenizer of five tokens, with which all prompts are
one and the same. So the files must be there, and what is made of them is held against the encoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.clap.download import cached_path, cached_snapshot, hub_snapshot
from pipeline.models.clap.faults import ClapError
from pipeline.models.clap.foreign import foreign
from pipeline.models.clap.source import TOKENIZER_FILES, ClapSource, tokenizer_files

if TYPE_CHECKING:
    from transformers.models.clap.configuration_clap import ClapTextConfig

ROBERTA = "FacebookAI/roberta-base"
# Rows of an embedding are sometimes filled up to a multiple of these, for speed.
_PADDED_TO = (8, 16, 32, 64, 128)


class Tokens:
    """Texts -> ids, with a tokenizer that fits an encoder of `rows` embeddings and texts of up to `longest` ids."""

    def __init__(self, tokenizer: Any, where: Path, config: ClapTextConfig, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._where = where
        self._rows = config.vocab_size
        _check_vocabulary(tokenizer, where, config)
        self.pad_id: int = tokenizer.pad_token_id
        # RoBERTa counts positions from the one after the padding's.
        self.longest = min(max_tokens, config.max_position_embeddings - self.pad_id - 1)
        self._special = set(tokenizer.all_special_ids)
        self.definition = _definition(tokenizer)

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special ones at either end and none to pad.

        Raises ClapError, naming the text, when it is too long, when it has words that the tokenizer does not know or
        nothing else, and naming both when two texts that differ become the same ids.
        """
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts), padding=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        first: dict[tuple[int, ...], str] = {}
        for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            self._check(text, ids, offsets)
            other = first.setdefault(tuple(ids), text)
            if _folded(other) != _folded(text):
                raise ClapError(
                    f"{other!r} and {text!r} become the same tokens: the tokenizer in {self._where} does not tell them "
                    "apart, or is not the text encoder's own"
                )
        return list(encoded["input_ids"])

    def _check(self, text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> None:
        if len(ids) > self.longest:
            raise ClapError(
                f"{text!r} is {len(ids)} tokens long, the text encoder takes {self.longest}: make it shorter"
            )
        if max(ids, default=0) >= self._rows:
            raise ClapError(
                f"{text!r} has a token {max(ids)}, the text encoder has embeddings for {self._rows}: the tokenizer in "
                f"{self._where} is not its own"
            )
        unknown = self._tokenizer.unk_token_id
        pieces = [text[slice(*span)] for index, span in zip(ids, offsets, strict=True) if index == unknown]
        words = [piece for piece in pieces if any(map(str.isalnum, piece))]
        if words:
            raise ClapError(f"{text!r}: the tokenizer in {self._where} does not know {', '.join(map(repr, words))}")
        if self._special.issuperset(ids):
            raise ClapError(
                f"the tokenizer in {self._where} makes nothing of {text!r}: the text has no words, or the tokenizer is "
                "not the text encoder's own"
            )


def load_tokenizer(source: ClapSource, config: ClapTextConfig, laion_max_tokens: int) -> Tokens:
    """Load the tokenizer of a CLAP, from its directory, or RoBERTa's for one of laion's.

    Raises ClapError when there is none or it does not fit the encoder, StorageError when it would have to be fetched
    from the hub and cannot be; both say which files to put where.
    """
    from transformers import AutoTokenizer, RobertaTokenizerFast

    if source.kind == "huggingface":
        if not _has_tokenizer(source.path):
            raise ClapError(f"{source.path} holds no tokenizer: {TOKENIZER_FILES} must be there, beside the weights")
        tokenizer = _loaded(AutoTokenizer, source.path)
        longest = tokenizer.model_max_length
        if not isinstance(longest, int | float) or math.isnan(longest):
            raise ClapError(f"the tokenizer in {source.path} has a model_max_length of {longest!r}, which is no number")
        return Tokens(tokenizer, source.path, config, int(min(longest, config.max_position_embeddings)))
    where = next(filter(_has_tokenizer, _places(source.path.parent)), None) or _fetched(source.path)
    return Tokens(_loaded(RobertaTokenizerFast, where), where, config, laion_max_tokens)


def _places(beside: Path) -> Iterator[Path]:
    yield from (beside, beside / "roberta-base", cached_path("roberta-base"))
    for name in (ROBERTA, "roberta-base"):
        for marker in ("tokenizer.json", "vocab.json"):
            folder = cached_snapshot(name, marker)
            if folder is not None:
                yield folder


def _fetched(checkpoint: Path) -> Path:
    put = f"put them into {cached_path('roberta-base')}, or beside {checkpoint}"
    return hub_snapshot(ROBERTA, marker="vocab.json", choose=tokenizer_files, files=TOKENIZER_FILES, put=put)


def _has_tokenizer(folder: Path) -> bool:
    return folder.is_dir() and tokenizer_files({file.name for file in folder.iterdir() if file.is_file()}) is not None


def _loaded(kind: Any, folder: Path) -> Any:
    with foreign(f"the tokenizer in {folder} cannot be read", f"put the checkpoint's own {TOKENIZER_FILES} there"):
        tokenizer = kind.from_pretrained(str(folder), local_files_only=True)
    if not getattr(tokenizer, "is_fast", False):
        raise ClapError(f"the tokenizer in {folder} is not one that `tokenizers` reads: tokenizer.json must be there")
    return tokenizer


def _check_vocabulary(tokenizer: Any, where: Path, config: ClapTextConfig) -> None:
    known, rows = len(tokenizer), config.vocab_size
    if rows not in (known, *(-(-known // multiple) * multiple for multiple in _PADDED_TO)):
        raise ClapError(
            f"the tokenizer in {where} knows {known} tokens, the text encoder has embeddings for {rows}: it is not the "
            f"encoder's own; put the right {TOKENIZER_FILES} there"
        )
    if tokenizer.pad_token_id != config.pad_token_id:
        raise ClapError(
            f"the tokenizer in {where} pads with the id {tokenizer.pad_token_id}, the text encoder with "
            f"{config.pad_token_id}: it is not the encoder's own; put the right {TOKENIZER_FILES} there"
        )


def _definition(tokenizer: Any) -> str:
    """Return a tokenizer as JSON, without what only says how it was called last."""
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps({**made, "padding": None, "truncation": None}, sort_keys=True)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
