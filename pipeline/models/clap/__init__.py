"""CLAP (Wu et al. 2023, arXiv 2211.06687): checkpoints of laion-clap and Hugging Face as classifiers."""

from __future__ import annotations

from pipeline.storage.errors import InputError


class ClapError(InputError):
    """A CLAP checkpoint, its tokenizer or its prompts cannot be used; the message says which, and what to do."""
