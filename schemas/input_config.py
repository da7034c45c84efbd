"""How inputs and tables of labels are read: what all commands that read audio take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from schemas.explainer_config import Config

_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


class InputConfig(Config):
    """Where ground truth comes from, and which columns of the input and of its tables mean what.

    `labels` is a table of ground truth, the only source of labels where it is given; `label_column` is the column of
    the label in it, or in the recordings' own metadata, and `key_column` names the recordings in it. `label_separator`
    separates several labels in one text. `uri_column` names the recordings in a manifest, `audio_column` holds them in
    a Parquet file. Rows with times are segments of recordings, unless `segments` is False. `delimiter` and `quote` are
    for text tables, and are detected if not given; with a `quote` of `none`, quotation marks are ordinary characters.
    """

    labels: str | None = None
    label_column: str | None = None
    label_separator: str | None = None
    key_column: str | None = None
    uri_column: str | None = None
    audio_column: str | None = None
    segments: bool = True
    delimiter: str | None = None
    quote: str | None = None

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_a_character(cls, delimiter: str | None) -> str | None:
        found = _DELIMITERS.get(delimiter or "", delimiter)
        if found is not None and (len(found) != 1 or found in '\r\n"'):
            raise ValueError(f"expected one character, or one of {', '.join(_DELIMITERS)}, got {delimiter!r}")
        return found

    @field_validator("quote")
    @classmethod
    def _quote_is_a_character(cls, quote: str | None) -> str | None:
        if quote is not None and quote != "none" and (len(quote) != 1 or quote.isalnum() or quote.isspace()):
            raise ValueError(f"expected none or one quotation mark, got {quote!r}")
        return quote

    @field_validator("label_separator")
    @classmethod
    def _separator_is_there(cls, separator: str | None) -> str | None:
        if separator == "":
            raise ValueError("expected one or more characters, as in ';'")
        return separator

    @classmethod
    def recorded(cls, config: Mapping[str, Any], labels: str | None = None) -> InputConfig:
        """Return how a run's input was read, from the `config` in its record, which does not say where `labels` is."""
        return cls(
            **{name: config[name] for name in cls.model_fields if name in config and name != "labels"}, labels=labels
        )

    def reading(self) -> InputConfig:
        """Return only the fields of this class, from a configuration that has more."""
        chosen: dict[str, Any] = {name: getattr(self, name) for name in InputConfig.model_fields}
        return InputConfig(**chosen)
