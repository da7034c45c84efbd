"""What stops a CLAP at the door."""

from __future__ import annotations

from pipeline.storage.errors import InputError


class ClapError(InputError):
    """A CLAP checkpoint, its tokenizer or its prompts cannot be used; the message names what, and what to do."""
